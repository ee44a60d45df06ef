//! Headers, statuses and bodies as providers send them.

use super::*;
use crate::vendors::tests::ours;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn the_wait_is_read_in_all_its_forms() {
    let now = httpdate::parse_http_date("Fri, 20 Nov 2026 10:00:00 GMT").unwrap();
    for (pairs, expected) in [
        (&[("retry-after", "7")][..], Some(7000)),
        (&[("retry-after", "0.25")], Some(250)),
        (&[("retry-after", "Fri, 20 Nov 2026 10:00:30 GMT")], Some(30_000)),
        (&[("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT")], Some(0)),
        (&[("retry-after-ms", "1500"), ("retry-after", "9")], Some(1500)),
        (&[("retry-after-ms", "soon"), ("retry-after", "9")], Some(9000)),
        (&[("retry-after", "-1")], None),
        (&[("retry-after", "inf")], None),
        (&[], None),
    ] {
        assert_eq!(retry_after_ms(&headers(pairs), now), expected, "{pairs:?}");
    }
}

#[test]
fn statuses_say_whether_asking_again_helps() {
    let none = headers(&[]);
    for status in TRANSIENT {
        assert!(may_be_asked_again(status, &none), "{status}");
        assert!(!may_be_asked_again(status, &headers(&[("x-should-retry", "false")])), "{status}");
    }
    for status in FINAL {
        assert!(!may_be_asked_again(status, &headers(&[("x-should-retry", "true")])), "{status}");
    }
    for status in [301, 402, 405, 418, 501] {
        assert!(!may_be_asked_again(status, &none), "{status}");
    }
    assert!(may_be_asked_again(520, &headers(&[("x-should-retry", "true")])));
}

#[test]
fn errors_are_read_in_all_their_forms_and_never_hold_the_key() {
    let served = ours("mistral", "m");
    let error = |data: &str| error_in_stream(&served, data);
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Over\nloaded sk-secret"}}"#;
    let shown = error(overloaded);
    assert!(matches!(shown, Error::Transient { .. }));
    assert_eq!(shown.to_string(), "mistral is not answering: Over loaded [key]");
    for data in [r#"{"error":{"code":502,"message":"bad gateway"}}"#, r#"{"error":"boom"}"#, "boom sk-secret"]
    {
        let shown = error(data);
        assert!(matches!(shown, Error::Transient { .. }), "{data}");
        assert!(!shown.to_string().contains("sk-secret"));
    }
    let refused = error(r#"{"error":{"type":"invalid_request_error","message":"no"}}"#);
    assert!(matches!(refused, Error::Refused { status: 400, .. }));
    let refused = error(r#"{"error":{"code":"invalid_api_key","message":"no"}}"#);
    assert!(
        matches!(&refused, Error::Key { status: 401, variable: Some(name), .. } if name == "MISTRAL_API_KEY")
    );
}

#[test]
fn what_is_told_is_bounded() {
    let text = told(&"é ".repeat(5000), "");
    assert!(text.len() <= ERROR_TEXT_BYTES_MAX + 3 && text.ends_with('…'));
    assert_eq!(told(" \n\u{1b} ", "k"), "no reason given");
}

#[test]
fn base_urls_are_checked() {
    let good = endpoint_url("p", " http://127.0.0.1:1/v1/ ", "/x").unwrap();
    assert_eq!(good.as_str(), "http://127.0.0.1:1/v1/x");
    for bad in ["", "host", "ftp://h", "https://u:p@h", "https://h?x=1", "https://h#f", "file:///etc"] {
        assert!(matches!(endpoint_url("p", bad, "/x"), Err(Error::Config(_))), "{bad}");
    }
}
