//! Where the work starts from and how it leaves.

use serde::{Deserialize, Serialize};

use crate::{Branch, FileStat, Oid, Remote, Target};

/// See [`crate::Event::GitRan`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GitRan {
    /// The command as a person would type it; never a credential.
    pub command: String,
    /// What it printed, bounded.
    pub output: String,
    /// Its exit code; `-1` when a signal ended it.
    pub exit_code: i32,
    /// How long it took.
    pub duration_ms: u64,
}

/// See [`crate::Event::BaseChosen`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BaseChosen {
    /// The repository, by the name it now has.
    pub remote: Remote,
    /// The branch to start from.
    pub base: Branch,
    /// Its commit.
    pub commit: Oid,
}

/// See [`crate::Event::CommitMade`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommitMade {
    /// The commit.
    pub commit: Oid,
    /// Its only parent.
    pub base: Oid,
    /// What it changes.
    pub files: Vec<FileStat>,
    /// Its one-line title.
    pub title: String,
    /// What was done and why.
    pub summary: String,
}

/// See [`crate::Event::BranchPushed`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BranchPushed {
    /// The branch.
    pub branch: Branch,
    /// Its head.
    pub commit: Oid,
}

/// See [`crate::Event::PullRequestOpened`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullRequestOpened {
    /// The address, number, head and draft state.
    pub target: Target,
    /// Its base.
    pub base: Branch,
    /// Its title as the forge has it.
    pub title: String,
    /// Whether it was open already and is ours by its marker.
    pub adopted: bool,
}
