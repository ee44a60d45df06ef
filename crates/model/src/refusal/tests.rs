//! Statuses, headers and bodies as providers send them.

use reqwest::header::HeaderName;

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
    for status in [408, 409, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529, 599] {
        assert!(may_be_asked_again(status, &none), "{status}");
        assert!(!may_be_asked_again(status, &headers(&[("x-should-retry", "false")])), "{status}");
    }
    for status in FINAL {
        assert!(!may_be_asked_again(status, &headers(&[("x-should-retry", "true")])), "{status}");
    }
    for status in [301, 402, 405, 418, 501, 505, 600] {
        assert!(!may_be_asked_again(status, &none), "{status}");
    }
    assert!(may_be_asked_again(501, &headers(&[("x-should-retry", "true")])));
}

#[test]
fn errors_are_read_in_all_their_forms_and_never_hold_the_key() {
    let served = ours("mistral", "m");
    let error = |data: &str| in_stream(&served, data);
    let overloaded =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Over\nloaded sk-secret"}}"#;
    let shown = error(overloaded);
    assert!(matches!(shown, Error::Transient { .. }));
    assert_eq!(shown.to_string(), "mistral is not answering: Over loaded [key]");
    let begun = "data: {\"error\": {\"message\": \"Error processing stream start\"}}\n\ndata: [DONE]\n\n";
    let shown = of_answer(&served, 500, &headers(&[]), begun);
    assert_eq!(shown.to_string(), "mistral is not answering: Error processing stream start (500)");
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
    let text = told(&"é ".repeat(5000), &SecretString::from(""));
    assert!(text.len() <= ERROR_TEXT_BYTES_MAX + 3 && text.ends_with('…'));
    assert_eq!(told(" \n\u{1b} ", &SecretString::from("k")), "no reason given");
}

#[test]
fn what_only_the_operator_can_mend_has_a_class_of_its_own() {
    let served = ours("mistral", "m");
    let answer = |status, body: &str| of_answer(&served, status, &headers(&[]), body);
    for (status, body) in [
        (429, r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"sk-secret"}}"#),
        (402, r#"{"error":{"message":"Insufficient credits","code":402}}"#),
        (402, "pay first"),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits."}}"#,
        ),
    ] {
        let error = answer(status, body);
        assert!(matches!(&error, Error::Quota { status: told, .. } if *told == status), "{body}: {error:?}");
        assert!(!error.to_string().contains("sk-secret"));
    }
    for (status, body) in [
        (404, r#"{"error":{"type":"not_found_error","message":"model: claude-9"}}"#),
        (400, r#"{"error":{"code":"model_not_found","message":"no such model"}}"#),
        (404, "<html>nothing here</html>"),
        (400, r#"{"error":{"message":"/responses: Invalid model name passed in model=m.","code":"400"}}"#),
    ] {
        let error = answer(status, body);
        assert!(
            matches!(&error, Error::NotFound { status: told, .. } if *told == status),
            "{body}: {error:?}"
        );
    }
    let litellm = r#"{"error":{"message":"No connected db.","type":"no_db_connection","code":"400"}}"#;
    assert!(matches!(answer(400, litellm), Error::Key { status: 400, .. }));
    for body in ["", r#"{"error":{"type":"permission_error","message":"no"}}"#] {
        assert!(matches!(answer(403, body), Error::Key { status: 403, .. }), "{body}");
    }
}

#[test]
fn a_full_context_is_told_from_other_refusals_in_every_provider_s_words() {
    let served = ours("mistral", "m");
    let anthropic = "prompt is too long: 213462 tokens > 200000 maximum";
    let openai =
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens.";
    let tpm = "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 41000.";
    let google = "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).";
    let litellm = "litellm.ContextWindowExceededError: litellm.BadRequestError: too much for model=m";
    let llama = "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it";
    for (status, kind, message) in [
        (400, "invalid_request_error", anthropic),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
        ),
        (413, "request_too_large", "Request exceeds the maximum size"),
        (400, "context_length_exceeded", "no words of ours"),
        (400, "BadRequestError", openai),
        (429, "tokens", tpm),
        (400, "INVALID_ARGUMENT", google),
        (400, "exceed_context_size_error", llama),
        (400, "", litellm),
        (500, "server_error", "the request exceeds the available context size"),
        (413, "", "<html>413 Request Entity Too Large</html>"),
    ] {
        let body = format!(r#"{{"error":{{"type":"{kind}","message":"{message}"}}}}"#);
        let error = of_answer(&served, status, &headers(&[]), &body);
        assert!(matches!(&error, Error::ContextFull { .. }), "{body}: {error:?}");
    }
    let failed = r#"{"error":{"code":"context_length_exceeded","message":"Your input exceeds the context window of this model."}}"#;
    assert!(matches!(in_stream(&served, failed), Error::ContextFull { .. }));
    let limited = r#"{"error":{"type":"tokens","message":"Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000."}}"#;
    assert!(matches!(of_answer(&served, 429, &headers(&[]), limited), Error::Transient { .. }));
}

#[test]
fn a_status_may_be_written_as_text() {
    let served = ours("mistral", "m");
    for body in [
        r#"{"error":{"message":"no","type":"auth_error","param":"None","code":"401"}}"#,
        r#"{"object":"error","message":"no","type":"AuthenticationError","param":null,"code":401}"#,
    ] {
        for refused in [in_stream(&served, body), in_body(&served, body).unwrap()] {
            assert!(
                matches!(&refused, Error::Key { status: 401, variable: Some(name), .. } if name == "MISTRAL_API_KEY"),
                "{body}: {refused:?}"
            );
        }
    }
    let error =
        |code: &str| in_stream(&served, &format!(r#"{{"error":{{"message":"no","code":"{code}"}}}}"#));
    assert!(matches!(error("400"), Error::Refused { status: 400, .. }));
    for code in ["429", "503", "1302", "-1", "401x", "99999", ""] {
        assert!(matches!(error(code), Error::Transient { .. }), "{code}");
    }
}

#[test]
fn an_error_may_stand_by_itself_and_hold_half_a_character() {
    let served = ours("mistral", "m");
    let shown = in_stream(&served, r#"{"type":"error","message":"Overloaded"}"#);
    assert_eq!(shown.to_string(), "mistral is not answering: Overloaded");
    let shown = in_stream(&served, r#"{"error":{"code":401,"message":"no \ud83d"}}"#);
    assert_eq!(shown.to_string(), "mistral refused the API key (401): no \u{fffd}");
    assert!(in_body(&served, r#"{"object":"whole","message":"no error"}"#).is_none());
}
