//! How a session may end.

use serde::{Deserialize, Serialize};

use crate::{Branch, FileStat, Oid, Status, Usage};

/// How a session ended. Every session has exactly one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The change reached the place that was asked for, and that place was read back.
    Delivered(Delivery),
    /// The agent finished and nothing differs from the base: no branch, no pull request.
    Unchanged {
        /// What the agent said.
        summary: String,
    },
    /// A budget ended the session; what existed was landed.
    Budget {
        /// Which bound was reached.
        limit: Limit,
        /// Where the work is; nothing when nothing had changed.
        delivery: Option<Delivery>,
    },
    /// Somebody ended the session.
    Cancelled {
        /// Where the work is, when there was any.
        saved: Option<Saved>,
    },
    /// The session could not reach its end.
    Failed(Failure),
}

impl Outcome {
    /// The status that it leaves a session in.
    pub fn status(&self) -> Status {
        match self {
            Self::Delivered(_) | Self::Unchanged { .. } | Self::Budget { .. } => Status::Done,
            Self::Cancelled { .. } => Status::Cancelled,
            Self::Failed(_) => Status::Failed,
        }
    }
}

/// A change that was delivered and read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where it went.
    pub target: Target,
    /// The branch it was started from, and the pull request's base.
    pub base: Branch,
    /// The commit it was started from.
    pub base_commit: Oid,
    /// The commit that holds it.
    pub commit: Oid,
    /// What it changes.
    pub files: Vec<FileStat>,
    /// One line.
    pub title: String,
    /// What was done and why, in the agent's words.
    pub summary: String,
}

/// Where a change went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case")]
pub enum Target {
    /// A pull request is open on it.
    PullRequest {
        /// Its address.
        url: String,
        /// Its number.
        number: u64,
        /// Its head.
        branch: Branch,
        /// Whether it is a draft.
        draft: bool,
        /// A page that compares base and head, where the forge has one.
        compare_url: Option<String>,
    },
    /// A branch was pushed, as asked.
    Branch {
        /// The branch.
        branch: Branch,
        /// A page that compares base and head, where the forge has one.
        compare_url: Option<String>,
    },
    /// A patch was kept, as asked.
    Patch {
        /// The file on the service's machine.
        path: String,
    },
}

/// Where unfinished work was put so that it is not lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "saved", rename_all = "snake_case")]
pub enum Saved {
    /// On a branch of the remote.
    Branch {
        /// The branch.
        branch: Branch,
        /// Its commit.
        commit: Oid,
        /// A page that compares base and head, where the forge has one.
        compare_url: Option<String>,
    },
    /// In a file on the service's machine.
    Patch {
        /// The file.
        path: String,
        /// Its commit on the hidden ref of the session.
        commit: Oid,
    },
}

/// Why a session failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The class, for programs.
    pub code: FailureCode,
    /// Where in the story it happened.
    pub step: Step,
    /// What went wrong, for people.
    pub reason: String,
    /// What mends it, if we know.
    pub hint: Option<String>,
    /// Where the work is, when there was any.
    pub saved: Option<Saved>,
}

/// The classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The repository or branch is not there, or the credential cannot see it.
    RepositoryUnavailable,
    /// The credential is missing, wrong, or lacks a right.
    ForgeRefused,
    /// The forge could not be reached or kept failing.
    ForgeUnavailable,
    /// No sandbox could be opened.
    SandboxUnavailable,
    /// The sandbox died on the way.
    SandboxLost,
    /// The model's provider refused the request or the key.
    ModelRefused,
    /// The model's provider kept failing.
    ModelUnavailable,
    /// The model kept answering what no session can use.
    ModelProtocol,
    /// Dollars are bounded, and the model's price is not known.
    PriceUnknown,
    /// The change breaks a rule: a path, a size, a count.
    ChangeRefused,
    /// The branch could not be pushed.
    PushRejected,
    /// The pull request that was opened does not read back as ours.
    NotConfirmed,
    /// The process that ran the session died.
    Interrupted,
    /// A disk, the log, or a bug of ours.
    Internal,
}

impl FailureCode {
    /// The name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RepositoryUnavailable => "repository_unavailable",
            Self::ForgeRefused => "forge_refused",
            Self::ForgeUnavailable => "forge_unavailable",
            Self::SandboxUnavailable => "sandbox_unavailable",
            Self::SandboxLost => "sandbox_lost",
            Self::ModelRefused => "model_refused",
            Self::ModelUnavailable => "model_unavailable",
            Self::ModelProtocol => "model_protocol",
            Self::PriceUnknown => "price_unknown",
            Self::ChangeRefused => "change_refused",
            Self::PushRejected => "push_rejected",
            Self::NotConfirmed => "not_confirmed",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }
}

/// The steps of the story, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Asking the forge whether the session can succeed, before it costs anything.
    Preflight,
    /// Fetching the repository and laying out the base tree.
    Checkout,
    /// Setting the project up: its dependencies.
    Setup,
    /// Opening the sandbox.
    Provision,
    /// The agent.
    Work,
    /// The checks after the work.
    Check,
    /// Commit, push, pull request, reading back.
    Publish,
    /// Closing the sandbox.
    Teardown,
}

impl Step {
    /// The name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Checkout => "checkout",
            Self::Setup => "setup",
            Self::Provision => "provision",
            Self::Work => "work",
            Self::Check => "check",
            Self::Publish => "publish",
            Self::Teardown => "teardown",
        }
    }

    /// How much of a session is behind when this step begins, in per cent; a rough figure for a progress bar.
    pub fn progress(self) -> u8 {
        match self {
            Self::Preflight => 0,
            Self::Checkout => 5,
            Self::Setup => 10,
            Self::Provision => 15,
            Self::Work => 20,
            Self::Check => 80,
            Self::Publish => 90,
            Self::Teardown => 98,
        }
    }
}

/// What ends the agent's work before the agent does: the bounds of a [`crate::Budget`], and going in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// US dollars.
    Usd,
    /// Input and output tokens.
    Tokens,
    /// Replies of the model.
    Turns,
    /// Minutes of active time.
    Minutes,
    /// The agent repeated itself, was told, and went on.
    Stuck,
}

impl Limit {
    /// The name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Tokens => "tokens",
            Self::Turns => "turns",
            Self::Minutes => "minutes",
            Self::Stuck => "stuck",
        }
    }

    /// What ended the work, as the beginning of a sentence about it.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Usd => "The budget of US dollars",
            Self::Tokens => "The budget of tokens",
            Self::Turns => "The budget of turns",
            Self::Minutes => "The budget of minutes",
            Self::Stuck => "Going in circles",
        }
    }
}

/// What a session used, told with its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Replies of the model.
    pub turns: u32,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// US dollars, when every reply had a known price.
    pub usd: Option<f64>,
    /// From the request to the end, in milliseconds.
    pub duration_ms: u64,
    /// The provider that answered last.
    pub provider: Option<String>,
    /// The model that answered last.
    pub model: Option<String>,
    /// What each model did, in the order in which they first answered; empty in the logs of the first releases.
    #[serde(default)]
    pub models: Vec<ModelUse>,
    /// The agent's thoughts.
    pub thoughts: Thoughts,
}

/// What one model did in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelUse {
    /// Its provider.
    pub provider: String,
    /// The model, as the provider names it.
    pub model: String,
    /// Its replies.
    pub turns: u32,
    /// What they used, and replies that broke off.
    pub usage: Usage,
}

/// How many thoughts the agent had, and the last five.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thoughts {
    /// How many.
    pub count: u64,
    /// The last five: the turn, and the beginning of the thought.
    pub recent: Vec<(u32, String)>,
}
