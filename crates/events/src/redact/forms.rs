//! The writings in which a secret may turn up.

mod texts;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values are not taken for secrets.
const SECRET_BYTES_MIN: usize = 8;
/// Of a secret of several lines, such as a private key, each line this long is one too: tools print them one by one. A
/// value this long is found although white space stands in it.
const LINE_BYTES_MIN: usize = 20;

/// The writings of secrets.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// All of them.
    pub(super) all: Vec<String>,
    /// Those that programs lay out in lines and columns: the encodings, and values of which no two words of a text are
    /// likely to be one.
    pub(super) spread: Vec<String>,
}

/// Every writing of every one of `secrets`.
pub(super) fn of_all<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Forms {
    let mut forms = Forms::default();
    for secret in secrets.into_iter().map(str::trim) {
        forms.take(secret);
        if secret.contains('\n') {
            let lines = secret.lines().map(str::trim).filter(|line| line.len() >= LINE_BYTES_MIN);
            // Every key begins and ends with such a line.
            lines.filter(|line| !line.starts_with("-----")).for_each(|line| forms.take(line));
        }
    }
    for list in [&mut forms.all, &mut forms.spread] {
        list.sort_unstable();
        list.dedup();
    }
    forms
}

fn is_secret(text: &str) -> bool {
    text.len() >= SECRET_BYTES_MIN && text.parse::<f64>().is_err()
}

impl Forms {
    fn take(&mut self, secret: &str) {
        if !is_secret(secret) {
            return;
        }
        let mut encoded: Vec<String> =
            hex_forms(secret.as_bytes()).into_iter().chain(base64_forms(secret.as_bytes())).collect();
        encoded.retain(|form| is_secret(form));
        self.all.extend(texts::of(secret).into_iter().filter(|form| is_secret(form)));
        self.all.extend(encoded.iter().cloned());
        self.spread.append(&mut encoded);
        if secret.len() >= LINE_BYTES_MIN && !secret.contains(char::is_whitespace) {
            self.spread.push(secret.to_owned());
        }
    }
}

fn hex_forms(secret: &[u8]) -> [String; 2] {
    let lower: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    [lower.to_ascii_uppercase(), lower]
}

/// What of `secret` is certain to stand in any base64 text that holds it, at each of the three alignments.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        // At its end as well: then its last characters are certain.
        forms.push(alphabet.encode(secret));
        for pad in 0..3 {
            let mut shifted = vec![b':'; pad];
            shifted.extend_from_slice(secret);
            // The first characters mix in what stands before the secret, the last ones what comes after.
            let whole = shifted.len() / 3 * 3;
            let mixed = if pad == 0 { 0 } else { 4 };
            forms.push(alphabet.encode(&shifted[..whole])[mixed..].to_owned());
        }
    }
    forms
}
