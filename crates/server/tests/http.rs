//! The service from outside: a real socket, real sessions, and logs written for the occasion.
#![cfg(test)]

#[path = "http/access.rs"]
mod access;
#[path = "http/changes.rs"]
mod changes;
#[path = "http/connections.rs"]
mod connections;
#[path = "http/idempotency.rs"]
mod idempotency;
#[path = "http/recordings.rs"]
mod recordings;
#[path = "http/refusals.rs"]
mod refusals;
#[path = "http/sessions.rs"]
mod sessions;
#[path = "http/shutdown.rs"]
mod shutdown;
#[path = "http/streams.rs"]
mod streams;
#[path = "http/world.rs"]
mod world;
