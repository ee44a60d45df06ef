//! Whatever a provider does has one known outcome: every wire against a stand-in that fails on purpose, and the table of
//! it in the documentation.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "faults/bench.rs"]
mod bench;
#[path = "faults/breaks.rs"]
mod breaks;
#[path = "faults/case.rs"]
mod case;
#[path = "faults/contents.rs"]
mod contents;
#[path = "faults/documented.rs"]
mod documented;
#[path = "faults/garbles.rs"]
mod garbles;
#[path = "faults/heads.rs"]
mod heads;
#[path = "faults/idle.rs"]
mod idle;
#[path = "faults/lines.rs"]
mod lines;
#[path = "faults/outcome.rs"]
mod outcome;
