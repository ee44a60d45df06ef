//! An edit touches nothing outside its passages, can be taken back, and does not depend on their order.
#![no_main]

use arbitrary::Arbitrary;
use backspace_init::files::edit::{Spliced, splice};
use backspace_init::protocol::Passage;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    content: Vec<u8>,
    passages: Vec<Cut>,
}

/// A passage: text of its own, or, so that more of them are found, a part of the file, as it is or retyped.
#[derive(Debug, Arbitrary)]
struct Cut {
    old: Old,
    new: String,
    every: bool,
    near_line: Option<u64>,
}

#[derive(Debug, Arbitrary)]
enum Old {
    Text(String),
    Part { from: u16, to: u16, retyped: Retyped },
}

#[derive(Debug, Arbitrary)]
enum Retyped {
    AsItIs,
    WithLineFeeds,
    WithCarriageReturns,
    WithoutIndentation,
    Indented,
    WithSpaces,
    Plainly,
}

impl Cut {
    fn passage(&self, content: &[u8]) -> Passage {
        let old = match &self.old {
            Old::Text(text) => text.clone(),
            Old::Part { from, to, retyped } => {
                let (a, b) =
                    (usize::from(*from) % (content.len() + 1), usize::from(*to) % (content.len() + 1));
                retyped.apply(&String::from_utf8_lossy(&content[a.min(b)..a.max(b)]))
            }
        };
        Passage { old, new: self.new.clone(), every: self.every, near_line: self.near_line }
    }
}

impl Retyped {
    fn apply(&self, text: &str) -> String {
        match self {
            Self::AsItIs => text.to_owned(),
            Self::WithLineFeeds => text.replace("\r\n", "\n"),
            Self::WithCarriageReturns => text.replace('\n', "\r\n"),
            Self::WithoutIndentation => {
                text.lines().map(|line| line.trim_start().to_owned() + "\n").collect()
            }
            Self::Indented => text.lines().map(|line| format!("    {line}\n")).collect(),
            Self::WithSpaces => text.lines().map(|line| format!("{line} \t\n")).collect(),
            Self::Plainly => text.replace(['“', '”'], "\"").replace(['‘', '’'], "'").replace(['–', '—'], "-"),
        }
    }
}

fuzz_target!(|input: Input| {
    let content = &input.content[..];
    let mut passages: Vec<Passage> = input.passages.iter().map(|cut| cut.passage(content)).collect();
    let edited = splice(content, &passages);
    passages.reverse();
    let backwards = splice(content, &passages);
    assert_eq!(edited.as_ref().ok().map(|s| &s.content), backwards.as_ref().ok().map(|s| &s.content));
    match edited {
        Ok(spliced) => check(content, &spliced),
        Err(refusal) => assert!(!refusal.0.is_empty()),
    }
});

fn check(content: &[u8], spliced: &Spliced) {
    let mut order: Vec<usize> = (0..spliced.applied.len()).collect();
    order.sort_by_key(|index| spliced.replaced[*index].start);
    let (mut reverted, mut at, mut done) = (Vec::new(), 0, 0);
    for index in order {
        let (applied, range) = (&spliced.applied[index], &spliced.replaced[index]);
        assert_eq!(applied.old.as_bytes(), &content[range.clone()]);
        assert!(!is_within_line_ending(content, range.start) && !is_within_line_ending(content, range.end));
        let untouched = range.start - done;
        reverted.extend_from_slice(&spliced.content[at..at + untouched]);
        at += untouched;
        assert_eq!(&spliced.content[at..at + applied.new.len()], applied.new.as_bytes());
        assert_eq!(
            applied.line,
            1 + spliced.content[..at].iter().filter(|byte| **byte == b'\n').count() as u64
        );
        reverted.extend_from_slice(applied.old.as_bytes());
        at += applied.new.len();
        done = range.end;
    }
    reverted.extend_from_slice(&spliced.content[at..]);
    assert_eq!(reverted, content);
}

fn is_within_line_ending(content: &[u8], at: usize) -> bool {
    content[..at].ends_with(b"\r") && content[at..].starts_with(b"\n")
}
