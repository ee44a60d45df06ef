//! A matching line as it is shown.

/// Of a longer line only the part around the match is shown.
const SHOWN_BYTES_MAX: usize = 400;
/// How much of that stands before the match.
const BEFORE_BYTES: usize = 100;

/// The text of `line` without its ending, cut around the byte `at` when it is long.
pub(super) fn around(line: &[u8], at: usize) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() <= SHOWN_BYTES_MAX {
        return String::from_utf8_lossy(line).into_owned();
    }
    let is_boundary = |at: usize| line.get(at).is_none_or(|byte| byte & 0xC0 != 0x80);
    let mut start = at.min(line.len()).saturating_sub(BEFORE_BYTES);
    let mut end = (start + SHOWN_BYTES_MAX).min(line.len());
    while start > 0 && !is_boundary(start) {
        start -= 1;
    }
    while end > start && !is_boundary(end) {
        end -= 1;
    }
    let before = if start > 0 { "[…]" } else { "" };
    let after = if end < line.len() { "[…]" } else { "" };
    format!("{before}{}{after}", String::from_utf8_lossy(&line[start..end]))
}

/// A regular expression for exactly this text.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
