//! What a session changed in its work tree, as data.

use serde::{Deserialize, Serialize};

/// What differs between a base tree and the work tree made from it, listed and not yet read.
///
/// The list comes out of a sandbox: its paths are bytes that nobody has vetted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeList {
    /// One entry a path, sorted by path. A directory that went is listed as its files.
    pub paths: Vec<ChangedPath>,
    /// More paths had changed than the bound on a list; the list is not to be used.
    pub truncated: bool,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPath {
    /// Relative to the work tree, `/` between its parts. Not vetted: see [`crate::RepoPath::parse`].
    pub path: Vec<u8>,
    /// What stands there now.
    pub kind: ChangedKind,
    /// Equal stamps mean equal content, so that a path is read once for each time it changes.
    pub stamp: Stamp,
}

/// What stands at a changed path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedKind {
    /// A regular file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A symbolic link.
    Symlink,
    /// Nothing any more.
    Deleted,
    /// A device, socket or named pipe: never part of a change.
    Special,
}

/// What tells two states of a path apart without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The inode number.
    pub inode: u64,
    /// The time of the last change of content or metadata, in nanoseconds. A program inside cannot set it back.
    pub ctime_ns: i128,
}

/// The content of a changed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file's bytes.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The target of a symbolic link, as text that is never followed.
    Symlink(Vec<u8>),
    /// The path is gone.
    Deleted,
}

/// How much a commit changed in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// The path as text; what is not UTF-8 in it became U+FFFD.
    pub path: String,
    /// Lines added; absent for a binary file.
    pub added: Option<u64>,
    /// Lines deleted; absent for a binary file.
    pub deleted: Option<u64>,
}
