//! A session as one portable file: its log, and the code that it worked on.
//!
//! JSON Lines, so that it can be searched and read in part. The lines, in this order:
//!
//! 1. `{"recording": …}`: the format, the release that wrote the file, the session.
//! 2. `{"entry": …}`, one for each entry of the log, from the first.
//! 3. `{"code": …}` with the base commit, and `{"pack": "…"}`, a git pack in pieces of base64; or `{"code_left_out": …}`,
//!    which says why there is none. Neither for a session that never had a base.
//! 4. `{"end": …}` with the number of lines before it: a file without it is cut.
//!
//! It is made from the log alone, at any time and for any session; what is not in the log is not in it, but for the code.

mod code;
mod line;
mod read;
mod write;

use events::{Branch, Entry, Oid, SessionId};
use repo::Packed;

pub use read::ReadError;
pub use write::WriteError;
pub(crate) use write::write;

/// The format that this release writes, and the latest that it reads.
const FORMAT: u32 = 1;

/// A session, read back from its file.
#[derive(Debug)]
pub struct Recording {
    /// The release that wrote the file.
    pub release: String,
    /// The session.
    pub session: SessionId,
    /// Its log, from its first entry without a gap.
    pub entries: Vec<Entry>,
    /// The code that it worked on; nothing when it never had a base.
    pub code: Option<Code>,
}

/// The code that a session worked on.
#[derive(Debug)]
pub struct Code {
    /// The branch that it was started from.
    pub branch: Branch,
    /// The commit that it was started from.
    pub commit: Oid,
    /// That commit and the steps made on it; or why they are not in the file.
    pub packed: Result<Packed, String>,
}

/// What of a session goes into its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// The log, and the code when it is small enough and holds no secret of ours.
    WithCode,
    /// The log alone: code may be nobody else's to read.
    LogAlone,
}

#[cfg(test)]
mod tests;
