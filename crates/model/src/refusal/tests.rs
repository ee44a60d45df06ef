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
        (
            429,
            r#"{"error":{"message":"Budget has been exceeded! Current cost: 10.51, Max budget: 10.0","type":"budget_exceeded","code":"429"}}"#,
        ),
        (400, r#"{"error":{"message":"Budget has been exceeded! Team=99c7","type":null,"code":"400"}}"#),
        (
            429,
            r#"{"error":"you (u) have reached your weekly usage limit, upgrade for higher limits: https://…"}"#,
        ),
        (429, r#"{"error":"you've reached your hourly usage limit, please wait or upgrade to continue"}"#),
        (403, r#"{"error":{"message":"Key limit exceeded (total limit). Manage it at …","code":403}}"#),
        (403, r#"{"error":{"message":"Your account is not active","type":"exceeded_current_quota_error"}}"#),
        (
            429,
            r#"{"code":"x","error":"Your team 1 has either used all available credits or reached its monthly spending limit."}"#,
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
        (400, r#"{"object":"error","message":"Invalid model: m","type":"invalid_model","code":"1500"}"#),
        (400, r#"{"error":{"message":"qwen/m is not a valid model ID","code":400},"user_id":"u"}"#),
        (400, r#"{"error":{"message":"/responses: Invalid model name passed in model=m.","code":"400"}}"#),
    ] {
        let error = answer(status, body);
        assert!(
            matches!(&error, Error::NotFound { status: told, .. } if *told == status),
            "{body}: {error:?}"
        );
    }
    for body in [
        r#"{"error":{"message":"No connected db.","type":"no_db_connection","code":"400"}}"#,
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: na***ys."}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#,
        r#"[{"error":{"code":400,"message":"API key expired. Please renew the API key."}}]"#,
    ] {
        assert!(matches!(answer(400, body), Error::Key { status: 400, .. }), "{body}");
    }
    for body in ["", r#"{"error":{"type":"permission_error","message":"no"}}"#] {
        assert!(matches!(answer(403, body), Error::Key { status: 403, .. }), "{body}");
    }
}

/// Status, type and words of refusals of what is too long.
const TOO_LONG: &[(u16, &str, &str)] = &[
    (400, "invalid_request_error", "prompt is too long: 213462 tokens > 200000 maximum"),
    (
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
    ),
    (413, "request_too_large", "Request exceeds the maximum size"),
    (400, "context_length_exceeded", "no words of ours"),
    (
        400,
        "BadRequestError",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens.",
    ),
    (
        429,
        "tokens",
        "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 41000.",
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    ),
    (
        400,
        "exceed_context_size_error",
        "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
    ),
    (400, "", "litellm.ContextWindowExceededError: litellm.BadRequestError: too much for model=m"),
    (500, "server_error", "the request exceeds the available context size"),
    (413, "", "<html>413 Request Entity Too Large</html>"),
    (
        400,
        "BadRequestError",
        "You passed 30721 input tokens and requested 2048 output tokens. However, the model's context length is only 32768 \
                tokens, resulting in a maximum input length of 30720 tokens. Please reduce the length of the input prompt.",
    ),
    (
        400,
        "BadRequestError",
        "The decoder prompt (length 10127) is longer than the maximum model length of 8192.",
    ),
    (
        400,
        "BadRequestError",
        "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
    ),
    (400, "invalid_request_error", "Invalid request: Your request exceeded model token limit: 262144"),
    (400, "invalid_request_error", "invalid params, context window exceeds limit (2013)"),
    (400, "", "prompt too long; exceeded max context length by 17 tokens"),
    (500, "", "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"),
    (400, "", "Input length 131393 exceeds the maximum allowed input length of 131040 tokens."),
    (400, "invalid_request_error", "Input tokens exceed the configured limit of 272000 tokens."),
    (400, "invalid_request_error", "<400> InternalError: Range of input length should be [1, 204800]"),
    (400, "", "Prompt exceeds max length"),
    (
        400,
        "BadRequestError",
        "max_tokens=8192cannot be greater than max_model_len=max_total_tokens=4096. Please request fewer output tokens.",
    ),
    (400, "", "Prompt too long: 41911 tokens exceeds max context window of 32768 tokens"),
];

#[test]
fn a_full_context_is_told_from_other_refusals_in_every_provider_s_words() {
    let served = ours("mistral", "m");
    for (status, kind, message) in TOO_LONG {
        let body = format!(r#"{{"error":{{"type":"{kind}","message":"{message}"}}}}"#);
        let error = of_answer(&served, *status, &headers(&[]), &body);
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

#[test]
fn what_stands_behind_a_gateway_is_read_and_told() {
    let served = ours("openrouter", "m");
    let wrapped = |code: u16, raw: &str, who: &str| {
        let raw = serde_json::Value::from(raw);
        format!(
            r#"{{"error":{{"message":"Provider returned error","code":{code},"metadata":{{"raw":{raw},"provider_name":{who:?}}}}},"user_id":"u"}}"#
        )
    };
    let answer = |status, body: &str| of_answer(&served, status, &headers(&[]), body);
    let full = r#"{"error":{"message":"This endpoint's maximum context length is 8192 tokens.\n However …","type":"invalid_request_error"}}"#;
    let error = answer(400, &wrapped(400, full, "Novita"));
    assert!(matches!(error, Error::ContextFull { status: 400, .. }), "{error:?}");
    assert_eq!(error.context_told(), Some(8192));
    let told =
        "Provider returned error (Novita): This endpoint's maximum context length is 8192 tokens. However …";
    assert!(error.to_string().ends_with(told), "{error}");
    let error = in_stream(&served, &wrapped(400, full, ""));
    assert!(matches!(error, Error::ContextFull { status: 400, .. }), "{error:?}");

    let only = "Provider returned error (p): ";
    for (raw, said) in [
        (
            r#"{"error":{"message":"at most 1 image per prompt sk-secret"}}"#,
            "at most 1 image per prompt [key]",
        ),
        (r#"{"detail":"Unprocessable"}"#, "Unprocessable"),
        (r#"{"message":"no such field"}"#, "no such field"),
        (r#"{"odd":1}"#, r#"{"odd":1}"#),
        ("ERROR", "ERROR"),
    ] {
        let error = answer(400, &wrapped(400, raw, "p"));
        let Error::Refused { status: 400, message, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*message, format!("{only}{said}"));
    }
    let whole = r#"{"error":{"message":"Provider returned error","metadata":{"raw":{"error":{"code":"context_length_exceeded"}}}}}"#;
    assert!(matches!(answer(400, whole), Error::ContextFull { .. }));
    for raw in ["null", "\"\"", "7"] {
        let body =
            format!(r#"{{"error":{{"message":"Provider returned error","metadata":{{"raw":{raw}}}}}}}"#);
        assert_eq!(
            answer(400, &body).to_string(),
            "openrouter refused the request (400): Provider returned error"
        );
    }
    // What the gateway says of its own answer goes before what it passes on.
    let busy = wrapped(429, r#"{"error":{"type":"invalid_request_error","message":"slow down"}}"#, "p");
    assert!(matches!(in_stream(&served, &busy), Error::Transient { .. }));
    let unsaid = busy.replace(r#""code":429,"#, "");
    assert!(matches!(in_stream(&served, &unsaid), Error::Refused { status: 400, .. }));
}

#[test]
fn google_s_lists_are_read_with_their_details() {
    let served = ours("gemini", "m");
    let answer = |status, body: &str| of_answer(&served, status, &headers(&[]), body);
    let key = |message: &str, details: &str| {
        format!(
            r#"[{{"error":{{"code":400,"message":"{message}","status":"INVALID_ARGUMENT","details":[{details}]}}}}]"#
        )
    };
    let reason = r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}"#;
    for body in [key("API key not valid. Please pass a valid API key.", ""), key("Nein.", reason)] {
        for error in [answer(400, &body), in_stream(&served, &body), in_body(&served, &body).unwrap()] {
            let Error::Key { status: 400, variable, message, .. } = &error else { panic!("{error:?}") };
            assert_eq!(variable.as_deref(), Some("GEMINI_API_KEY"));
            assert!(!message.contains('{'), "{message}");
        }
    }
    assert_eq!(
        answer(400, &key("Please use a valid role", "")).to_string(),
        "gemini refused the request (400): Please use a valid role"
    );
    assert!(matches!(answer(400, "[]"), Error::Refused { status: 400, .. }));
}

#[test]
fn google_s_limits_say_when_to_come_back_unless_that_is_tomorrow() {
    let served = ours("gemini", "m");
    let answer = |status, body: &str| of_answer(&served, status, &headers(&[]), body);
    let exceeded = |metric: &str, details: &str| {
        format!(
            r#"[{{"error":{{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for metric: {metric}\nPlease retry in 38.92s.","details":[{details}]}}}}]"#
        )
    };
    let minute = r#"{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}"#;
    let wait = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38.9223s"}"#;
    let busy = answer(429, &exceeded("free_tier_requests, limit: 15, model: m", &format!("{minute},{wait}")));
    assert!(matches!(busy, Error::Transient { retry_after_ms: Some(38_923), .. }), "{busy:?}");
    for odd in ["soon", "-3s", "infs", "3m"] {
        let wait = wait.replace("38.9223s", odd);
        let busy = answer(429, &exceeded("x, limit: 15, model: m", &wait));
        assert!(matches!(busy, Error::Transient { retry_after_ms: None, .. }), "{odd}: {busy:?}");
    }
    let body = exceeded("x, limit: 15, model: m", wait);
    let busy = of_answer(&served, 429, &headers(&[("retry-after", "7")]), &body);
    assert!(
        matches!(busy, Error::Transient { retry_after_ms: Some(7000), .. }),
        "the head goes before: {busy:?}"
    );
    let day = minute.replace("PerMinute", "PerDay");
    for spent in [
        exceeded("x, limit: 20, model: m", &format!("{day},{wait}")),
        exceeded("x, limit: 0, model: m", wait),
    ] {
        assert!(matches!(answer(429, &spent), Error::Quota { status: 429, .. }), "{spent}");
    }
}
