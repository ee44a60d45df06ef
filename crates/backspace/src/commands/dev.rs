//! `backspace dev`: the strict stand-ins, for trying and testing without accounts.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Start a strict stand-in on loopback: for trying and testing without accounts.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    FakeModel(FakeModel),
    FakeForge(FakeForge),
}

/// A model server that speaks both wires and rejects what the real ones reject; its replies come from a recording.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  backspace dev fake-model --port 9001 examples/simple-api/replies.jsonl")]
struct FakeModel {
    /// The recording: one reply a line
    replies: PathBuf,
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// A GitHub server with real git over HTTP; keeps everything in a folder.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  backspace dev fake-forge --port 9002 --repo OWNER/NAME=PATH --token dev-token-1234")]
struct FakeForge {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A repository to offer, copied from a folder (repeatable)
    #[arg(long = "repo", value_name = "OWNER/NAME=PATH")]
    repositories: Vec<String>,
    /// The token that may do everything
    #[arg(long, default_value = "dev-token-0123456789")]
    token: String,
}
