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

use crate::protocol::{FileAnswer, FileTool, WORK};
use crate::spill;
use confine::Tree;

/// Larger files are neither edited nor written: they are data, and they are held in memory several times.
const FILE_BYTES_MAX: usize = 10 << 20;
/// Where git looks for a zero byte when it asks whether a file is binary.
const BINARY_HEAD_BYTES: usize = 8000;

/// Does what `tool` says to the work tree at `root`. Never panics on what stands there and never leaves it, but to
/// read what was kept of outputs.
pub fn answer(root: &Path, tool: &FileTool) -> FileAnswer {
    let work = || Tree::open(root, WORK);
    let answered = match tool {
        FileTool::Read { path, first_line, lines_max, bytes_max } => {
            let wanted =
                read::Wanted { first_line: *first_line, lines_max: *lines_max, bytes_max: *bytes_max };
            let outputs = || Tree::open(Path::new(spill::FOLDER), spill::FOLDER);
            let tree = if spill::is_output(path) { outputs() } else { work() };
            tree.and_then(|tree| read::read(&tree, path, &wanted))
        }
        FileTool::SearchText { pattern, path, glob, matches_max } => {
            let scope = search::Scope { path, glob, matches_max: *matches_max };
            work().and_then(|tree| search::text(&tree, pattern, &scope))
        }
        FileTool::SearchNames { glob, path, matches_max } => {
            let scope = search::Scope { path, glob, matches_max: *matches_max };
            work().and_then(|tree| search::names(&tree, &scope))
        }
        FileTool::Edit { path, passages } => work().and_then(|tree| edit::edit(&tree, path, passages)),
        FileTool::Write { path, bytes } => work().and_then(|tree| write::write(&tree, path, bytes)),
        FileTool::Keep { bytes } => spill::keep(bytes)
            .ok_or_else(|| Refusal("The output cannot be kept: its file cannot be written.".to_owned())),
    };
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
