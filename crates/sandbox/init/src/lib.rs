//! The protocol between a sandbox and the small program that is process 1 inside it, and that program's tools.

pub mod protocol;
