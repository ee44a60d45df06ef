//! What a sandbox was asked and answered, read back from what a log tells of a tool call: for playing a session where there
//! is no sandbox.

use events::{FileEdited, Shown, ToolFinished};
use model::ToolCall;
use sandbox::{FileAnswer, FileTool, Ran};

use crate::tools;

/// One question to a sandbox, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// A command was run.
    Ran {
        /// Its text.
        script: String,
        /// What came of it.
        ran: Ran,
    },
    /// A command was run, and the session ended before it did.
    Interrupted {
        /// Its text.
        script: String,
    },
    /// A file tool was used.
    File {
        /// What was asked.
        tool: FileTool,
        /// What was answered.
        answer: FileAnswer,
    },
    /// A result that was too long was kept.
    Kept {
        /// Where, and how much of it.
        answer: FileAnswer,
    },
}

/// What the sandbox was asked for `call`, in order, when the log tells `finished` and `edits` of it.
///
/// Nothing for calls that never reached it; and what a later release asks otherwise is not found here: then the replay
/// says so.
pub fn exchanges(call: &ToolCall, finished: &ToolFinished, edits: &[FileEdited]) -> Vec<Exchange> {
    let whole = Whole::of(finished);
    let first = if finished.result.starts_with("Not run: ") {
        None
    } else if let (true, Shown::Other { .. }) = (finished.failed, &finished.shown) {
        let why = FileAnswer::Refused(whole.result.clone());
        tools::file_asked(call).map(|tool| Exchange::File { tool, answer: why })
    } else {
        tools::recalled(call, finished, &whole.result, edits)
    };
    first.into_iter().chain(whole.kept.map(|answer| Exchange::Kept { answer })).collect()
}

/// A result as it was before it was cut and noted upon.
struct Whole {
    result: String,
    /// Where it was kept, when it was too long.
    kept: Option<FileAnswer>,
}

impl Whole {
    fn of(finished: &ToolFinished) -> Self {
        let (mut result, kept) = mended(finished);
        while let Some((rest, _)) = result.rsplit_once("\n[note: ").filter(|(_, note)| note.ends_with(']')) {
            result.truncate(rest.len());
        }
        Self { result, kept }
    }
}

/// The result with something of the right length in the place of what was left out, so that it is cut again alike.
fn mended(finished: &ToolFinished) -> (String, Option<FileAnswer>) {
    let result = &finished.result;
    let whole = || (result.clone(), None);
    let Some((head, rest)) = result.split_once("\n[… ") else { return whole() };
    let Some((cut, tail)) = rest.split_once(" …]\n") else { return whole() };
    let Some((bytes, place)) = cut.split_once(" bytes left out") else { return whole() };
    let Ok(bytes) = bytes.parse::<usize>() else { return whole() };
    // The output of a command is cut inside the sandbox: that is its answer.
    if !result.ends_with(tail) || result.len() <= tools::RESULT_BYTES_MAX || bytes > LEFT_OUT_BYTES_MAX {
        return whole();
    }
    let total = (head.len() + bytes + tail.len()) as u64;
    let answer = kept(place, total);
    let wanted = tools::lines_told(&finished.shown, tail);
    let there = head.matches('\n').count() + tail.matches('\n').count() + 1;
    let breaks = wanted.saturating_sub(there).min(bytes);
    let filling = "\n".repeat(breaks) + &"·".repeat((bytes - breaks) / 2) + &"-".repeat((bytes - breaks) % 2);
    (format!("{head}{filling}{tail}"), Some(answer))
}

/// More was never left out of a result.
const LEFT_OUT_BYTES_MAX: usize = 64 << 20;

/// The answer that made the sentence in the middle end with `place`.
fn kept(place: &str, total: u64) -> FileAnswer {
    if let Some(path) = place.strip_prefix("; all of it is in ") {
        let path = path.strip_suffix(", to page with `read`").unwrap_or(path);
        return FileAnswer::Kept { path: path.to_owned(), bytes: total };
    }
    let first = place.strip_prefix("; the first ").and_then(|rest| rest.split_once(" bytes are in "));
    match first.and_then(|(bytes, path)| Some((bytes.parse().ok()?, path))) {
        Some((bytes, path)) => FileAnswer::Kept { path: path.to_owned(), bytes },
        None => FileAnswer::Refused("it could not be kept".to_owned()),
    }
}
