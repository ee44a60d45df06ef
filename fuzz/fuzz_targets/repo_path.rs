//! A path that is taken stays in the repository and is no `.git` on any system.
#![no_main]

use events::RepoPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(path) = RepoPath::parse(bytes) else { return };
    assert_eq!(path.as_bytes(), bytes);
    assert!(!bytes.contains(&0) && bytes.len() <= 4096);
    for part in bytes.split(|byte| *byte == b'/') {
        assert!(!part.is_empty() && part != b"." && part != b"..");
        // Windows: other separators, no dots and spaces at the end, no streams, short names.
        for piece in part.split(|byte| *byte == b'\\') {
            let stem = piece.split(|byte| *byte == b':').next().unwrap_or(piece);
            let end = stem.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |at| at + 1);
            assert!(
                !stem[..end].eq_ignore_ascii_case(b".git") && !stem[..end].eq_ignore_ascii_case(b"git~1")
            );
        }
    }
});
