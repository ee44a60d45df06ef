//! Two sides of a difference, beside each other: what was recorded, and what the replay did.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use session::replay::{Difference, Side};

/// How wide each side is: two of them fit on a wide terminal.
const WIDTH: usize = 56;
/// Lines before and after a line that differs.
const AROUND: usize = 2;
/// More lines than this are cut: the first ones that differ tell why.
const LINES_MAX: usize = 60;
/// Of a longer line only the part around the first difference is shown.
const LINE_CHARS_MAX: usize = 400;

/// The two sides of `difference`.
pub(super) fn told(difference: &Difference) -> String {
    let side = |side: &Option<Side>| match side {
        Some(Side { seq, kind, .. }) => format!("entry {seq}: {kind}"),
        None => "nothing more".to_owned(),
    };
    let lines = |side: &Option<Side>| side.as_ref().map(|side| lines(&side.fields)).unwrap_or_default();
    let (recorded, replayed) = (&difference.recorded, &difference.replayed);
    let bold = Style::new().bold();
    let mut out = String::new();
    let _ = writeln!(out, "{bold}{:WIDTH$}   replayed{bold:#}", "recorded");
    let _ = writeln!(out, "{bold}{:WIDTH$}   {}{bold:#}", side(recorded), side(replayed));
    beside(&mut out, &lines(recorded), &lines(replayed));
    out
}

/// Each field on lines of its own, texts as they read.
fn lines(fields: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    put(&mut lines, "", fields);
    lines
}

fn put(lines: &mut Vec<String>, path: &str, value: &Value) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| put(lines, &below(name), field)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| put(lines, &below(&n.to_string()), item));
        }
        Value::String(text) if text.contains('\n') => {
            lines.push(format!("{path}:"));
            lines.extend(text.lines().map(|line| format!("  {line}")));
        }
        Value::String(text) => lines.push(format!("{path}: {text}")),
        Value::Null | Value::Bool(_) | Value::Number(_) => lines.push(format!("{path}: {value}")),
    }
}

/// Lines that are the same stand beside each other; of long runs of them only the ends are shown.
fn beside(out: &mut String, left: &[String], right: &[String]) {
    let same_begin = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let rest = left.len().min(right.len()) - same_begin;
    let same_end = left.iter().rev().zip(right.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let from = same_begin.saturating_sub(AROUND);
    let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
    if from > 0 {
        let _ = writeln!(out, "… {from} lines that are the same");
    }
    for line in &left[from..same_begin] {
        row(out, (Style::new(), line), (Style::new(), line));
    }
    let (left_end, right_end) = (left.len() - same_end, right.len() - same_end);
    let (left_rest, right_rest) = (&left[same_begin..left_end], &right[same_begin..right_end]);
    let count = left_rest.len().max(right_rest.len());
    for n in 0..count.min(LINES_MAX) {
        let line = |side: &[String]| side.get(n).cloned().unwrap_or_default();
        let (left, right) = where_they_part(&line(left_rest), &line(right_rest));
        row(out, (red, &left), (green, &right));
    }
    if count > LINES_MAX {
        let _ = writeln!(out, "… {} more lines", count - LINES_MAX);
    }
    for line in left[left_end..].iter().take(AROUND) {
        row(out, (Style::new(), line), (Style::new(), line));
    }
}

/// Of lines that are long, the part around the first character that differs.
fn where_they_part(left: &str, right: &str) -> (String, String) {
    let same = left.chars().zip(right.chars()).take_while(|(a, b)| a == b).count();
    let from = if same > LINE_CHARS_MAX / 2 { same - LINE_CHARS_MAX / 4 } else { 0 };
    let part = |line: &str| {
        let mut part: String = line.chars().skip(from).take(LINE_CHARS_MAX).collect();
        if from > 0 && !part.is_empty() {
            part.insert(0, '…');
        }
        if line.chars().count() > from + LINE_CHARS_MAX {
            part.push('…');
        }
        part
    };
    (part(left), part(right))
}

/// One row; a line that is too long goes on in the next ones, so that nothing is hidden.
fn row(out: &mut String, left: (Style, &str), right: (Style, &str)) {
    let (lefts, rights) = (pieces(left.1), pieces(right.1));
    for n in 0..lefts.len().max(rights.len()) {
        let piece = |pieces: &[String]| pieces.get(n).cloned().unwrap_or_default();
        let (a, b) = (piece(&lefts), piece(&rights));
        let (ls, rs) = (left.0, right.0);
        let _ = writeln!(out, "{ls}{a:WIDTH$}{ls:#}   {rs}{b}{rs:#}");
    }
}

fn pieces(line: &str) -> Vec<String> {
    let line: Vec<char> = events::escape_control(&line.replace('\t', "    ")).chars().collect();
    if line.is_empty() {
        return vec![String::new()];
    }
    line.chunks(WIDTH).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn side(seq: u64, fields: Value) -> Option<Side> {
        Some(Side { seq, kind: "tool_finished", fields })
    }

    fn plain(difference: &Difference) -> String {
        anstream::adapter::strip_str(&told(difference)).to_string().replace(' ', "·")
    }

    #[test]
    fn what_differs_stands_beside_each_other() {
        let recorded =
            side(7, json!({ "a": 1, "b": 2, "c": 3, "result": "one\ntwo\nthree\nfour\nfive\nsix" }));
        let replayed = side(9, json!({ "a": 1, "b": 2, "c": 3, "result": "one\n2\nthree\nfour\nfive\nsix" }));
        let text = plain(&Difference { recorded, replayed });
        let wide = |left: &str, right: &str| {
            format!("{left}{}{right}\n", "·".repeat(WIDTH + 3 - left.chars().count()))
        };
        let expected = wide("recorded", "replayed")
            + &wide("entry·7:·tool_finished", "entry·9:·tool_finished")
            + "…·3·lines·that·are·the·same\n"
            + &wide("result:", "result:")
            + &wide("··one", "··one")
            + &wide("··two", "··2")
            + &wide("··three", "··three")
            + &wide("··four", "··four");
        assert_eq!(text, expected);
    }

    #[test]
    fn long_lines_go_on_and_control_characters_are_shown() {
        let recorded = side(1, json!({ "x": "\u{1b}[2J".to_owned() + &"q".repeat(100) }));
        let text = plain(&Difference { recorded, replayed: None });
        assert!(text.contains("nothing·more") && text.contains("x:·\\u{1b}[2J"), "{text}");
        assert_eq!(text.matches('q').count(), 100, "{text}");
    }

    #[test]
    fn of_very_long_lines_the_part_that_differs_is_shown() {
        let line = |end: &str| side(1, json!({ "x": "q".repeat(50_000) + end + &"r".repeat(50_000) }));
        let text = plain(&Difference { recorded: line("HERE"), replayed: line("THERE") });
        assert!(text.len() < 3000 && text.contains("HERE") && text.contains("THERE"), "{text}");
    }
}
