//! Takes the powers out of words that we did not write: nobody is pinged, no issue is closed, nothing is hidden.
//!
//! What counts as code differs from one Markdown reader to the next, so that we ask none: every sign of power is
//! broken wherever it stands, and only between fences of our own making are mentions, and what HTML is made of, left
//! as they are. References are broken there, too: the body of a pull request that is squashed is a commit message,
//! in which nothing is code.

/// Stands between a sign and the word that would give it power; shows as nothing.
const BREAK: char = '\u{200b}';
/// Blocks in these languages are drawn by GitHub and not shown.
const DRAWN: &[&str] = &["geojson", "math", "mermaid", "stl", "topojson"];
/// In what becomes a commit message these keep the checks from being run, once a `[` stands before them.
const SKIPS: &[&str] = &["skip ", "ci ", "no ci", "actions "];

/// Markdown without powers: mentions, references, HTML, images, definitions and commands to bots are made plain.
pub(crate) fn defuse(text: &str) -> String {
    let text = events::escape_control(&text.replace("\r\n", "\n").replace('\r', "\n"));
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::with_capacity(lines.len());
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let block = Fence::opened_by(line).and_then(|fence| {
            let length = lines[at..].iter().position(|line| fence.is_closed_by(line))?;
            Some((fence, length))
        });
        match block {
            Some((fence, length)) => {
                out.push(fence.around(&lines[at..at + length]));
                at += length + 1;
            }
            None => out.push(defuse_line(line)),
        }
    }
    out.join("\n")
}

/// One line of Markdown without powers, wherever in a line it is put: code within it is no exception.
pub(crate) fn defuse_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    let (mut before, mut run) = (None, 0);
    let mut is_start = true;
    for (c, rest) in signs(line) {
        run = if before == Some(c) { run + 1 } else { 1 };
        if matches!(c, '`' | '~') && run == 3 {
            // Three would open a block of code, which ends where its reader says and not where we do.
            out.push(BREAK);
            run = 1;
        }
        out.push(c);
        let next = rest.chars().next().unwrap_or('\n');
        let is_armed = match c {
            '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'),
            // An entity would become a sign after we looked.
            '&' => next == '#' || next.is_ascii_alphabetic(),
            '!' => next == '[',
            // A definition is not shown.
            ']' => next == ':',
            // Commands to bots stand at the beginning of a line.
            '/' => is_start && next.is_ascii_alphabetic(),
            _ => false,
        };
        if is_armed || is_sign(before, c, rest) {
            out.push(BREAK);
        }
        is_start &= c.is_whitespace();
        before = Some(c);
    }
    out
}

/// Plain text, as in a commit message, in which nothing is mentioned, referred to, or kept from being checked.
pub(crate) fn defuse_plain(text: &str) -> String {
    broken(text, is_sign)
}

/// `text` with a break after each character that `is_armed` by what stands before and after it.
fn broken(text: &str, is_armed: impl Fn(Option<char>, char, &str) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = None;
    for (c, rest) in signs(text) {
        out.push(c);
        if is_armed(before, c, rest) {
            out.push(BREAK);
        }
        before = Some(c);
    }
    out
}

/// Each character, and what follows it.
fn signs(text: &str) -> impl Iterator<Item = (char, &str)> {
    text.char_indices().map(|(at, c)| (c, &text[at + c.len_utf8()..]))
}

/// Whether `c` may make a mention or a reference of what follows.
fn is_sign(before: Option<char>, c: char, rest: &str) -> bool {
    match (c, rest.chars().next()) {
        (_, None | Some(BREAK)) => false,
        ('@', Some(next)) => !next.is_whitespace(),
        // Several are a heading, or end with one that counts.
        ('#', Some(next)) => next != '#' && !next.is_whitespace(),
        _ => refers(before, c, rest),
    }
}

/// Whether `c` makes a reference of the number that follows, or tells the checks to stay away. A backslash may stand
/// before a sign without taking anything from it.
fn refers(before: Option<char>, c: char, rest: &str) -> bool {
    let next = rest.bytes().next().unwrap_or(b'\n');
    match c {
        '#' => next.is_ascii_digit(),
        // `GH-12`
        '-' => next.is_ascii_digit() && matches!(before, Some('H' | 'h' | '\\')),
        // `!12` is a merge request to some forges.
        '!' => next.is_ascii_digit(),
        // `…/issues/12`, `…/pull/12`: after "Fixes" an address closes what a number closes.
        '/' => {
            (next.is_ascii_digit() || next == b'%') && matches!(before, Some('s' | 'S' | 'l' | 'L' | '\\'))
        }
        '[' => SKIPS.iter().any(|skip| starts_with_ignoring_case(rest, skip)),
        _ => false,
    }
}

fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

/// A line that opens a block of code.
struct Fence<'a> {
    sign: char,
    length: usize,
    indent: usize,
    language: &'a str,
}

impl<'a> Fence<'a> {
    fn opened_by(line: &'a str) -> Option<Self> {
        let text = line.trim_start_matches([' ', '\t']);
        let sign = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let info = text.trim_start_matches(sign);
        let length = text.len() - info.len();
        if length < 3 || info.contains('`') {
            return None;
        }
        let language = info.split_whitespace().next().unwrap_or_default();
        let is_plain = language.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'_'));
        let is_drawn = DRAWN.iter().any(|drawn| language.eq_ignore_ascii_case(drawn));
        // In a commit message `GH-7` refers, after a fence as anywhere.
        let refers = broken(language, refers) != language;
        let language = if is_plain && !is_drawn && !refers { language } else { "" };
        Some(Self { sign, length, indent: line.len() - text.len(), language })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let text = line.trim_matches([' ', '\t']);
        text.len() >= self.length && text.chars().all(|c| c == self.sign)
    }

    /// The block behind fences of ours: at the margin, and longer than any in it, so that every reader sees it begin
    /// and end where we do.
    fn around(&self, lines: &[&str]) -> String {
        let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let mut out = format!("{fence}{}\n", self.language);
        for line in lines {
            let indent = line.bytes().take(self.indent).take_while(|b| matches!(b, b' ' | b'\t')).count();
            out.push_str(&broken(&line[indent..], refers));
            out.push('\n');
        }
        out + &fence
    }
}

/// The length of the longest run of backticks.
pub(crate) fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
