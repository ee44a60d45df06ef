//! What is said of a work tree that is laid piece by piece from outside: where no overlay can be mounted, its files are
//! sent, and what became of them is asked.

use serde::{Deserialize, Serialize};

/// Longer files come, and are told, in several pieces.
pub const PIECE_BYTES_MAX: usize = 4 << 20;

/// Where something is laid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// The work tree.
    Work,
    /// The home folder.
    Home,
}

/// Dependencies lie deep, and whoever goes down holds a descriptor open for every level.
pub const ADDED_DEPTH_MAX: usize = 128;
/// Topmost new paths beyond this many are not told: whoever wants to know them wants to know all.
pub const ROOTS_MAX: usize = 1_000;

/// Seconds and nanoseconds since 1970.
pub type Time = (i64, u32);

/// A piece of a work tree, or of a home folder. Folders come before what is in them; what has a path stands alone at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// A folder.
    Folder {
        /// Relative to the work tree, `/` between its parts.
        path: Vec<u8>,
        /// Its permissions.
        mode: u32,
        /// When it was last changed.
        modified: Time,
    },
    /// A symbolic link.
    Symlink {
        /// Relative to the work tree.
        path: Vec<u8>,
        /// Where it leads.
        target: Vec<u8>,
        /// When it was last changed.
        modified: Time,
    },
    /// One more name of a file that came before.
    Link {
        /// Relative to the work tree.
        path: Vec<u8>,
        /// The file's first name.
        to: Vec<u8>,
    },
    /// A file, or its first bytes.
    File {
        /// Relative to the work tree.
        path: Vec<u8>,
        /// Its permissions.
        mode: u32,
        /// When it was last changed. Builds and git compare that.
        modified: Time,
        /// At most [`PIECE_BYTES_MAX`].
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// More of the file that came last.
    More {
        /// At most [`PIECE_BYTES_MAX`].
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
}

/// What differs between a work tree and what was laid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Sorted by path, each path once. A folder that went is told as its files.
    pub paths: Vec<Changed>,
    /// There are more than fit an answer.
    pub truncated: bool,
}

/// What stands where nothing was laid, in so far as it is not told by its pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The topmost new paths, at most [`ROOTS_MAX`]; nothing when there are more.
    pub roots: Option<Vec<Vec<u8>>>,
    /// Some of the paths at which what was laid has changed or gone.
    pub undone: Vec<Vec<u8>>,
    /// How many there are of them. What was in a folder that is gone is not counted.
    pub undone_total: u64,
    /// There are folders deeper than [`ADDED_DEPTH_MAX`], which are not told of.
    pub too_deep: bool,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Relative to the work tree.
    pub path: Vec<u8>,
    /// What stands there now.
    pub kind: Kind,
    /// Tells two states of it apart.
    pub stamp: Stamp,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
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
    /// Something else.
    Special,
}

/// What tells two states of a path apart without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The inode number.
    pub inode: u64,
    /// The time of the last change of content or metadata, in nanoseconds.
    pub ctime_ns: i128,
}

/// The content of a changed path, when it is what was listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The path as it was listed.
    pub changed: Changed,
    /// The first byte of a file that is wanted.
    pub offset: u64,
    /// At most so many bytes, and at most [`PIECE_BYTES_MAX`].
    pub bytes_max: u64,
}

/// What stands at a changed path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// A regular file's bytes.
    File {
        /// What was wanted of them; fewer at the file's end.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// The stamp to ask on with: to read what nobody may read changes it.
        stamp: Stamp,
    },
    /// A link's target.
    Symlink(Vec<u8>),
    /// Nothing.
    Deleted,
    /// It is no longer what was listed.
    Other,
}
