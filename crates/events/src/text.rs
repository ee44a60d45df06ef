//! Bounding and escaping text that we did not write.

use std::error::Error;

/// Keeps the head and the tail of `text` when it is longer than `bytes_max`, and says between them what was left out.
///
/// Cuts at character boundaries; the result is at most `bytes_max` bytes plus the sentence in the middle.
pub fn head_and_tail(text: &str, bytes_max: usize) -> String {
    head_and_tail_at(text, bytes_max, "")
}

/// As [`head_and_tail`]; the sentence in the middle ends with `place`, which says where all of the text is.
pub fn head_and_tail_at(text: &str, bytes_max: usize, place: &str) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let half = bytes_max / 2;
    let head = &text[..text.floor_char_boundary(half)];
    let tail = &text[text.ceil_char_boundary(text.len() - half)..];
    format!("{head}\n[… {} bytes left out{place} …]\n{tail}", text.len() - head.len() - tail.len())
}

/// Replaces what could move a terminal's cursor or turn its text around: control characters other than newline and
/// tab, and the bidirectional and zero-width ones, as `\u{…}`.
pub fn escape_control(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if hidden || (c.is_control() && c != '\n' && c != '\t') {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// `error` with its causes, outermost first, in one line.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // A transparent wrapper says the same again.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Said {
        said: &'static str,
        #[source]
        cause: Option<Box<Said>>,
    }

    #[test]
    fn an_error_is_told_with_its_causes_each_once() {
        let says = |said, cause: Option<Said>| Said { said, cause: cause.map(Box::new) };
        let root = says("no space left", None);
        let transparent = says("no space left", Some(root));
        assert_eq!(error_chain(&transparent), "no space left");
        let whole = says("cannot push", Some(says("cannot write", Some(transparent))));
        assert_eq!(error_chain(&whole), "cannot push: cannot write: no space left");
    }
}
