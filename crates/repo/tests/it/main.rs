//! The crate against real git: repositories, mirrors and work trees in temporary folders.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

mod hostile;
mod inside;
mod killed;
mod planting;
mod prepared;
mod proxied;
mod pushing;
mod recording;
mod round_trip;
mod together;
mod world;
