//! The one integration binary: tidiness, stories, the command line, the service, crashes.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on ends there, and one that is left out says so"
)]

mod attack;
mod budgets;
mod canaries;
mod cli;
mod crash;
mod egress;
mod fallback;
mod live;
mod offline;
mod packages;
mod recorded;
mod recordings;
mod replayed;
mod setup;
mod story;
mod tidy;
mod tried;
mod wires;
mod world;
