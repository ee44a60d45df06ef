//! What was asked for, after it was checked at the door.

use serde::{Deserialize, Serialize};

use crate::{Branch, Budget, Remote};

/// What was asked for. Every field was checked where it came in; nothing later doubts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The repository.
    pub remote: Remote,
    /// The sentence: 1 to 32,000 characters.
    pub prompt: String,
    /// The branch to push to; otherwise `backspace/<slug>-<id>`.
    pub branch: Option<Branch>,
    /// The branch to start from and to open the pull request against; otherwise the forge's default branch.
    pub base: Option<Branch>,
    /// The pull request's title; otherwise the agent's.
    pub title: Option<String>,
    /// Whether to open the pull request as a draft.
    pub draft: bool,
    /// The provider to ask (`anthropic`, `openai`, `scripted`); otherwise the first one configured.
    pub provider: Option<String>,
    /// The model to ask for; otherwise the provider's default.
    pub model: Option<String>,
    /// How far to go.
    pub publish: Publish,
    /// How the project is set up before the work.
    #[serde(default, skip_serializing_if = "SetupWish::is_as_found")]
    pub setup: SetupWish,
    /// Commands that are run after the work, whose results stand in the pull request.
    pub checks: Vec<String>,
    /// What the session may use up.
    pub budget: Budget,
}

/// How a project is set up before the work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupWish {
    /// As the repository says; where it says nothing, as its lock files suggest.
    #[default]
    AsFound,
    /// Not at all.
    Off,
    /// By this shell script.
    Script(String),
}

impl SetupWish {
    /// Whether nothing was asked for.
    pub fn is_as_found(&self) -> bool {
        *self == Self::AsFound
    }
}

/// How far a session goes with its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// Push a branch and open a pull request.
    #[default]
    Pr,
    /// Push a branch.
    Branch,
    /// Keep a patch and touch no remote.
    Patch,
}
