//! The small static program that lays a sandbox's ground and is then process 1 inside it: its protocol, its tools and its relays.

pub mod beneath;
pub mod files;
pub mod frame;
pub mod laid;
mod look;
pub mod pack;
pub mod protocol;
pub mod relay;
pub mod spill;
pub mod stage;
