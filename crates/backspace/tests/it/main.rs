//! The one integration binary: tidiness, stories, the command line, the service, crashes.

mod cli;
mod crash;
mod story;
mod tidy;
mod world;
