//! Where the code comes from and how a change leaves: mirrors, base trees, saved steps, commits, push.
//!
//! Runs git, always in bare repositories of its own making; never in a work tree that untrusted code has touched.
//! Calls no forge's API and sees no sandbox.

mod base_tree;
mod commit;
mod git;
mod hygiene;
mod mirror;
mod push;
mod recorder;

use std::path::PathBuf;

use async_trait::async_trait;
use events::{ChangedPath, Content, Remote, Tenant};
use secrecy::SecretString;

/// Where mirrors and base trees are kept.
#[derive(Debug, Clone)]
pub struct Repos {
    home: PathBuf,
}

/// A repository and what it takes to reach it.
#[derive(Clone)]
pub struct Source {
    /// The repository.
    pub remote: Remote,
    /// Whose mirror it is: one tenant never reads what another's credential fetched.
    pub tenant: Tenant,
    /// User name and password for git over HTTP; given to git by environment only.
    pub credential: Option<Credential>,
}

/// A user name and password for git over HTTP.
#[derive(Clone)]
pub struct Credential {
    /// The user name.
    pub user: String,
    /// The password or token.
    pub password: SecretString,
}

/// Reads what a sandbox changed, path by path. A port: this crate sees no sandbox.
#[async_trait]
pub trait Contents: Send + Sync {
    /// What stands at `path` now; `None` when it changed while it was read, and is to be left for the next time.
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Option<Content>, ContentsError>;
}

/// The place that holds the change cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what was changed")]
pub struct ContentsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
