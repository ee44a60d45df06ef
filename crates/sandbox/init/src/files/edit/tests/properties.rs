//! What holds of every edit, on files and passages made at random.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{passage, splice};
use crate::files::edit::Spliced;
use crate::protocol::{Passage, Tier};

/// Few different pieces, so that passages meet each other and line endings of all kinds stand side by side.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "a", "b", "ab", " ", "  ", "\t", "\n", "\n", "\r\n", "\r", "\n\n", "“", "'", "’", "\u{a0}", "–", "-",
        "\u{feff}", "é", "= 1;", "}",
    ]);
    let piece =
        prop_oneof![9 => piece.prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 1..3)];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn text() -> impl Strategy<Value = String> {
    content().prop_map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned())
}

/// A part of `content` that is text, or something else that may stand in it.
fn part(content: &[u8], from: Index, to: Index) -> String {
    let (a, b) = (from.index(content.len() + 1), to.index(content.len() + 1));
    String::from_utf8_lossy(&content[a.min(b)..a.max(b)]).into_owned()
}

fn passages(content: &[u8], cuts: Vec<(Index, Index, String, bool)>) -> Vec<Passage> {
    let passages = cuts
        .into_iter()
        .map(|(from, to, new, every)| Passage { every, ..passage(&part(content, from, to), &new) });
    passages.collect()
}

/// Puts the old texts back where the new ones stand.
fn reverted(spliced: &Spliced) -> Vec<u8> {
    let mut order: Vec<usize> = (0..spliced.applied.len()).collect();
    order.sort_by_key(|index| spliced.replaced[*index].start);
    let (mut out, mut at, mut done) = (Vec::new(), 0, 0);
    for index in order {
        let (applied, range) = (&spliced.applied[index], &spliced.replaced[index]);
        let untouched = range.start - done;
        out.extend_from_slice(&spliced.content[at..at + untouched]);
        at += untouched;
        assert_eq!(&spliced.content[at..at + applied.new.len()], applied.new.as_bytes());
        let lines_before = spliced.content[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(applied.line, lines_before + 1);
        out.extend_from_slice(applied.old.as_bytes());
        at += applied.new.len();
        done = range.end;
    }
    out.extend_from_slice(&spliced.content[at..]);
    out
}

/// Lines that differ from each other, with an indentation each, and an ending each.
fn lines() -> impl Strategy<Value = Vec<(usize, &'static str)>> {
    vec((0..4_usize, select(vec!["\n", "\r\n", "  \n", "\t\r\n"])), 3..20)
}

fn line(number: usize, indent: usize) -> String {
    format!("{}name_{number} = 'v{number}'", "    ".repeat(indent))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn nothing_outside_the_passages_changes_and_all_can_be_put_back(
        content in content(),
        cuts in vec((any::<Index>(), any::<Index>(), text(), any::<bool>()), 1..4),
    ) {
        let passages = passages(&content, cuts);
        if let Ok(spliced) = splice(&content, &passages) {
            for (applied, range) in spliced.applied.iter().zip(&spliced.replaced) {
                prop_assert_eq!(applied.old.as_bytes(), &content[range.clone()]);
                prop_assert_ne!(&applied.old, &applied.new);
                // No line ending is torn.
                prop_assert!(!(content[..range.start].ends_with(b"\r") && content[range.start..].starts_with(b"\n")));
                prop_assert!(!(content[..range.end].ends_with(b"\r") && content[range.end..].starts_with(b"\n")));
            }
            prop_assert_eq!(reverted(&spliced), content);
        }
    }

    #[test]
    fn the_order_of_passages_says_nothing(
        content in content(),
        cuts in vec((any::<Index>(), any::<Index>(), text(), Just(false)), 2..4),
    ) {
        let mut passages = passages(&content, cuts);
        let forwards = splice(&content, &passages).map(|spliced| spliced.content);
        passages.reverse();
        let backwards = splice(&content, &passages).map(|spliced| spliced.content);
        prop_assert_eq!(forwards.ok(), backwards.ok());
    }

    #[test]
    fn an_unchanged_copy_is_applied_exactly_once_or_refused(content in content(), from: Index, to: Index) {
        let old = part(&content, from, to);
        // A byte order mark before a passage is nobody's wish.
        let wanted = old.strip_prefix('\u{feff}').unwrap_or(&old);
        // A place that begins or ends within a line ending is none.
        let is_torn = |at: usize| content[..at].ends_with(b"\r") && content[at..].starts_with(b"\n");
        let places = (0..content.len())
            .filter(|at| content[*at..].starts_with(wanted.as_bytes()))
            .filter(|at| !is_torn(*at) && !is_torn(at + wanted.len()))
            .count();
        match splice(&content, &[passage(&old, "NEW")]) {
            Ok(spliced) => {
                prop_assert_eq!(spliced.applied.len(), 1);
                prop_assert!(spliced.applied[0].tier != Tier::Exact || places == 1);
            }
            Err(_) => {
                prop_assert!(places != 1 || old.trim().is_empty() || old.contains('\u{feff}'), "{:?}", old);
            }
        }
    }

    #[test]
    fn lines_typed_from_memory_are_found_where_they_stand(
        lines in lines(),
        first: Index,
        count in 1..5_usize,
        (crlf, spaces, shift) in (any::<bool>(), any::<bool>(), 0..3_usize),
        changed: Index,
    ) {
        let content: String = lines.iter().enumerate().map(|(at, (indent, end))| line(at, *indent) + end).collect();
        let first = first.index(lines.len());
        let chosen = first..(first + count).min(lines.len());
        let typed = |name: &dyn Fn(usize, usize) -> String| -> String {
            let space = if spaces { " " } else { "" };
            let end = if crlf { "\r\n" } else { "\n" };
            chosen.clone().map(|at| name(at, lines[at].0 + shift) + space + end).collect()
        };
        let changed = chosen.start + changed.index(chosen.len());
        let old = typed(&line);
        let new = typed(&|at, indent| if at == changed { line(at + 1000, indent) } else { line(at, indent) });
        let spliced = splice(content.as_bytes(), &[passage(&old, &new)]).unwrap();
        prop_assert_eq!(spliced.applied.len(), 1);
        // The changed line alone is another, in its place, with its indentation and its ending.
        let after = String::from_utf8(spliced.content).unwrap();
        let space = if spaces { " " } else { "" };
        for (at, (found, (indent, end))) in after.split_inclusive('\n').zip(&lines).enumerate() {
            let own = line(at, *indent) + end;
            let ending = if end.ends_with("\r\n") { "\r\n" } else { "\n" };
            let expected = if at == changed { line(at + 1000, *indent) + space + ending } else { own };
            prop_assert_eq!(found, expected);
        }
    }
}
