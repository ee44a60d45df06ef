//! What can go wrong with git and with the folders it works on.

use std::io;

use events::{Branch, Oid};

use crate::ContentsError;

/// What can go wrong with git and with the folders it works on. The variants are what callers branch on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository is missing, or hidden from this credential.
    #[error("cannot {doing}: there is no such repository, or the credential cannot see it: {message}")]
    NotFound {
        /// What we were doing.
        doing: String,
        /// What the remote said.
        message: String,
    },
    /// The credential is missing, wrong, or lacks a right.
    #[error("cannot {doing}: the remote refused the credential: {message}")]
    Auth {
        /// What we were doing.
        doing: String,
        /// What the remote said.
        message: String,
    },
    /// The remote is out of reach, broke off, or is not well. Worth another try.
    #[error("cannot {doing}: {message}")]
    Network {
        /// What we were doing.
        doing: String,
        /// What git said.
        message: String,
    },
    /// The branch holds commits that are not ours. Nothing was pushed.
    #[error("branch `{branch}` already exists with other commits{}", head.as_ref().map(|oid| format!(" (at {})", oid.short())).unwrap_or_default())]
    BranchTaken {
        /// The branch.
        branch: Branch,
        /// What is at its head.
        head: Option<Oid>,
    },
    /// The remote does not take the push: a protected branch, a hook, a workflow file, a large file.
    #[error("the remote refused the push: {message}")]
    Rejected {
        /// What the remote said.
        message: String,
    },
    /// What the repository holds is more than can be checked out.
    #[error("the repository cannot be worked with: {what}")]
    Unfit {
        /// Which limit.
        what: String,
    },
    /// A push to a repository on this machine would be written elsewhere, or run a program. Nothing was pushed.
    #[error("the repository cannot be pushed to: {what}")]
    LeadsAway {
        /// By what.
        what: String,
    },
    /// More was changed than a change may hold.
    #[error("the change is too large: {what}")]
    TooLarge {
        /// Which limit.
        what: String,
    },
    /// git finds the objects of a change unsound.
    #[error("git finds the change unsound: {message}")]
    Unsound {
        /// What it found.
        message: String,
    },
    /// git did not come to an end.
    #[error("cannot {doing}: git was not done after {seconds} s")]
    Timeout {
        /// What we were doing.
        doing: String,
        /// How long we waited.
        seconds: u64,
    },
    /// Another process holds a lock and does not let go.
    #[error("{what} is in use by another process")]
    Busy {
        /// What is locked.
        what: String,
    },
    /// git failed in another way.
    #[error("cannot {doing}: git ended with {exit_code}: {message}")]
    Git {
        /// What we were doing.
        doing: String,
        /// Its exit code; `-1` when a signal ended it.
        exit_code: i32,
        /// What it said.
        message: String,
    },
    /// What the sandbox holds cannot be read.
    #[error("cannot save the step")]
    Contents(#[source] ContentsError),
    /// The system refused something that should work.
    #[error("cannot {doing}")]
    System {
        /// What we were doing.
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn system(doing: impl Into<String>, source: io::Error) -> Self {
        Self::System { doing: doing.into(), source }
    }
}
