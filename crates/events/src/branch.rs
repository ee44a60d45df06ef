//! The name of a branch.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longer names are refused: with the lock suffix they no longer fit a file name on every system.
const BYTES_MAX: usize = 200;

/// The name of a branch, without `refs/heads/`; one that git takes and that no command reads as an option.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Branch(String);

/// Why a text cannot be the name of a branch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BranchError {
    /// Nothing, or too much.
    #[error("a branch name has 1 to {BYTES_MAX} bytes")]
    Length,
    /// `-x` would be read as an option, `+x` as a push by force, `refs/heads/x` as something else than it says.
    #[error("a branch name does not begin with `-`, `+` or `refs/`, and is not `HEAD` or `@`")]
    Misleading,
    /// The rules of `git check-ref-format`.
    #[error(
        "git refuses this branch name: no spaces, control characters, `~^:?*[\\`, `..`, `@{{`, `//`; no part may \
         begin with `.` or end with `.lock`, and the name may not begin or end with `/` or end with `.`"
    )]
    Format,
}

impl Branch {
    /// The name, without `refs/heads/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of the ref.
    pub fn full_ref(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl FromStr for Branch {
    type Err = BranchError;

    /// Applies the rules of `git check-ref-format --branch` (git 2.39) and two of our own (see [`BranchError`]).
    fn from_str(name: &str) -> Result<Self, BranchError> {
        if name.is_empty() || name.len() > BYTES_MAX {
            return Err(BranchError::Length);
        }
        if name.starts_with(['-', '+']) || name.starts_with("refs/") || name == "HEAD" || name == "@" {
            return Err(BranchError::Misleading);
        }
        let forbidden =
            |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
        let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        let bad = name.chars().any(forbidden)
            || name.contains("..")
            || name.contains("@{")
            || name.ends_with('.')
            || name.split('/').any(bad_part);
        if bad { Err(BranchError::Format) } else { Ok(Self(name.to_owned())) }
    }
}

impl TryFrom<String> for Branch {
    type Error = BranchError;

    fn try_from(text: String) -> Result<Self, BranchError> {
        text.parse()
    }
}

impl From<Branch> for String {
    fn from(branch: Branch) -> Self {
        branch.0
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
