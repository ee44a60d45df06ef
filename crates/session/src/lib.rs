//! The story of a session, from a request to a pull request; the queue before it, and what is left after a crash.
//!
//! Speaks no HTTP and prints nothing: whoever wants to see follows the log.

mod clock;
mod contents;
mod egress;
mod failure;
mod guarded;
mod journal;
mod owner;
mod ports;
mod prices;
mod providers;
mod pull_request;
pub mod recording;
mod recover;
pub mod replay;
mod repository_config;
pub mod request;
mod run;
mod sessions;
mod setup;
mod shelf;
mod steps;
mod telemetry;
mod voice;
mod way_out;

pub use clock::{Clock, SystemClock};
pub use egress::{Egress, OpenFor};
pub use ports::{Forges, Identity, Ports, SetupLimits};
pub use providers::{Offer, Provider, Providers, UnknownProvider};
pub use sessions::{Cancelled, Error, Limits, Problem, Sessions, SubmitError};
pub use shelf::LocalShelf;
pub use voice::{Heard, Piece};
