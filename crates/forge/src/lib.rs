//! Where pull requests live. Speaks the forges' wires only: runs no git, sees no sandbox.

pub mod github;
pub mod local;

use std::sync::Arc;

use async_trait::async_trait;
use events::{Branch, Oid, Remote, error_chain as with_causes};
use secrecy::SecretString;

pub use local::{KeptPullRequest, LocalError, Shelf};

/// Which forge to open.
#[derive(Debug, Clone)]
pub enum Config {
    /// GitHub, or GitHub Enterprise.
    GitHub(github::Config),
    /// A folder on this machine.
    Local(local::Config),
}

/// Opens a forge.
///
/// # Errors
/// When the configuration cannot work.
pub fn open(config: &Config) -> Result<Arc<dyn Forge>, Error> {
    match config {
        Config::GitHub(config) => github::open(config),
        Config::Local(config) => Ok(local::open(config)),
    }
}

/// A place where pull requests live.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What the forge says of the repository; follows a rename.
    async fn repository(&self, remote: &Remote) -> Result<Repository, Error>;

    /// What git needs to fetch from and push to the repository; nothing when it needs nothing.
    async fn credential(&self, remote: &Remote) -> Result<Option<Credential>, Error>;

    /// The head of a branch as the forge has it now.
    async fn branch_head(&self, remote: &Remote, branch: &Branch) -> Result<Option<Oid>, Error>;

    /// Opens a pull request, or adopts and updates the one that is open for the same head and base and carries
    /// `marker`. Calling it twice, or again after a lost answer, never makes two: one that carries `marker` and was
    /// closed meanwhile is returned as it is, with `open: false`.
    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, Error>;

    /// Reads a pull request back.
    async fn pull_request(&self, remote: &Remote, number: u64) -> Result<PullRequest, Error>;

    /// The page that compares two branches, where the forge has one.
    fn compare_url(&self, remote: &Remote, base: &Branch, head: &Branch) -> Option<String>;
}

/// What a forge says of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its address now: another one than was asked for when it was renamed.
    pub remote: Remote,
    /// Its default branch.
    pub default_branch: Branch,
    /// Whether our credential may push.
    pub can_push: bool,
    /// Whether it is archived or disabled: nothing can be pushed.
    pub read_only: bool,
}

/// A user name and password for git over HTTP.
#[derive(Clone)]
pub struct Credential {
    /// The user name.
    pub user: String,
    /// The password or token.
    pub password: SecretString,
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPullRequest {
    /// The repository.
    pub remote: Remote,
    /// The branch that was pushed.
    pub head: Branch,
    /// The branch to merge into.
    pub base: Branch,
    /// One line.
    pub title: String,
    /// Markdown; holds `marker`.
    pub body: String,
    /// Whether to open it as a draft.
    pub draft: bool,
    /// A hidden text that says whose pull request it is: `<!-- backspace:session=… -->`.
    pub marker: String,
}

/// A pull request as the forge has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// Whether it is open.
    pub open: bool,
    /// Whether it is a draft.
    pub draft: bool,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
    /// The branch to merge.
    pub head: Branch,
    /// The commit at its head.
    pub head_commit: Oid,
    /// The branch to merge into.
    pub base: Branch,
    /// Whether it was there already when this call began.
    pub adopted: bool,
    /// What is otherwise than was asked for, for people: opened ready because drafts are refused, body cut.
    pub warnings: Vec<String>,
}

/// Why a forge did not do it. The variants are what callers branch on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Missing, or hidden from this credential: the text says what, and what to look at.
    #[error("not found: {0}")]
    NotFound(String),
    /// The credential is missing, wrong, or lacks a right.
    #[error("{doing}: the forge refused the token: {message}")]
    Denied {
        /// What we were doing.
        doing: &'static str,
        /// What the forge said.
        message: String,
    },
    /// The forge does not take the request as it is.
    #[error("{doing}: the forge refused it: {message}")]
    Refused {
        /// What we were doing.
        doing: &'static str,
        /// What the forge said.
        message: String,
    },
    /// Limited, broken or out of reach, also after waiting as it asked.
    #[error("{doing}: the forge is not answering: {message}")]
    Unavailable {
        /// What we were doing.
        doing: &'static str,
        /// What happened.
        message: String,
    },
    /// The configuration cannot work.
    #[error("cannot open the forge: {0}")]
    Config(String),
}
