//! The crate against real git: repositories, mirrors and work trees in temporary folders.

mod hostile;
mod inside;
mod pushing;
mod recording;
mod round_trip;
mod together;
mod world;
