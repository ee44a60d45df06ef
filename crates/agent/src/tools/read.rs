//! `read`: lines of a file, or the names in a folder.

use std::fmt::Write as _;

use events::Shown;
use sandbox::{FileAnswer, FileTool};
use serde::Deserialize;

use super::{Done, RESULT_BYTES_MAX, Tool, Trouble, arguments};
use crate::Bench;

/// Lines given when the model asks for no number.
const LINES_DEFAULT: u64 = 400;
/// More lines than this are never given at once.
const LINES_MAX: u64 = 2000;
/// More text than this, and line numbers no longer fit beside it within the bound on results.
const BYTES_MAX: u64 = 20 * 1024;
/// Leaves room for the closing line within the bound on results.
const NUMBERED_BYTES_MAX: usize = RESULT_BYTES_MAX - 256;

pub(super) const TOOL: Tool = Tool {
    name: "read",
    description: "Read lines of a text file (numbered), or list a folder. Page on with first_line.",
    parameters: r#"{"type":"object","properties":{"path":{"type":"string","description":"relative to /work, or a kept output"},"first_line":{"type":"integer","minimum":1},"lines":{"type":"integer","minimum":1,"maximum":2000}},"required":["path"],"additionalProperties":false}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    first_line: Option<u64>,
    lines: Option<u64>,
}

pub(super) async fn run(text: &str, bench: &Bench<'_>) -> Result<Done, Trouble> {
    let Arguments { path, .. } = arguments(&TOOL, text)?;
    told(path, bench.sandbox.file(&asked(text)?).await?)
}

/// What the sandbox is asked.
pub(super) fn asked(text: &str) -> Result<FileTool, Trouble> {
    let Arguments { path, first_line, lines } = arguments(&TOOL, text)?;
    Ok(FileTool::Read {
        path,
        first_line: first_line.unwrap_or(1).max(1),
        lines_max: lines.unwrap_or(LINES_DEFAULT).clamp(1, LINES_MAX),
        bytes_max: BYTES_MAX,
    })
}

/// What the model is told of its answer.
pub(super) fn told(path: String, answer: FileAnswer) -> Result<Done, Trouble> {
    match answer {
        FileAnswer::Read { text, first_line, lines, lines_total, bytes_total: _ } => {
            let (mut result, fitting) = numbered(&text, first_line);
            let lines = lines.min(fitting);
            let last = first_line + lines.saturating_sub(1);
            if lines == 0 {
                let _ = write!(result, "[no lines: the file has {lines_total}]");
            } else if last < lines_total {
                let next = last + 1;
                let _ = write!(
                    result,
                    "[lines {first_line} to {last} of {lines_total}; page on with first_line {next}]"
                );
            } else if first_line > 1 {
                let _ = write!(result, "[lines {first_line} to {last} of {lines_total}]");
            }
            Ok(Done::of(result, Shown::Read { path, lines }))
        }
        FileAnswer::Folder { names, total } => {
            let left_out = total.saturating_sub(names.len() as u64);
            let more =
                if left_out > 0 { format!("\n[{left_out} more names left out]") } else { String::new() };
            let lines = names.len() as u64;
            Ok(Done::of(names.join("\n") + &more, Shown::Read { path, lines }))
        }
        FileAnswer::Refused(why) => Err(Trouble::Refused(why)),
        other @ (FileAnswer::Found { .. }
        | FileAnswer::Edited { .. }
        | FileAnswer::Written { .. }
        | FileAnswer::Kept { .. }) => Err(super::answered_amiss(&other)),
    }
}

/// The answer that the model was told as `result`.
pub(super) fn recalled(result: &str) -> FileAnswer {
    let (mut text, mut first_line, mut lines) = (String::new(), 1, 0);
    for line in result.split_inclusive('\n') {
        let Some((number, content)) = line.split_once('\t').filter(|(number, _)| number.len() >= 5) else {
            break;
        };
        let Ok(number) = number.trim_start().parse::<u64>() else { break };
        if lines == 0 {
            first_line = number;
        }
        text.push_str(content);
        lines += 1;
    }
    let closing = result.rsplit('\n').next().unwrap_or_default();
    let of = |before: &str| closing.rsplit_once(before).and_then(|(_, rest)| whole_number(rest));
    let total = match of(" of ").filter(|_| closing.starts_with("[lines ")) {
        Some(total) => total,
        None if closing.starts_with("[no lines: ") => of(" has ").unwrap_or(0),
        None if lines > 0 => first_line + lines - 1,
        None => return folder_recalled(result),
    };
    FileAnswer::Read { bytes_total: text.len() as u64, text, first_line, lines, lines_total: total }
}

fn folder_recalled(result: &str) -> FileAnswer {
    let mut names: Vec<String> = result.lines().map(str::to_owned).collect();
    let more = names.last().and_then(|last| last.strip_prefix('[')?.strip_suffix(" more names left out]"));
    let left_out = more.and_then(whole_number);
    if left_out.is_some() {
        names.pop();
    }
    FileAnswer::Folder { total: names.len() as u64 + left_out.unwrap_or(0), names }
}

/// The number that `text` begins with.
fn whole_number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse().ok()
}

/// The lines of `text` with their numbers before them, as many as fit, and how many these are. The first one is always
/// given: without it there would be no paging on.
fn numbered(text: &str, first_line: u64) -> (String, u64) {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut lines = 0;
    for (line, number) in text.split_inclusive('\n').zip(first_line..) {
        let whole = out.len();
        let _ = write!(out, "{number:>5}\t{line}");
        if out.len() > NUMBERED_BYTES_MAX && lines > 0 {
            out.truncate(whole);
            break;
        }
        lines += 1;
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    (out, lines)
}
