//! What is read as a recording is a session from its first entry without a gap, and has no pack beyond what it announced.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session::recording::Recording;

fuzz_target!(|text: &str| {
    // The last line counts those before it, which nobody would guess.
    let lines = text.lines().count();
    let ended = format!("{}\n{{\"end\":{{\"lines\":{lines}}}}}\n", text.strip_suffix('\n').unwrap_or(text));
    let Ok(recording) = Recording::read(ended.as_bytes()) else { return };
    assert!(!recording.entries.is_empty());
    for (entry, seq) in recording.entries.iter().zip(1..) {
        assert_eq!((entry.seq, entry.session), (seq, recording.session));
    }
    if let Some(code) = recording.code {
        assert!(text.contains(code.commit.as_str()));
    }
    // Of a file that is cut, nothing is read.
    assert!(Recording::read(text.as_bytes()).is_err());
});
