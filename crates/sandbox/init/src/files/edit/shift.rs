//! Finds whole lines whose indentation is shifted by the same amount, and shifts new lines likewise.

use super::find::{CANDIDATES_MAX, Match, Needle};
use super::view::{Blind, View};
use crate::protocol::Tier;

/// The beginning that lines of the passage have, and the one that the file has in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shift {
    from: String,
    to: String,
}

impl Shift {
    /// A line of the passage's new text as the file would have it; a blank line stays as it is.
    pub(super) fn apply(&self, line: &str) -> String {
        match line.strip_prefix(&self.from) {
            Some(rest) if !line.trim().is_empty() => format!("{}{rest}", self.to),
            Some(_) | None => line.to_owned(),
        }
    }
}

/// All runs of whole lines that are the passage but for one shift, which the new text can take as well.
pub(super) fn shifted(view: &View<'_>, needle: &Needle, blind: Blind, tier: Tier) -> Vec<Match> {
    let old = View::new(needle.given.as_bytes(), blind).bytes;
    let (old, ended) = match old.strip_suffix(b"\n") {
        Some(lines) => (lines, true),
        None => (&old[..], false),
    };
    let wanted: Vec<&[u8]> = old.split(|byte| *byte == b'\n').collect();
    let from = common_indent(&wanted, &needle.new);
    let Some(first) = wanted.iter().position(|line| !line.is_empty()) else { return Vec::new() };
    let bare: Vec<&[u8]> = wanted.iter().map(|line| line.get(from.len()..).unwrap_or_default()).collect();
    // The view of a file ends with a line feed, after which there is no line.
    let lines: Vec<&[u8]> = view.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut found = Vec::new();
    let mut start = 0;
    for (index, line) in lines.iter().enumerate() {
        if let Some(window) = lines.get(index..index + wanted.len())
            && let Some(indent) = other_indent(window, &bare, (first, from.as_bytes()))
        {
            let length: usize = window.iter().map(|line| line.len()).sum();
            let end = if ended { start + length } else { start + length - 1 };
            let raw = view.raw_range(&(start..end));
            let to = String::from_utf8_lossy(indent).into_owned();
            found.push(Match { range: raw, tier, shift: Some(Shift { from: from.clone(), to }) });
        }
        start += line.len();
        if found.len() > CANDIDATES_MAX {
            break;
        }
    }
    found
}

/// What all lines that are not blank begin with, of the passage and of the new text.
fn common_indent(old: &[&[u8]], new: &str) -> String {
    let new = new.split('\n').filter(|line| !line.trim().is_empty()).map(str::as_bytes);
    let old = old.iter().copied().filter(|line| !line.is_empty());
    let mut common: Option<&[u8]> = None;
    for line in old.chain(new) {
        let indent = line.len() - line.trim_ascii_start().len();
        let length = match common {
            None => line[..indent].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count(),
            Some(common) => line.iter().zip(common).take_while(|(a, b)| a == b).count(),
        };
        common = Some(&line[..length]);
    }
    String::from_utf8_lossy(common.unwrap_or_default()).into_owned()
}

/// The indentation, another than `from`, that every line of `window` has before the line of `bare`; none when they differ
/// otherwise. The line `first` is not blank.
fn other_indent<'v>(window: &[&'v [u8]], bare: &[&[u8]], (first, from): (usize, &[u8])) -> Option<&'v [u8]> {
    let text = |line: &'v [u8]| line.strip_suffix(b"\n").unwrap_or(line);
    let indent = text(window[first]).strip_suffix(bare[first])?;
    if indent == from || !indent.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
        return None;
    }
    let alike = window.iter().zip(bare).all(|(line, bare)| {
        let line = text(line);
        // A blank line has no indentation in the view.
        if bare.is_empty() { line.is_empty() } else { line.strip_prefix(indent) == Some(*bare) }
    });
    alike.then_some(indent)
}
