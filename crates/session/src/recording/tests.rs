use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const ID: &str = "018bcfe5-6800-7000-8000-000000000001";
const BASE: &str = "0123456789012345678901234567890123456789";

/// A recording of these lines, with its first and its last one.
fn file(lines: &[String]) -> String {
    let head = format!(r#"{{"recording":{{"format":1,"release":"0.1.0","session":"{ID}"}}}}"#);
    let mut text = [&[head], lines].concat().join("\n");
    let _ = write!(text, "\n{{\"end\":{{\"lines\":{}}}}}\n", lines.len() + 1);
    text
}

fn entry(seq: u64, kind: &str, payload: &str) -> String {
    format!(
        r#"{{"entry":{{"seq":{seq},"attempt":1,"at_us":1700000000000000,"kind":"{kind}","version":1,"payload":{payload}}}}}"#
    )
}

fn requested_of(remote: &str) -> String {
    let request = format!(
        r#"{{"remote":{remote},"prompt":"Fix it","branch":null,"base":null,"title":null,"draft":false,"provider":null,"model":null,"publish":"pr","checks":[],"budget":{{"tokens":null,"turns":null,"minutes":null}}}}"#
    );
    entry(1, "session_requested", &format!(r#"{{"request":{request},"door":"run"}}"#))
}

fn requested() -> String {
    requested_of(r#"{"local":"/home/me/calc"}"#)
}

fn chosen() -> String {
    let remote = r#"{"local":"/home/me/calc"}"#;
    entry(2, "base_chosen", &format!(r#"{{"remote":{remote},"base":"main","commit":"{BASE}"}}"#))
}

fn code(commit: &str, pack_bytes: u64) -> String {
    format!(r#"{{"code":{{"commit":"{commit}","ends":[],"pack_bytes":{pack_bytes}}}}}"#)
}

fn pack(base64: &str) -> String {
    format!(r#"{{"pack":"{base64}"}}"#)
}

fn said(seq: u64, text: &str) -> String {
    entry(seq, "said", &serde_json::json!({ "text": text }).to_string())
}

/// What is said of a file of these lines.
fn refused(lines: &[String]) -> String {
    Recording::read(file(lines).as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_read() {
    let file = file(&[requested(), chosen(), said(3, "é"), code(BASE, 4), pack("UEE="), pack("Q0s=")]);
    let recording = Recording::read(file.as_bytes()).unwrap();
    assert_eq!((recording.session.to_string().as_str(), recording.entries.len()), (ID, 3));
    let code = recording.code.unwrap();
    assert_eq!((code.branch.as_str(), code.commit.as_str()), ("main", BASE));
    assert_eq!(code.packed.unwrap().bytes, b"PACK");
}

#[test]
fn a_file_of_a_later_format_is_left_to_a_later_release() {
    let later = "{\"recording\":{\"format\":2,\"codec\":\"zstd\"}}\nnot JSON at all\n";
    let error = Recording::read(later.as_bytes()).unwrap_err();
    assert!(matches!(error, ReadError::Later { format: 2 }), "{error}");
    assert!(error.to_string().contains("use a later release"), "{error}");
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    for text in ["", "\n", "hello\n", "{}\n", "{\"end\":{\"lines\":0}}\n", "\u{0}\u{1}\n"] {
        let error = Recording::read(text.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains("begin a recording") || error.contains("cut after line 0"),
            "{text:?}: {error}"
        );
    }
    let error = Recording::read(&b"\xff\xfe\n"[..]).unwrap_err().to_string();
    assert!(error.contains("line 1 of the recording is not UTF-8"), "{error}");
}

#[test]
fn a_wrong_line_is_named_with_what_is_wrong_with_it() {
    let again = format!(r#"{{"recording":{{"format":1,"release":"0.1.0","session":"{ID}"}}}}"#);
    let local = |path: &str| requested_of(&serde_json::json!({ "local": path }).to_string());
    let hosted = |scheme: &str, host: &str, owner: &str| {
        requested_of(
            &serde_json::json!({ "hosted": { "scheme": scheme, "host": host, "owner": owner, "name": "n" } })
                .to_string(),
        )
    };
    let far = requested().replace("1700000000000000", "9223372036854775807");
    let older = said(2, "x").replace("\"attempt\":1", "\"attempt\":0");
    let ended = r#"{"outcome":{"outcome":"unchanged","summary":"-"},"telemetry":{"turns":0,"input_tokens":0,"output_tokens":0,"usd":null,"duration_ms":0,"provider":null,"model":null,"thoughts":{"count":0,"recent":[]}}}"#;
    let huge = "A".repeat(40);
    for (lines, expected) in [
        (vec![], "line 2 of the recording ends a recording without an entry"),
        (
            vec![said(1, "hello")],
            "line 2 of the recording is the first entry, and does not ask for a session",
        ),
        (vec![requested(), again], "line 3 of the recording begins a second recording"),
        (vec![requested(), said(3, "x")], "line 3 of the recording has entry 3 after entry 1"),
        (vec![requested(), older], "line 3 of the recording has an attempt or a time that no session has"),
        (vec![far], "line 2 of the recording has an attempt or a time that no session has"),
        (vec![requested(), entry(2, "flew", "{}")], "written by a later release of backspace"),
        (vec![requested(), entry(2, "said", "{}")], "does not hold what it should: missing field `text`"),
        (vec![requested(), "{\"entry\":".to_owned()], "line 3 of the recording cannot be read"),
        (
            vec![requested(), "{\"tail\":{}}".to_owned()],
            "line 3 of the recording cannot be read: unknown variant",
        ),
        (
            vec![requested(), entry(2, "session_ended", ended), said(3, "x")],
            "is an entry behind the final one",
        ),
        (vec![requested(), code(BASE, 4)], "which is not the base that the entries name"),
        (
            vec![requested(), chosen(), code(&BASE.replace('0', "a"), 4)],
            "which is not the base that the entries name",
        ),
        (vec![requested(), chosen(), code(BASE, 0), code(BASE, 0)], "has code a second time"),
        (vec![requested(), chosen(), code(BASE, 0), said(3, "x")], "is an entry, and stands behind the code"),
        (vec![requested(), chosen(), code(BASE, 1 << 40)], "announces a pack of 1099511627776 bytes, beyond"),
        (vec![requested(), chosen(), code(BASE, 4), pack(&huge)], "makes the pack larger than the 4 bytes"),
        (
            vec![requested(), chosen(), code(BASE, 4), pack("UEE=")],
            "ends a recording whose pack has 2 of 4 bytes",
        ),
        (vec![requested(), chosen(), code(BASE, 4), pack("*")], "line 5 of the recording is no base64"),
        (vec![requested(), pack("UEE=")], "has a piece of a pack that was not announced"),
        (vec![local("relative/path")], "names a repository that no session can have"),
        (vec![local("/a/../../etc")], "names a repository that no session can have"),
        (vec![local("/a\nb")], "names a repository that no session can have"),
        (vec![hosted("ext", "github.com", "o")], "names a repository that no session can have"),
        (vec![hosted("https", "github.com", "../o")], "names a repository that no session can have"),
        (vec![hosted("https", "a b", "o")], "names a repository that no session can have"),
    ] {
        let error = refused(&lines);
        assert!(error.contains(expected), "{expected:?} was expected: {error}");
    }
    // A private host is nothing that would be dialled.
    assert!(Recording::read(file(&[hosted("http", "127.0.0.1:3000", "o")]).as_bytes()).is_ok());
}

#[test]
fn a_file_is_whole_to_its_last_line_and_no_further() {
    let whole = file(&[requested(), chosen(), said(3, "é"), code(BASE, 2), pack("UEE=")]);
    for at in 0..whole.len() {
        let error = Recording::read(&whole.as_bytes()[..at]).unwrap_err();
        assert!(matches!(error, ReadError::Cut { .. } | ReadError::Line { .. }), "cut at {at}: {error}");
    }
    let more = format!("{whole}{{}}\n");
    assert!(Recording::read(more.as_bytes()).unwrap_err().to_string().contains("stands behind the end"));
    let fewer = whole.replacen(&format!("{}\n", said(3, "é")), "", 1);
    let error = Recording::read(fewer.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("line 6 of the recording says that 6 lines stand before it"), "{error}");
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(at in any::<prop::sample::Index>(), with in any::<u8>(), times in 1..4_usize) {
        let mut bytes = file(&[requested(), chosen(), said(3, "é"), code(BASE, 2), pack("UEE=")]).into_bytes();
        for n in 0..times {
            let at = (at.index(bytes.len()) + n * 7) % bytes.len();
            bytes[at] = with;
        }
        if let Ok(recording) = Recording::read(&bytes[..]) {
            prop_assert!(!recording.entries.is_empty());
        }
    }
}
