//! What is refused, and how it is said.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::world::{Wishes, World, read, submission};

/// Sends it and reads the problem.
async fn problem(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    let body = read(response).await;
    assert_eq!(body["status"], status);
    for field in ["type", "title", "detail", "code"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {body}");
    }
    assert!(body["errors"].is_array());
    (status, body)
}

#[tokio::test]
async fn bad_requests_name_the_field_and_start_nothing() {
    let world = World::new().await;
    let bad = [
        (json!({ "prompt": "x" }), 422, "invalid_fields", "repoUrl"),
        (json!({ "repoUrl": "https://forge.example/o/n" }), 422, "invalid_fields", "prompt"),
        (
            json!({ "repo_url": "https://u:p@forge.example/o/n", "prompt": "x" }),
            400,
            "invalid_url",
            "repo_url",
        ),
        (json!({ "repoUrl": "file:///etc", "prompt": "x" }), 400, "invalid_url", "repoUrl"),
        (json!({ "repoUrl": "http://169.254.169.254/o/n", "prompt": "x" }), 400, "invalid_url", "repoUrl"),
        (json!({ "repoUrl": "https://forge.example/o/n", "prompt": " " }), 422, "invalid_fields", "prompt"),
        (
            json!({ "repoUrl": "https://forge.example/o/n", "prompt": "x".repeat(32_001) }),
            422,
            "invalid_fields",
            "prompt",
        ),
        (
            json!({ "repoUrl": "https://forge.example/o/n", "prompt": "x", "branch_name": "-x" }),
            422,
            "invalid_fields",
            "branch_name",
        ),
        (
            json!({ "repoUrl": "https://forge.example/o/n", "prompt": "x", "draft": "yes" }),
            422,
            "invalid_fields",
            "draft",
        ),
        (
            json!({ "repoUrl": "https://forge.example/o/n", "prompt": "x", "colour": 1 }),
            422,
            "invalid_fields",
            "colour",
        ),
    ];
    for path in ["/code", "/api/code", "/api/v1/code", "/v1/sessions"] {
        for (body, status, code, field) in &bad {
            let (got, told) = problem(world.post(path, body)).await;
            assert_eq!((got, told["code"].as_str()), (*status, Some(*code)), "{body}");
            assert_eq!(told["errors"][0]["field"], *field, "{told}");
        }
    }
    assert_eq!(world.sessions.living(), 0);
    assert!(world.sessions.store().index.unfinished().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_even_a_request_is_refused_as_such() {
    let world = World::new().await;
    let raw = |kind: Option<&str>, body: Vec<u8>| {
        let request = world.client.post(format!("{}/code", world.address)).body(body);
        kind.into_iter().fold(request, |request, kind| request.header("content-type", kind))
    };
    let json = Some("application/json");
    for body in [&b"{"[..], b"", b"[1]", b"\"x\"", b"{\"repoUrl\": \xff}", b"nul"] {
        let (status, told) = problem(raw(json, body.to_vec())).await;
        assert_eq!((status, told["code"].as_str()), (400, Some("malformed_json")), "{body:?}");
    }
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let (status, told) = problem(raw(kind, submission().to_string().into_bytes())).await;
        assert_eq!((status, told["code"].as_str()), (415, Some("unsupported_media_type")));
    }
    let (status, told) = problem(raw(json, vec![b' '; 1024 * 1024 + 1])).await;
    assert_eq!((status, told["code"].as_str()), (413, Some("payload_too_large")));
    let (status, told) = problem(world.get("/nowhere")).await;
    assert_eq!((status, told["code"].as_str()), (404, Some("not_found")));
    let (status, told) = problem(world.get("/v1/sessions/not-an-id")).await;
    assert_eq!((status, told["code"].as_str()), (404, Some("session_not_found")));
    let (status, told) = problem(world.get("/local/../../pull/1")).await;
    assert_eq!((status, told["code"].as_str()), (404, Some("not_found")));
    for (method, path) in [(Method::GET, "/code"), (Method::PUT, "/v1/sessions"), (Method::POST, "/health")] {
        let request = || world.client.request(method.clone(), format!("{}{path}", world.address));
        let (status, told) = problem(request()).await;
        assert_eq!((status, told["code"].as_str()), (405, Some("method_not_allowed")));
        assert!(request().send().await.unwrap().headers().contains_key("allow"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_caller_who_asks_too_often_is_told_when_to_come_again() {
    let wishes = Wishes {
        config: |config| config.submissions_per_minute = std::num::NonZero::new(2),
        ..Wishes::default()
    };
    let world = World::with(wishes).await;
    for _ in 0..5 {
        // What is refused is not counted.
        assert_eq!(world.post("/code", &json!({})).send().await.unwrap().status(), 422);
    }
    for path in ["/v1/sessions", "/code"] {
        assert!(world.post(path, &submission()).send().await.unwrap().status().is_success());
    }
    let response = world.post("/code", &submission()).send().await.unwrap();
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(problem(world.post("/code", &submission())).await.1["code"], "rate_limited");
    assert_eq!(world.sessions.living(), 2);
    assert_eq!(world.get("/v1/sessions").send().await.unwrap().status(), 200, "looking is not limited");
}

#[tokio::test]
async fn without_what_a_session_needs_none_is_taken_and_the_mend_is_told() {
    let missing = session::Problem {
        what: "no model provider is configured".into(),
        mend: "Set ANTHROPIC_API_KEY.".into(),
    };
    let world = World::with(Wishes { problems: vec![missing], ..Wishes::default() }).await;
    for request in
        [world.post("/code", &submission()), world.post("/v1/sessions", &submission()), world.get("/ready")]
    {
        let (status, told) = problem(request).await;
        assert_eq!((status, told["code"].as_str()), (503, Some("unavailable")));
        assert!(told["detail"].as_str().unwrap().contains("Set ANTHROPIC_API_KEY."));
    }
    let health = read(world.get("/health").send().await.unwrap()).await;
    assert_eq!(
        (&health["status"], &health["components"]["set_up"]),
        (&"healthy".into(), &"no model provider is configured".into())
    );
}

#[tokio::test]
async fn a_full_queue_is_said_to_be_full() {
    let limits = session::Limits { running_max: 1, queued_max: 1 };
    let world = World::with(Wishes { limits, ..Wishes::default() }).await;
    for _ in 0..2 {
        assert_eq!(world.post("/v1/sessions", &submission()).send().await.unwrap().status(), 202);
    }
    let response = world.post("/code", &submission()).send().await.unwrap();
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(problem(world.post("/code", &submission())).await.1["code"], "queue_full");
}
