//! What an edit says when it does nothing: what was tried, what stands there, and what to do instead.

use std::fmt;
use std::fmt::Write as _;

use super::super::{FILE_BYTES_MAX, size};
use super::find::{CANDIDATES_MAX, Match, Needle, lines_of};
use super::{NEAR_LINES_MAX, elision, nearest};
use crate::protocol::Tier;

/// More places than this say no more.
const PLACES_SHOWN_MAX: usize = 10;
/// Of a longer line the beginning is shown.
pub(super) const LINE_CHARS_MAX: usize = 160;

/// Which passage of a call; says nothing when it is the only one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which {
    /// From 1.
    pub(super) number: usize,
    pub(super) of: usize,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of == 1 { Ok(()) } else { write!(f, "passage {} of {}: ", self.number, self.of) }
    }
}

pub(super) fn blank(which: Which, old: &str) -> String {
    let what = if old.is_empty() { "is empty" } else { "is white space only" };
    format!(
        "{which}the old text {what}, which fits anywhere, and the file exists. To replace the whole file use write; to \
         add to it, give a passage that stands there. Nothing was done."
    )
}

pub(super) fn same(which: Which) -> String {
    format!("{which}the old and the new text are the same. Nothing was done.")
}

pub(super) fn nothing_new(which: Which) -> String {
    format!(
        "{which}the new text would change nothing: it differs only in line endings, and this tool keeps those of the \
         file. Nothing was done; line endings are changed with bash."
    )
}

pub(super) fn too_many(which: Which) -> String {
    format!(
        "{which}the old text stands at more than {CANDIDATES_MAX} places. Nothing was done. Give more of the lines \
         around the one that is meant; to replace all, use sed in bash."
    )
}

pub(super) fn too_large(bytes: usize) -> String {
    let (has, most) = (size(bytes as u64), size(FILE_BYTES_MAX as u64));
    format!("the file would have {has}; this tool writes at most {most}. Nothing was done.")
}

pub(super) fn overlapping(content: &[u8], first: usize, second: usize, at: usize) -> String {
    let line = lines_of(content, std::iter::once(at)).first().copied().unwrap_or(1);
    let (first, second) = (first.min(second), first.max(second));
    format!(
        "passages {first} and {second} overlap at line {line}. Make one passage of them. Nothing was done."
    )
}

pub(super) fn ambiguous(
    content: &[u8],
    found: &[Match],
    which: Which,
    near_line: Option<u64>,
) -> super::Refusal {
    let lines = lines_of(content, found.iter().map(|found| found.range.start));
    let how = found.first().map_or("", |found| how(found.tier));
    let mut text = format!("{which}the old text stands at {} places ({how}):\n", found.len());
    for (found, line) in found.iter().zip(lines).take(PLACES_SHOWN_MAX) {
        let start = memchr::memrchr(b'\n', &content[..found.range.start]).map_or(0, |at| at + 1);
        let rest = &content[start..];
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let _ = writeln!(text, "{line:>6} |{}", nearest::visible(&rest[..end]));
    }
    if found.len() > PLACES_SHOWN_MAX {
        let _ = writeln!(text, "       [{} more left out]", found.len() - PLACES_SHOWN_MAX);
    }
    if let Some(line) = near_line {
        let _ = write!(
            text,
            "near_line {line} does not decide: two are equally near, or none is within {NEAR_LINES_MAX} lines. "
        );
    }
    text.push_str(
        "Nothing was done. Give more of the lines around the one that is meant, or near_line, or replace_all for all.",
    );
    super::Refusal(text)
}

pub(super) fn not_found(content: &[u8], needle: &Needle, which: Which) -> String {
    let mut text = format!(
        "{which}the old text was not found. It was looked for as it is, then without regard to line endings, to white \
         space at line ends, to a uniform shift of the indentation, and to typographic quotes, dashes and spaces. \
         Nothing was done."
    );
    if let Some(line) = elision::placeholder(&needle.old, &String::from_utf8_lossy(content)) {
        let line: String = line.chars().take(LINE_CHARS_MAX).collect();
        let _ = write!(text, "\nIts line `{line}` stands nowhere in the file: write out what it stands for.");
    }
    if content.is_empty() {
        text.push_str("\nThe file is empty; use write.");
        return text;
    }
    match nearest::nearest(content, &needle.old) {
        Some(region) => text.push_str(&region),
        None => text.push_str("\nNothing in the file is like it. Read the file again."),
    }
    text
}

/// A tier in words.
fn how(tier: Tier) -> &'static str {
    match tier {
        Tier::Exact => "byte for byte",
        Tier::LineEndings => "but for line endings",
        Tier::TrailingSpace => "but for white space at line ends",
        Tier::Indent => "but for the indentation",
        Tier::Punctuation => "but for typographic quotes, dashes and spaces",
        Tier::Created => "as a new file",
    }
}
