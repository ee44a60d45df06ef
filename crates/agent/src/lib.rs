//! Who decides: the loop between a model and a sandbox, the tools, the prompt, the limits.
//!
//! Knows no forge and holds no token: what leaves the sandbox is somebody else's business.

mod ask;
mod circles;
mod context;
mod exchange;
mod limits;
mod meter;
mod notice;
mod prompt;
mod silence;
mod tools;
mod work;

use async_trait::async_trait;
use events::{Journal, Limit, Oid};
use model::Chain;
use sandbox::Sandbox;
use tokio_util::sync::CancellationToken;

pub use exchange::{Exchange, exchanges};
pub use limits::Limits;
pub use prompt::{Brief, Instructions, prefix_bytes};
pub use work::work;

/// What the agent works with.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// Who thinks.
    pub models: &'a Chain<'a>,
    /// Who hears its replies while they arrive.
    pub live: &'a dyn model::Live,
    /// Where commands run and files are.
    pub sandbox: &'a dyn Sandbox,
    /// Where the work tree is kept after each step.
    pub checkpoint: &'a dyn Checkpoint,
    /// Where it is written down.
    pub journal: &'a dyn Journal,
    /// Fires when the session is to end.
    pub cancel: &'a CancellationToken,
    /// How long a single command may run.
    pub command_timeout: std::time::Duration,
}

/// Keeps the state of the work tree. A port: this crate may not know git.
#[async_trait]
pub trait Checkpoint: Send + Sync {
    /// Keeps the work tree as it is now; nothing when it is as it was at the last call.
    async fn save(&self) -> Result<Kept, CheckpointError>;
}

/// What came of a [`Checkpoint::save`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The commit that holds the work tree, when it differs from before.
    pub commit: Option<Oid>,
    /// What the model should know of it, for instance what was left out and why; each is told once.
    pub notes: Vec<String>,
}

/// The work tree could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the work tree after a step")]
pub struct CheckpointError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Why the agent stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It says that the task is done.
    Finished(Finish),
    /// A budget ended it, or that it went in circles.
    LimitReached(Limit),
    /// Somebody ended it.
    Cancelled,
}

/// What the agent says of its finished work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finish {
    /// One line for the pull request and the commit; empty when the agent gave none.
    pub title: String,
    /// What was done and why.
    pub summary: String,
}

/// What the agent cannot help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model does not reply.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The task alone is too long for the model.
    #[error(
        "the task and the rules take about {needed} tokens, and {model} has room for {tokens} beside its reply"
    )]
    ContextTooSmall {
        /// The model.
        model: String,
        /// What it has room for.
        tokens: u64,
        /// What is needed at least.
        needed: u64,
    },
    /// The sandbox is gone or broken.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The work tree could not be kept.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log refused an entry.
    #[error(transparent)]
    Journal(#[from] events::JournalError),
}
