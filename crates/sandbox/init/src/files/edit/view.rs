//! A text without what a tier does not look at, and the way back to the bytes it was made from.

use std::ops::Range;

/// A byte order mark in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What is not looked at. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Blind {
    /// A carriage return before a line feed.
    LineEndings,
    /// Spaces and tabs at line ends.
    TrailingSpace,
    /// Which dash, quote or space it is.
    Punctuation,
}

/// The text as it is compared.
pub(super) struct View<'a> {
    raw: &'a [u8],
    /// What is compared.
    pub(super) bytes: Vec<u8>,
    /// Where bytes of the view and raw bytes go side by side anew.
    runs: Vec<Run>,
}

#[derive(Clone, Copy)]
struct Run {
    view: usize,
    raw: usize,
}

impl<'a> View<'a> {
    /// The view of `raw`.
    pub(super) fn new(raw: &'a [u8], blind: Blind) -> Self {
        Self::from(raw, 0, blind)
    }

    /// The view of a file: its byte order mark is no part of the first line, and its last line is taken as ended, so
    /// that a passage may say so.
    pub(super) fn of_file(raw: &'a [u8], blind: Blind) -> Self {
        let mut view = Self::from(raw, if raw.starts_with(BOM) { BOM.len() } else { 0 }, blind);
        if !raw.is_empty() && !raw.ends_with(b"\n") {
            view.push(b'\n', raw.len());
        }
        view
    }

    fn from(raw: &'a [u8], mut at: usize, blind: Blind) -> Self {
        let mut view =
            Self { raw, bytes: Vec::with_capacity(raw.len() + 1), runs: vec![Run { view: 0, raw: at }] };
        for line in raw[at..].split_inclusive(|byte| *byte == b'\n') {
            let text = without_ending(line);
            let text = if blind >= Blind::TrailingSpace { without_space(text, blind) } else { text };
            view.push_text(text, at, blind);
            at += line.len();
            if line.ends_with(b"\n") {
                view.push(b'\n', at - 1);
            }
        }
        view
    }

    /// The raw bytes behind `range` of the view, which is not empty. Never splits a line ending.
    pub(super) fn raw_range(&self, range: &Range<usize>) -> Range<usize> {
        let last = range.end - 1;
        let end = self.raw_at(last);
        let end = match self.raw.get(end) {
            None => self.raw.len(),
            // A byte of the view that stands for a whole character.
            Some(raw) if *raw >= 0x80 && self.bytes[last] < 0x80 => {
                end + plain(&self.raw[end..]).map_or(1, |(_, length)| length)
            }
            Some(_) => end + 1,
        };
        self.raw_start(range.start)..end
    }

    /// Where the raw bytes behind the view's byte `at` begin.
    pub(super) fn raw_start(&self, at: usize) -> usize {
        let raw = self.raw_at(at);
        let ends_line = self.raw.get(raw) == Some(&b'\n');
        if ends_line && raw > 0 && self.raw[raw - 1] == b'\r' { raw - 1 } else { raw }
    }

    fn raw_at(&self, at: usize) -> usize {
        let run = self.runs[self.runs.partition_point(|run| run.view <= at) - 1];
        run.raw + (at - run.view)
    }

    fn push_text(&mut self, text: &[u8], mut raw: usize, blind: Blind) {
        if blind < Blind::Punctuation {
            self.note(raw);
            self.bytes.extend_from_slice(text);
            return;
        }
        let end = raw + text.len();
        while raw < end {
            match plain(&self.raw[raw..end]) {
                Some((byte, length)) => {
                    self.push(byte, raw);
                    raw += length;
                }
                None => {
                    self.push(self.raw[raw], raw);
                    raw += 1;
                }
            }
        }
    }

    fn push(&mut self, byte: u8, raw: usize) {
        self.note(raw);
        self.bytes.push(byte);
    }

    /// Notes that the next byte of the view stands for the one at `raw`.
    fn note(&mut self, raw: usize) {
        let next = self.bytes.len();
        if let Some(last) = self.runs.last_mut() {
            if last.view == next {
                last.raw = raw;
                return;
            }
            if last.raw + (next - last.view) == raw {
                return;
            }
        }
        self.runs.push(Run { view: next, raw });
    }
}

/// A line without its ending.
pub(super) fn without_ending(line: &[u8]) -> &[u8] {
    let Some(text) = line.strip_suffix(b"\n") else { return line };
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn without_space(mut text: &[u8], blind: Blind) -> &[u8] {
    loop {
        let shorter = match text {
            [rest @ .., b' ' | b'\t'] => rest,
            _ if blind < Blind::Punctuation => return text,
            [rest @ .., 0xC2, 0xA0] => rest,
            [rest @ .., 0xE2 | 0xE3, _, _] if plain(&text[rest.len()..]) == Some((b' ', 3)) => rest,
            _ => return text,
        };
        text = shorter;
    }
}

/// The ASCII character that typography replaced by the one that `raw` begins with, and how long that one is.
fn plain(raw: &[u8]) -> Option<(u8, usize)> {
    match raw {
        // No-break space.
        [0xC2, 0xA0, ..] => Some((b' ', 2)),
        // U+2000 to U+200A, U+202F, U+205F, U+3000: spaces.
        [0xE2, 0x80, 0x80..=0x8A | 0xAF, ..] | [0xE2, 0x81, 0x9F, ..] | [0xE3, 0x80, 0x80, ..] => {
            Some((b' ', 3))
        }
        // U+2010 to U+2015, U+2212: hyphens, dashes, the minus sign.
        [0xE2, 0x80, 0x90..=0x95, ..] | [0xE2, 0x88, 0x92, ..] => Some((b'-', 3)),
        // U+2018 to U+201B: single quotes.
        [0xE2, 0x80, 0x98..=0x9B, ..] => Some((b'\'', 3)),
        // U+201C to U+201F: double quotes.
        [0xE2, 0x80, 0x9C..=0x9F, ..] => Some((b'"', 3)),
        _ => None,
    }
}
