//! Finds where a passage stands, by the strictest rule that finds it at all.

use std::cell::OnceCell;
use std::ops::Range;

use memchr::memmem::Finder;

use super::shift::{Shift, shifted};
use super::view::{Blind, View};
use crate::protocol::Tier;

/// More places than this are not told apart one by one.
pub(super) const CANDIDATES_MAX: usize = 1000;

const BOM: char = '\u{feff}';

/// A passage to look for and what shall replace it, both with line feeds only and without a byte order mark.
pub(super) struct Needle {
    /// As it was given.
    pub(super) given: String,
    /// What is looked for.
    pub(super) old: String,
    /// What shall stand there.
    pub(super) new: String,
    /// The ending of the new text's first line, for a file that has none of its own.
    pub(super) new_ending: &'static str,
}

impl Needle {
    pub(super) fn new(old: &str, new: &str) -> Self {
        let given = old.strip_prefix(BOM).unwrap_or(old);
        let new = new.strip_prefix(BOM).unwrap_or(new);
        let first = new.find('\n').unwrap_or(0);
        let new_ending = if first > 0 && new.as_bytes()[first - 1] == b'\r' { "\r\n" } else { "\n" };
        Self {
            given: given.to_owned(),
            old: given.replace("\r\n", "\n"),
            new: new.replace("\r\n", "\n"),
            new_ending,
        }
    }
}

/// A file's content with its views, each made when first looked at.
pub(super) struct Text<'a> {
    pub(super) content: &'a [u8],
    views: [OnceCell<View<'a>>; 3],
}

impl<'a> Text<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self { content, views: [const { OnceCell::new() }; 3] }
    }

    fn view(&self, blind: Blind) -> &View<'a> {
        self.views[blind as usize].get_or_init(|| View::of_file(self.content, blind))
    }
}

/// A place where a passage stands.
#[derive(Debug, Clone)]
pub(super) struct Match {
    /// The bytes of the file.
    pub(super) range: Range<usize>,
    /// By which rule.
    pub(super) tier: Tier,
    /// How the indentation differs.
    pub(super) shift: Option<Shift>,
}

/// All places where the passage stands by the first rule that finds any, in the order of the file; they may overlap.
/// At most one more than [`CANDIDATES_MAX`], which are then not all.
pub(super) fn find(text: &Text<'_>, needle: &Needle) -> Vec<Match> {
    let rules: [(Blind, Option<Tier>); 3] = [
        (Blind::LineEndings, None),
        (Blind::TrailingSpace, Some(Tier::Indent)),
        (Blind::Punctuation, Some(Tier::Punctuation)),
    ];
    for (blind, shifted_tier) in rules {
        let view = text.view(blind);
        let found = side_by_side(view, text.content, needle, blind);
        if !found.is_empty() {
            return found;
        }
        let Some(tier) = shifted_tier else { continue };
        let found = shifted(view, needle, blind, tier);
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Of the places of one rule, those by its strictest tier: [`find`] tells line endings apart within one rule.
pub(super) fn strictest(found: Vec<Match>) -> Vec<Match> {
    let strictest = found.iter().map(|found| found.tier).min();
    found.into_iter().filter(|found| Some(found.tier) == strictest).collect()
}

/// Of places in order, those that do not overlap an earlier one.
pub(super) fn apart(found: Vec<Match>) -> Vec<Match> {
    let mut end = 0;
    let mut apart = found;
    apart.retain(|found| {
        let keep = found.range.start >= end;
        if keep {
            end = found.range.end;
        }
        keep
    });
    apart
}

/// The line numbers of offsets, in the offsets' order.
pub(super) fn lines_of(content: &[u8], offsets: impl Iterator<Item = usize>) -> Vec<u64> {
    let mut in_order: Vec<(usize, usize)> =
        offsets.enumerate().map(|(index, offset)| (offset, index)).collect();
    in_order.sort_unstable();
    let mut lines = vec![0; in_order.len()];
    let (mut line, mut done) = (1, 0);
    for (offset, index) in in_order {
        line += memchr::memchr_iter(b'\n', &content[done..offset]).count() as u64;
        done = offset;
        lines[index] = line;
    }
    lines
}

/// The places where the view holds the passage's view as it is.
fn side_by_side(view: &View<'_>, content: &[u8], needle: &Needle, blind: Blind) -> Vec<Match> {
    let mut ranges = Vec::new();
    for wanted in wanted(&needle.given, blind) {
        let finder = Finder::new(&wanted.bytes);
        let mut from = 0;
        while let Some(at) = view.bytes.get(from..).and_then(|rest| finder.find(rest)) {
            let range = from + at..from + at + wanted.bytes.len();
            let ends_line = view.bytes.get(range.end).is_none_or(|byte| *byte == b'\n');
            if ends_line || !wanted.to_line_end {
                ranges.push(view.raw_range(&range));
            }
            from += at + 1;
            if ranges.len() > CANDIDATES_MAX {
                break;
            }
        }
    }
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    ranges.dedup();
    let tier_of = |range: &Range<usize>| match blind {
        Blind::LineEndings if content[range.clone()] == *needle.given.as_bytes() => Tier::Exact,
        Blind::LineEndings => Tier::LineEndings,
        Blind::TrailingSpace => Tier::TrailingSpace,
        Blind::Punctuation => Tier::Punctuation,
    };
    ranges.into_iter().map(|range| Match { tier: tier_of(&range), range, shift: None }).collect()
}

/// A form of the passage to look for in a view.
struct Wanted {
    bytes: Vec<u8>,
    /// White space was cut from its end, so it stands only where a line ends.
    to_line_end: bool,
}

/// The passage in a view. Where white space at line ends is not looked at, the white space at its own end may belong to
/// a line end, or to what follows in the middle of a line: both are looked for.
fn wanted(given: &str, blind: Blind) -> Vec<Wanted> {
    let whole = View::new(given.as_bytes(), blind).bytes;
    // A character that is no space keeps the view from cutting what stands before it.
    let mut held = View::new(format!("{given}x").as_bytes(), blind).bytes;
    held.pop();
    let cut = Wanted { to_line_end: held != whole, bytes: whole };
    if cut.to_line_end { vec![Wanted { bytes: held, to_line_end: false }, cut] } else { vec![cut] }
}
