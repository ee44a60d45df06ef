//! Shows the part of a file that is most like a passage that was not found. What it shows is never applied.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::refusal::LINE_CHARS_MAX;

/// More lines than this are not shown; the model reads the file then.
const LINES_SHOWN_MAX: usize = 12;
/// Below this two lines are not alike (Sørensen-Dice).
const LIKENESS_MIN: f64 = 0.5;
/// Lines compared letter by letter: some tens of milliseconds.
const COMPARED_LINES_MAX: usize = 20_000;
/// Lines looked up in the passage: as quick.
const LOOKED_UP_LINES_MAX: usize = 500_000;
/// A line that stands so often in the passage tells nothing about the place.
const SAME_LINES_MAX: usize = 8;
/// Fewer equal characters than this, such as two braces, may be chance.
const EQUAL_CHARS_MIN: usize = 10;

/// The region most like `old`, with line numbers, and how it differs.
pub(super) fn nearest(content: &[u8], old: &str) -> Option<String> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let old: Vec<&str> = old.strip_suffix('\n').unwrap_or(old).split('\n').collect();
    let start = by_equal_lines(&lines, &old).or_else(|| by_likeness(&lines, &old))?;
    let region = &lines[start..(start + old.len()).min(lines.len())];
    Some(described(region, start, &old))
}

/// Where most of the passage's lines stand in their order, white space at both ends not regarded.
fn by_equal_lines(lines: &[&[u8]], old: &[&str]) -> Option<usize> {
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (index, line) in old.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        places.entry(line.as_bytes().trim_ascii()).or_default().push(index);
    }
    places.retain(|_, indices| indices.len() <= SAME_LINES_MAX);
    let mut weights: HashMap<usize, usize> = HashMap::new();
    for (index, line) in lines.iter().enumerate().take(LOOKED_UP_LINES_MAX) {
        let line = line.trim_ascii();
        for at in places.get(line).into_iter().flatten() {
            *weights.entry(index.saturating_sub(*at)).or_default() += line.len();
        }
    }
    let (start, weight) =
        weights.into_iter().max_by_key(|(start, weight)| (*weight, std::cmp::Reverse(*start)))?;
    (weight >= EQUAL_CHARS_MIN).then_some(start)
}

/// Where a line stands that is most like the passage's longest one.
fn by_likeness(lines: &[&[u8]], old: &[&str]) -> Option<usize> {
    let short = |text: &str| text.trim().chars().take(LINE_CHARS_MAX).collect::<String>();
    let (at, longest) = old.iter().enumerate().max_by_key(|(_, line)| line.trim().len())?;
    let longest = short(longest);
    let scored = lines.iter().enumerate().take(COMPARED_LINES_MAX).map(|(index, line)| {
        let line = String::from_utf8_lossy(&line[..line.len().min(LINE_CHARS_MAX * 4)]);
        (strsim::sorensen_dice(&longest, &short(&line)), index)
    });
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
    (best.0 >= LIKENESS_MIN).then(|| best.1.saturating_sub(at))
}

fn described(region: &[&[u8]], start: usize, old: &[&str]) -> String {
    let is_alike = |(line, old): (&&[u8], &&str)| line.trim_ascii() == old.as_bytes().trim_ascii();
    let alike = region.iter().zip(old).filter(|pair| is_alike(*pair)).count();
    let mut text = format!(
        "\nThe nearest region, lines {} to {}; {alike} of {} lines are alike but for white space around them (shown at \
         both ends of a line: space ·, tab →, carriage return ␍):\n",
        start + 1,
        start + region.len(),
        old.len()
    );
    let differs = |(line, old): (&&[u8], &&str)| super::view::without_ending(line) != old.as_bytes();
    let first = region.iter().zip(old).position(differs).unwrap_or(0);
    let from = first.saturating_sub(2).min(region.len().saturating_sub(LINES_SHOWN_MAX));
    for (index, line) in region.iter().enumerate().skip(from).take(LINES_SHOWN_MAX) {
        let _ = writeln!(text, "{:>6} |{}", start + index + 1, visible(line));
    }
    if region.len() > LINES_SHOWN_MAX {
        let _ = writeln!(text, "       [{} lines left out]", region.len() - LINES_SHOWN_MAX);
    }
    if let Some(old) = old.get(first) {
        let number = start + first + 1;
        let _ = writeln!(
            text,
            "They differ first at line {number}, where the passage has\n       |{}",
            visible(old.as_bytes())
        );
    }
    text.push_str(how(region, old));
    text.push_str("Give the old text as it stands in the file.");
    text
}

/// The looser rule by which the region would be the passage, when there is one.
fn how(region: &[&[u8]], old: &[&str]) -> &'static str {
    let file = String::from_utf8_lossy(&region.concat()).into_owned();
    let old = old.join("\n");
    if file.split_whitespace().eq(old.split_whitespace()) {
        let tabs = |text: &str| text.lines().any(|line| line.starts_with('\t'));
        let spaces = |text: &str| text.lines().any(|line| line.starts_with(' '));
        return match (tabs(&file), spaces(&file), tabs(&old), spaces(&old)) {
            (true, false, false, true) => {
                "Only white space differs: the file indents with tabs, the passage with spaces. "
            }
            (false, true, true, false) => {
                "Only white space differs: the file indents with spaces, the passage with tabs. "
            }
            _ => "Only white space differs. ",
        };
    }
    if file.to_lowercase().split_whitespace().eq(old.to_lowercase().split_whitespace()) {
        return "Only upper and lower case (and perhaps white space) differ. ";
    }
    ""
}

/// A line with the white space at its ends made visible, its ending left out, cut when it is long.
pub(super) fn visible(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
    let begins = text.len() - text.trim_start().len();
    let ends = text.trim_end().len().max(begins);
    let shown = text.char_indices().take(LINE_CHARS_MAX).map(|(at, c)| match c {
        '\r' => '␍',
        ' ' if at < begins || at >= ends => '·',
        '\t' if at < begins || at >= ends => '→',
        c => c,
    });
    let mut shown: String = shown.collect();
    if text.chars().nth(LINE_CHARS_MAX).is_some() {
        shown.push_str(" [… cut]");
    }
    shown
}
