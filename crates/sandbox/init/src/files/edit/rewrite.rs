//! The bytes that replace a match: lines that the passage does not change stay as the file has them.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::find::{Match, Needle};
use super::shift::Shift;
use super::view::without_ending;
use crate::protocol::Tier;

/// Of passages with more pairs of lines, the lines are compared one by one in their order, which takes no time.
const PAIRS_MAX: usize = 1_000_000;

/// What stands in place of `found` afterwards.
pub(super) fn rewrite(content: &[u8], needle: &Needle, found: &Match) -> Vec<u8> {
    let raw = &content[found.range.clone()];
    let (mut old, mut new) = (needle.old.as_str(), needle.new.as_str());
    // The passage ends a line that the file's end leaves open: so it stays.
    if old.ends_with('\n') && !raw.ends_with(b"\n") {
        old = &old[..old.len() - 1];
        new = new.strip_suffix('\n').unwrap_or(new);
    }
    let file = pieces(raw);
    let old: Vec<&str> = old.split('\n').collect();
    let new: Vec<&str> = new.split('\n').collect();
    // A new line ends like the one it replaces, or like the one before it, or like its neighbours in the file.
    let mut ending = (file.iter().find_map(|piece| piece.ending))
        .or_else(|| ending_near(content, &found.range))
        .unwrap_or(needle.new_ending);
    let mut out = Vec::with_capacity(raw.len() + needle.new.len());
    for (index, source) in sources(&old, &new).into_iter().enumerate() {
        let piece = match source {
            Source::Kept(at) | Source::Instead(at) => file.get(at),
            Source::Added => None,
        };
        match (source, piece) {
            (Source::Kept(_), Some(piece)) => out.extend_from_slice(piece.text),
            (Source::Instead(at), Some(piece)) if found.tier == Tier::Punctuation => {
                out.extend(carried(piece.text, old[at], new[index], found.shift.as_ref()).into_bytes());
            }
            _ => out.extend(shifted(new[index], found.shift.as_ref()).into_bytes()),
        }
        ending = piece.and_then(|piece| piece.ending).unwrap_or(ending);
        if index + 1 < new.len() {
            out.extend_from_slice(ending.as_bytes());
        }
    }
    out
}

/// A line of the file within a match, or the part of it that is within.
struct Piece<'a> {
    text: &'a [u8],
    /// None for the last one, which the match does not end.
    ending: Option<&'static str>,
}

fn pieces(raw: &[u8]) -> Vec<Piece<'_>> {
    let pieces = raw.split(|byte| *byte == b'\n').map(|text| Piece { text, ending: Some("\n") });
    let mut pieces: Vec<Piece<'_>> = pieces.collect();
    if let Some(last) = pieces.last_mut() {
        last.ending = None;
    }
    for piece in &mut pieces {
        if let (Some(_), Some(text)) = (piece.ending, piece.text.strip_suffix(b"\r")) {
            *piece = Piece { text, ending: Some("\r\n") };
        }
    }
    pieces
}

/// How the line ends in which the match ends; without one, how the line before it ends.
fn ending_near(content: &[u8], range: &Range<usize>) -> Option<&'static str> {
    let after = memchr::memchr(b'\n', &content[range.end..]).map(|at| range.end + at);
    let feed = after.or_else(|| memchr::memrchr(b'\n', &content[..range.start]))?;
    let line = &content[..=feed];
    Some(if line.len() - without_ending(line).len() == 2 { "\r\n" } else { "\n" })
}

/// Where a line of the new text comes from.
#[derive(Clone, Copy)]
enum Source {
    /// It is this line of the old text, unchanged.
    Kept(usize),
    /// It replaces this line of the old text.
    Instead(usize),
    /// It is new.
    Added,
}

/// The source of each line of `new`.
fn sources(old: &[&str], new: &[&str]) -> Vec<Source> {
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        let in_order = new.iter().enumerate().map(|(at, line)| match old.get(at) {
            Some(same) if same == line => Source::Kept(at),
            Some(_) => Source::Instead(at),
            None => Source::Added,
        });
        return in_order.collect();
    }
    let mut sources = Vec::with_capacity(new.len());
    for op in capture_diff_slices(Algorithm::Myers, old, new) {
        match op {
            DiffOp::Equal { old_index, len, .. } => {
                sources.extend((old_index..old_index + len).map(Source::Kept))
            }
            DiffOp::Insert { new_len, .. } => sources.extend((0..new_len).map(|_| Source::Added)),
            DiffOp::Replace { old_index, old_len, new_len, .. } => sources.extend(
                (0..new_len)
                    .map(|at| if at < old_len { Source::Instead(old_index + at) } else { Source::Added }),
            ),
            DiffOp::Delete { .. } => {}
        }
    }
    sources
}

fn shifted(line: &str, shift: Option<&Shift>) -> String {
    shift.map_or_else(|| line.to_owned(), |shift| shift.apply(line))
}

/// The new line with the file's own characters where old and new agree: the old text may have them in a plainer form.
fn carried(file: &[u8], old: &str, new: &str, shift: Option<&Shift>) -> String {
    let new = shifted(new, shift);
    let old: Vec<char> = shifted(old, shift).trim_end().chars().collect();
    let file: Vec<char> = String::from_utf8_lossy(file).trim_end().chars().collect();
    if old.len() != file.len() {
        return new;
    }
    let new: Vec<char> = new.chars().collect();
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let both = old.len().min(new.len()) - before;
    let after = old.iter().rev().zip(new.iter().rev()).take(both).take_while(|(a, b)| a == b).count();
    let middle = &new[before..new.len() - after];
    file[..before].iter().chain(middle).chain(&file[file.len() - after..]).collect()
}
