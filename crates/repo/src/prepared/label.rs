//! What is known of a prepared tree, in a file beside what it holds.

use std::fs;
use std::path::Path;

use events::SessionId;
use serde::{Deserialize, Serialize};

use super::PreparedKey;
use crate::{Error, at};

/// The file in the folder of a prepared tree.
const FILE: &str = "label";
/// What a file or folder takes of a disk beside its bytes.
const ENTRY_BYTES: u64 = 4096;

/// What is known of a prepared tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// How it holds over other commits; nothing when it does not.
    pub elsewhere: Option<Elsewhere>,
    /// The session that made it.
    pub made_by: SessionId,
}

/// How a prepared tree holds over other commits than the one it was made over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Of all that decides what is in it.
    pub key: PreparedKey,
    /// The folders of the work tree that are all there is of it. Where a commit holds any of them it does not fit.
    pub folders: Vec<String>,
}

impl Label {
    /// What the tree takes of a disk, rounded up.
    pub(super) fn taken(&self) -> u64 {
        self.entries.saturating_mul(ENTRY_BYTES).saturating_add(self.bytes)
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::system("label a tree", error.into()))?;
        let file = dir.join(FILE);
        at("write", &file, fs::write(&file, text))
    }

    /// That of the tree in `dir`; nothing when there is none.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()
    }
}
