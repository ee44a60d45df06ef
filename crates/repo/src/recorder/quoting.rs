//! Writes paths in the form that `git fast-import` takes for every sequence of bytes.

use std::io::Write as _;

/// `path` in double quotes, with what is not plain ASCII as octal escapes.
pub(super) fn quoted(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len() + 2);
    out.push(b'"');
    for byte in path {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => {
                let _infallible = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn awkward_bytes_are_escaped() {
        assert_eq!(quoted(b"a b"), br#""a b""#);
        assert_eq!(quoted(b"q\"\\\n\x7f\xff\0"), br#""q\"\\\012\177\377\000""#);
    }
}
