//! The lines of a recording, as they are written.

use events::{Oid, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    /// The first one.
    Recording(Head),
    /// An entry of the log.
    Entry(EntryLine),
    /// The code that the session worked on; its pack follows.
    Code(CodeLine),
    /// The code is not in the file.
    CodeLeftOut(CodeLeftOutLine),
    /// A piece of the pack, in base64.
    Pack(String),
    /// The last one.
    End(EndLine),
}

/// What the file is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Raised by every change that a reader has to know of.
    pub(super) format: u32,
    /// The release of `backspace` that wrote the file.
    pub(super) release: String,
    pub(super) session: SessionId,
}

/// The one thing of the first line that no format changes.
#[derive(Debug, Deserialize)]
pub(super) struct Probe {
    pub(super) recording: ProbedHead,
}

/// See [`Probe`].
#[derive(Debug, Deserialize)]
pub(super) struct ProbedHead {
    pub(super) format: u32,
}

/// An entry as the log has it; the payload byte for byte, but for secrets.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryLine {
    pub(super) seq: u64,
    pub(super) attempt: u32,
    pub(super) at_us: i64,
    pub(super) kind: String,
    pub(super) version: u32,
    pub(super) payload: Box<RawValue>,
}

/// The code in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeLine {
    pub(super) commit: Oid,
    /// The commits at which the history ends although they have parents.
    pub(super) ends: Vec<Oid>,
    pub(super) pack_bytes: u64,
}

/// Which code is missing, and why.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeLeftOutLine {
    pub(super) commit: Oid,
    pub(super) why: String,
}

/// The end of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    /// How many lines stand before this one.
    pub(super) lines: u64,
}
