//! Taking secrets out of text before anybody sees it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values are not taken for secrets: they would blot out ordinary words.
const SECRET_BYTES_MIN: usize = 8;
/// What stands in a secret's place.
const MASK: &str = "[redacted]";

/// Knows the secrets of this process by value and takes them out of text.
///
/// A value that is a number is passed over as well: in JSON its mask would not be one.
///
/// A value is found plain, percent-encoded, JSON-escaped, in base64 (also as the second half of `user:value`).
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.needles.len())
    }
}

impl Redactor {
    /// A redactor for `secrets`; values under eight bytes, and numbers, are passed over.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles: Vec<String> = Vec::new();
        let is_secret = |text: &&str| text.len() >= SECRET_BYTES_MIN && text.parse::<f64>().is_err();
        for secret in secrets.into_iter().map(str::trim).filter(is_secret) {
            needles.push(secret.to_owned());
            needles.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
            needles.push(serde_json::Value::from(secret).to_string().trim_matches('"').to_owned());
            needles.extend(base64_forms(secret.as_bytes()));
        }
        needles.retain(|needle| needle.len() >= SECRET_BYTES_MIN && needle.parse::<f64>().is_err());
        // The longest first, so that a form which holds another goes as a whole.
        needles.sort_by_key(|needle| (std::cmp::Reverse(needle.len()), needle.clone()));
        needles.dedup();
        Self { needles }
    }

    /// Whether a known secret stands in `bytes`.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.needles.iter().any(|needle| memchr::memmem::find(bytes, needle.as_bytes()).is_some())
    }

    /// Where the part of `text` begins that more text may turn into a secret; its length when there is none. What stands
    /// before can be redacted and told on its own.
    pub fn open_end(&self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let begun = |needle: &String| {
            let first = (bytes.len() + 1).saturating_sub(needle.len());
            (first..bytes.len()).find(|at| needle.as_bytes().starts_with(&bytes[*at..]))
        };
        let mut open = self.needles.iter().filter_map(begun).min().unwrap_or(bytes.len());
        // A whole secret that reaches into that part would be cut in two.
        while let Some(at) = self.needles.iter().find_map(|needle| reaching_over(bytes, needle, open)) {
            open = at;
        }
        open
    }

    /// `text` with every known secret replaced; borrowed when there was none.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Cow::Borrowed(text);
        for needle in &self.needles {
            if out.contains(needle.as_str()) {
                out = Cow::Owned(out.replace(needle.as_str(), MASK));
            }
        }
        out
    }
}

/// Where `needle` stands in `bytes` so that it begins before place `at` and ends behind it.
fn reaching_over(bytes: &[u8], needle: &str, at: usize) -> Option<usize> {
    let from = (at + 1).saturating_sub(needle.len());
    let until = bytes.len().min((at + needle.len()).saturating_sub(1));
    let found = memchr::memmem::find(bytes.get(from..until)?, needle.as_bytes())?;
    Some(from + found)
}

/// What of `secret` is certain to stand in any base64 text that holds it, at each of the three alignments.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)];
    for pad in 1..3 {
        let mut shifted = vec![b':'; pad];
        shifted.extend_from_slice(secret);
        // The first characters mix in what stands before the secret, the last ones what comes after.
        let whole = shifted.len() / 3 * 3;
        forms.push(STANDARD_NO_PAD.encode(&shifted[..whole])[4..].to_owned());
    }
    let whole = secret.len() / 3 * 3;
    forms.push(STANDARD_NO_PAD.encode(&secret[..whole]));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_secret_goes() {
        let secret = "ghp_s3cret+/=value%with\"odd";
        let redactor = Redactor::new([secret]);
        for user in ["", "x", "xy", "x-access-token"] {
            let basic = STANDARD.encode(format!("{user}:{secret}"));
            assert!(redactor.redact(&basic).contains(MASK), "base64 after {user:?}");
        }
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let json = serde_json::json!({ "a": secret }).to_string();
        for text in [secret.to_owned(), format!("https://u:{encoded}@h/"), json] {
            let out = redactor.redact(&text);
            assert!(out.contains(MASK) && !out.contains("s3cret"), "{text} became {out}");
        }
        assert!(matches!(redactor.redact("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_secret_is_found_in_what_is_no_text() {
        let redactor = Redactor::new(["ghp_0123456789"]);
        assert!(redactor.finds(b"\xff\0ghp_0123456789\xfe"));
        assert!(!redactor.finds(b"\xff\0ghp_012345678\xfe"));
    }

    #[test]
    fn what_may_become_a_secret_is_the_end() {
        let redactor = Redactor::new(["abcabcab"]);
        for (text, open) in [
            ("", 0),
            ("x", 1),
            ("xa", 1),
            ("xab", 1),
            ("x abcab", 2),
            ("é abcabca", 3),
            ("abx", 3),
            // Whole, and the end of it is a beginning again: not to be cut.
            ("x abcabcab", 2),
            ("abcabcab!", 9),
        ] {
            assert_eq!(redactor.open_end(text), open, "{text:?}");
        }
        assert_eq!(Redactor::default().open_end("anything"), 8);
    }

    #[test]
    fn short_values_are_no_secrets() {
        assert_eq!(Redactor::new(["abc"]).redact("abc"), "abc");
        assert_eq!(Redactor::new(["1234567890"]).redact(r#"{"at":1234567890}"#), r#"{"at":1234567890}"#);
    }
}
