//! Text as it was before a program laid it out in lines and columns: without white space, and the digits of dumps alone.

use std::ops::Range;

/// What stands for what parts two stretches: no writing of a secret that is looked for here holds it.
const PARTED: u8 = b' ';
/// White space beyond this parts: programs indent and wrap by less, and text that grows is not held back for more.
const GAP_BYTES_MAX: usize = 64;
/// The digits of an offset at the beginning of a line: those of `od` and all others.
const OFFSET_DIGITS: std::ops::RangeInclusive<usize> = 6..=16;
/// The digits of the longest group that `xxd` makes.
const GROUP_DIGITS_MAX: usize = 16;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// As it is.
    Plain,
    /// As a JSON document: a line break is two characters, and what quotes part stays apart.
    Json,
}

/// `text` without white space, neither as it is nor as JSON escapes it.
pub(super) fn joined(text: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(text.len());
    each_joined(text, |_, byte| joined.push(byte));
    joined
}

/// Where in `text` each byte of [`joined`] stands.
pub(super) fn places(text: &[u8]) -> Vec<usize> {
    let mut places = Vec::with_capacity(text.len());
    each_joined(text, |at, _| places.push(at));
    places
}

fn each_joined(text: &[u8], mut take: impl FnMut(usize, u8)) {
    let (mut at, mut gap) = (0, 0);
    while at < text.len() {
        let escapes = escapes(text, at);
        let length = match text.get(at + escapes) {
            Some(b'n' | b'r' | b't' | b'b' | b'f') if escapes > 0 => escapes + 1,
            // Of a text that grows, the other half is still to come.
            None => escapes,
            Some(byte) if escapes == 0 && byte.is_ascii_whitespace() => 1,
            _ => 0,
        };
        if length > 0 {
            gap += length;
            at += length;
            continue;
        }
        if gap > GAP_BYTES_MAX {
            take(at, PARTED);
        }
        gap = 0;
        let end = at + escapes.max(1);
        for (place, byte) in (at..end).zip(&text[at..end]) {
            take(place, *byte);
        }
        at = end;
    }
    if gap > GAP_BYTES_MAX {
        take(at, PARTED);
    }
}

/// How many backslashes stand at `at`.
fn escapes(text: &[u8], at: usize) -> usize {
    text[at..].iter().take_while(|byte| **byte == b'\\').count()
}

/// The bytes that `xxd`, `hexdump -C` and `od -t x1` show of something.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// Their digits; lines that do not follow one another are parted.
    pub(super) digits: Vec<u8>,
    /// Where each of them stands.
    at: Vec<usize>,
    lines: Vec<Line>,
    /// Where a line begins that has no end yet, and is one of a dump or may become one.
    pub(super) unfinished: Option<usize>,
}

/// A line of a dump.
#[derive(Debug)]
struct Line {
    /// The place of its first digit among all.
    first: usize,
    /// Where it begins and ends.
    place: Range<usize>,
}

/// Where a line ends.
struct End {
    at: usize,
    /// Where the next one begins.
    next: usize,
    /// Whether the next one goes on with it.
    goes_on: bool,
}

impl Dump {
    /// Finds the lines of dumps in `text`.
    pub(super) fn read(text: &[u8], written: Written) -> Self {
        let mut dump = Self::default();
        let mut from = 0;
        loop {
            let groups = groups(text, from);
            let end = end_of_line(text, groups.as_ref().map_or(from, |groups| groups.end), written);
            let place = from..end.as_ref().map_or(text.len(), |end| end.at);
            let is_open = end.is_none() && may_become_one(text, from);
            match groups {
                Some(groups) => dump.take(text, place, groups),
                None if is_open => {}
                None => dump.part(from),
            }
            let Some(end) = end else {
                dump.unfinished = is_open.then_some(from);
                return dump;
            };
            if !end.goes_on {
                dump.part(end.at);
            }
            from = end.next;
        }
    }

    fn take(&mut self, text: &[u8], place: Range<usize>, groups: Range<usize>) {
        self.lines.push(Line { first: self.digits.len(), place });
        for at in groups.filter(|at| text[*at].is_ascii_hexdigit()) {
            self.digits.push(text[at]);
            self.at.push(at);
        }
    }

    fn part(&mut self, at: usize) {
        if self.digits.last().is_some_and(|last| *last != PARTED) {
            self.digits.push(PARTED);
            self.at.push(at);
        }
    }

    /// Where in their lines the `digits` stand, each time with all that follows in the line: the same bytes as text.
    pub(super) fn lines_of(&self, digits: Range<usize>) -> Vec<Range<usize>> {
        let lines = self.line_of(digits.start)..=self.line_of(digits.end - 1);
        let lines = self.lines.get(lines).unwrap_or_default().iter();
        lines.map(|line| self.at[line.first.max(digits.start)]..line.place.end).collect()
    }

    /// Where the line of each digit begins.
    pub(super) fn beginnings(&self) -> Vec<usize> {
        (0..self.digits.len())
            .map(|digit| match self.digits[digit] {
                PARTED => self.at[digit],
                _ => self.lines[self.line_of(digit)].place.start,
            })
            .collect()
    }

    fn line_of(&self, digit: usize) -> usize {
        self.lines.partition_point(|line| line.first <= digit).saturating_sub(1)
    }
}

/// Where the line that `at` lies in ends. Whether an escaped line break or a quote ends one is certain in JSON alone;
/// elsewhere it does when a line of a dump follows.
fn end_of_line(text: &[u8], mut at: usize, written: Written) -> Option<End> {
    while let Some(found) = memchr::memchr3(b'\n', b'\\', b'"', text.get(at..)?) {
        at += found;
        let escapes = escapes(text, at);
        let is_json = written == Written::Json;
        let (is_certain, goes_on) = match text.get(at + escapes) {
            Some(b'\n') => (true, true),
            Some(b'n') if escapes > 0 => (is_json && escapes == 1, true),
            Some(b'"') => (is_json && escapes.is_multiple_of(2), false),
            _ => {
                at += escapes;
                continue;
            }
        };
        let next = at + escapes + 1;
        if is_certain || groups(text, next).is_some() {
            return Some(End { at, next, goes_on });
        }
        at = next;
    }
    None
}

/// Where the groups of digits stand in the line of a dump that begins at `from`; nothing when it is none.
fn groups(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = after_offset(text, from)?;
    let mut groups: Option<Range<usize>> = None;
    let mut first_digits = 0;
    loop {
        let begin = at + blanks(text, at);
        let digits = digits(text, begin);
        let is_whole =
            text.get(begin + digits).is_none_or(|byte| byte.is_ascii_whitespace() || b"\\\"|".contains(byte));
        let is_group =
            digits > 0 && digits <= GROUP_DIGITS_MAX && digits.is_multiple_of(2) && is_whole && begin > at;
        // What stands apart is the next half of a line of bytes, else text.
        let is_apart = groups.is_some() && begin > at + 1 && (first_digits > 2 || digits != first_digits);
        if !is_group || is_apart {
            return groups;
        }
        at = begin + digits;
        match &mut groups {
            Some(groups) => groups.end = at,
            None => {
                first_digits = digits;
                groups = Some(begin..at);
            }
        }
    }
}

fn after_offset(text: &[u8], from: usize) -> Option<usize> {
    let begin = from + blanks(text, from);
    let digits = digits(text, begin);
    let at = begin + digits;
    OFFSET_DIGITS.contains(&digits).then(|| if text.get(at) == Some(&b':') { at + 1 } else { at })
}

/// Whether the last line of `text`, which begins at `from`, is one of a dump as far as it goes.
fn may_become_one(text: &[u8], from: usize) -> bool {
    let is_all_digits = |at: usize| {
        let begin = at + blanks(text, at);
        begin + digits(text, begin) == text.len()
    };
    is_all_digits(from) || after_offset(text, from).is_some_and(is_all_digits) || groups(text, from).is_some()
}

fn blanks(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

fn digits(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_hexdigit()).count()
}
