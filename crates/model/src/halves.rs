//! Text that arrives in pieces of JSON: some servers cut between the two halves of a character (`"\ud83d"`, `"\ude00"`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

/// What stands for half a character that stays alone.
const UNKNOWN: char = char::REPLACEMENT_CHARACTER;

/// Joins pieces where they were cut.
#[derive(Debug, Default)]
pub(crate) struct Joint {
    /// The first half of a character; the second one is to begin the next piece.
    first: Option<u16>,
    /// Half a character stood alone.
    odd: bool,
}

impl Joint {
    /// Gives the text of `piece`, without the half of a character at its end: that comes with the next piece. Nothing when
    /// the piece is no string.
    pub(crate) fn join(&mut self, piece: &RawValue) -> Option<String> {
        if self.first.is_none()
            && let Ok(text) = serde_json::from_str(piece.get())
        {
            return Some(text);
        }
        let Wtf8(bytes) = serde_json::from_str(piece.get()).ok()?;
        let (mut text, mut rest) = (String::new(), &bytes[..]);
        loop {
            let valid = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            if !valid.is_empty() {
                self.close(&mut text);
                text.push_str(valid);
            }
            // What is no UTF-8 in WTF-8 is one half of a character, in three bytes.
            let Some((half, after)) = rest[valid.len()..].split_first_chunk::<3>() else { break };
            self.take_half(0xd000 | u16::from(half[1] & 0x3f) << 6 | u16::from(half[2] & 0x3f), &mut text);
            rest = after;
        }
        Some(text)
    }

    /// Puts [`UNKNOWN`] at the end of `text` when half a character waits for its other half, which does not come.
    fn close(&mut self, text: &mut String) {
        if self.first.take().is_some() {
            self.odd = true;
            text.push(UNKNOWN);
        }
    }

    fn take_half(&mut self, half: u16, text: &mut String) {
        if let Some(first) = self.first
            && let Some(Ok(whole)) = char::decode_utf16([first, half]).next()
        {
            self.first = None;
            text.push(whole);
            return;
        }
        self.close(text);
        if is_first(half) {
            self.first = Some(half);
        } else {
            self.odd = true;
            text.push(UNKNOWN);
        }
    }
}

/// Text that grows.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    text: String,
    joint: Joint,
}

impl Grown {
    /// Takes in `piece`, and gives what it has made of it. Nothing when the piece is no string, which changes nothing.
    pub(crate) fn grow(&mut self, piece: &RawValue) -> Option<String> {
        let more = self.joint.join(piece)?;
        self.text.push_str(&more);
        Some(more)
    }

    /// The text so far, with U+FFFD where half a character stands.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self.joint.first {
            Some(_) => format!("{}{UNKNOWN}", self.text).into(),
            None => (&*self.text).into(),
        }
    }

    /// Whether no half of a character stands alone in it.
    pub(crate) fn is_sound(&self) -> bool {
        !self.joint.odd && self.joint.first.is_none()
    }

    /// How many bytes there are so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.joint.first.is_none()
    }
}

impl From<String> for Grown {
    fn from(text: String) -> Self {
        Self { text, joint: Joint::default() }
    }
}

/// `json` with U+FFFD for each half of a character that stands alone in its strings: it is JSON with it, but no text, and
/// whoever reads it in full refuses it.
pub(crate) fn mended(json: &str) -> Cow<'_, str> {
    let (mut text, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let begin = at + found;
        at = match (unit(json, begin), unit(json, begin + ESCAPE)) {
            // A backslash, and the one character that it is for.
            (None, _) => begin + 2,
            (Some(first), Some(second)) if is_first(first) && is_second(second) => begin + 2 * ESCAPE,
            (Some(half), _) if is_first(half) || is_second(half) => {
                text.push_str(&json[kept..begin]);
                text.push_str(r"\ufffd");
                kept = begin + ESCAPE;
                kept
            }
            (Some(_), _) => begin + ESCAPE,
        };
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    text.push_str(&json[kept..]);
    Cow::Owned(text)
}

/// The bytes of `\u0000`.
const ESCAPE: usize = r"\u0000".len();

/// What is written as `\u0000` at this place.
fn unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + ESCAPE)?.strip_prefix(r"\u")?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

fn is_first(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_second(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// A string as serde_json gives it to who asks for bytes: UTF-8, in which a half of a character may stand alone.
struct Wtf8(Vec<u8>);

impl<'de> Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Wtf8;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Wtf8, E> {
                Ok(Wtf8(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::raw_object::raw;

    /// What pieces of JSON are put together to, and whether all is whole in it.
    fn joined(pieces: &[&str]) -> (String, bool) {
        let mut grown = Grown::default();
        let heard: String =
            pieces.iter().map(|piece| grown.grow(&raw(format!("\"{piece}\""))).unwrap()).collect();
        assert!(grown.text().starts_with(&heard), "what was heard stands in it");
        (grown.text().into_owned(), grown.is_sound())
    }

    #[test]
    fn halves_find_each_other_and_what_stays_alone_is_told() {
        for (pieces, text, sound) in [
            (&["a", r"\ud83d\ude00", "b"][..], "a😀b", true),
            (&[r"a\ud83d", r"\ude00b"], "a😀b", true),
            (&[r"a\ud83d", "", r"\ude00b"], "a😀b", true),
            (&[r"\uD83D", r"\uDE00\ud83d", r"\ude01"], "😀😁", true),
            (&[r"a\ud83d"], "a\u{fffd}", false),
            (&[r"a\ud83d", "b"], "a\u{fffd}b", false),
            (&[r"\ude00", r"\ud83d"], "\u{fffd}\u{fffd}", false),
            (&[r"\ud83d\ud83d", r"\ude00"], "\u{fffd}😀", false),
            (&[r"\ud83dé\ude00"], "\u{fffd}é\u{fffd}", false),
        ] {
            assert_eq!(joined(pieces), (text.to_owned(), sound), "{pieces:?}");
        }
    }

    #[test]
    fn what_is_no_string_is_no_piece() {
        let mut grown = Grown::from("a".to_owned());
        for odd in ["null", "7", "[1]", "{}"] {
            assert_eq!(grown.grow(&raw(odd.to_owned())), None, "{odd}");
        }
        assert_eq!(grown.text(), "a");
    }

    #[test]
    fn only_halves_that_stand_alone_are_mended() {
        for (json, expected) in [
            (r#"{"a":"\ud83d\ude00 \u00e9 \\ud83d \"\n"}"#, None),
            (r#"["\ud83d"]"#, Some(r#"["\ufffd"]"#)),
            (r#"["\\\ud83d","\uDE00\ud83d\ude00x"]"#, Some(r#"["\\\ufffd","\ufffd\ud83d\ude00x"]"#)),
            (r#"["\ud83d\ud83d\ude00"]"#, Some(r#"["\ufffd\ud83d\ude00"]"#)),
            (r"\", None),
            (r"\é\ud8", None),
        ] {
            assert_eq!(mended(json), expected.unwrap_or(json), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_the_same_wherever_it_is_cut(text in ".{0,20}", cuts in prop::collection::vec(0usize..40, 0..6)) {
            let units: Vec<String> = text.encode_utf16().map(|unit| format!(r"\u{unit:04x}")).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(units.len())).collect();
            cuts.extend([0, units.len()]);
            cuts.sort_unstable();
            let pieces: Vec<String> = cuts.windows(2).map(|cut| units[cut[0]..cut[1]].concat()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(joined(&pieces), (text, true));
        }

        #[test]
        fn what_is_mended_can_be_read(units in prop::collection::vec(prop_oneof![0xd7fe_u16..0xe002, 0x40_u16..0x60], 0..8)) {
            let json: String = units.iter().map(|unit| format!(r"\u{unit:04x}")).collect();
            let read: String = serde_json::from_str(&mended(&format!("\"{json}\""))).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }
    }
}
