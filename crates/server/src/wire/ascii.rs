//! JSON in ASCII alone: clients that take a stream for Latin-1 would otherwise cut lines in the middle of a character.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// `value` as JSON on one line, every character beyond ASCII as `\uXXXX`.
pub(super) fn to_string(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    value.serialize(&mut Serializer::with_formatter(&mut out, Ascii(CompactFormatter)))?;
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}

/// Compact, except for what lies beyond ASCII.
struct Ascii(CompactFormatter);

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() {
            return self.0.write_string_fragment(writer, fragment);
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_what_went_in() {
        let text = "plain \"quoted\" \\ tab\t line\n é \u{85} \u{2028} 日本 \u{1f600} \0 \u{7f}";
        let json = to_string(&text).unwrap();
        assert!(json.is_ascii() && !json.contains('\n'), "{json}");
        assert!(json.contains("\\u00e9 \\u0085 \\u2028 \\u65e5\\u672c \\ud83d\\ude00"), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
