//! The tools that read, search and change files of the work tree, from inside the sandbox.

mod confine;
pub mod edit;
mod missing;
mod read;
mod replace;
mod search;
mod walk;
mod write;

use std::fmt;
use std::path::Path;

use crate::protocol::{FileAnswer, FileTool};
use confine::Tree;

/// Larger files are neither edited nor written: they are data, and they are held in memory several times.
const FILE_BYTES_MAX: usize = 10 << 20;
/// Where git looks for a zero byte when it asks whether a file is binary.
const BINARY_HEAD_BYTES: usize = 8000;

/// Does what `tool` says to the work tree at `root`. Never panics on what stands there and never leaves it.
pub fn answer(root: &Path, tool: &FileTool) -> FileAnswer {
    let answered = Tree::open(root).and_then(|tree| match tool {
        FileTool::Read { path, first_line, lines_max, bytes_max } => {
            let wanted =
                read::Wanted { first_line: *first_line, lines_max: *lines_max, bytes_max: *bytes_max };
            read::read(&tree, path, &wanted)
        }
        FileTool::SearchText { pattern, path, glob, matches_max } => {
            search::text(&tree, pattern, &search::Scope { path, glob, matches_max: *matches_max })
        }
        FileTool::SearchNames { glob, path, matches_max } => {
            search::names(&tree, &search::Scope { path, glob, matches_max: *matches_max })
        }
        FileTool::Edit { path, passages } => edit::edit(&tree, path, passages),
        FileTool::Write { path, bytes } => write::write(&tree, path, bytes),
    });
    answered.unwrap_or_else(|Refusal(why)| FileAnswer::Refused(why))
}

/// Why nothing was done, in words for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses with these words.
fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(why.into()))
}

/// Whether a file that begins with `head` is binary, by git's rule.
fn is_binary(head: &[u8]) -> bool {
    head.iter().take(BINARY_HEAD_BYTES).any(|byte| *byte == 0)
}

/// A size for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests;
