//! Who may call.

use crate::world::{Wishes, World, submission};

#[tokio::test]
async fn with_a_token_all_but_health_and_the_description_need_it() {
    let world = World::with(Wishes {
        config: |config| config.token = Some("bks_secret".into()),
        ..Wishes::default()
    })
    .await;
    for path in ["/", "/health", "/healthz", "/ready", "/openapi.json"] {
        assert_eq!(world.get(path).send().await.unwrap().status(), 200, "{path}");
    }
    for path in [
        "/v1/sessions",
        "/v1/sessions/x",
        "/v1/sessions/x/events",
        "/v1/sessions/x/diff",
        "/v1/sessions/x/recording",
        "/local/x/pull/1",
    ] {
        let response = world.get(path).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
        assert!(response.headers().contains_key("www-authenticate"));
    }
    assert_eq!(
        world.post("/code", &submission()).bearer_auth("bks_wrong").send().await.unwrap().status(),
        401
    );
    assert_eq!(world.sessions.living(), 0);
    assert_eq!(
        world.post("/code", &submission()).bearer_auth("bks_secret").send().await.unwrap().status(),
        200
    );
    assert_eq!(
        world.get("/v1/sessions").header("x-api-key", "bks_secret").send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn without_a_token_no_web_page_may_call_by_a_name_of_its_own() {
    let world = World::new().await;
    let rebound = world.post("/code", &submission()).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
    let foreign =
        world.post("/code", &submission()).header("origin", "http://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));
    assert_eq!(world.sessions.living(), 0);
}

#[tokio::test]
async fn pages_of_named_origins_may_call() {
    let named = |config: &mut server::ServerConfig| config.cors_origins = vec!["https://page.example".into()];
    let world = World::with(Wishes { config: named, ..Wishes::default() }).await;
    let preflight = world
        .client
        .request(reqwest::Method::OPTIONS, format!("{}/code", world.address))
        .header("origin", "https://page.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,authorization");
    let allowed = preflight.send().await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://page.example");
    let response =
        world.post("/code", &submission()).header("origin", "https://page.example").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["access-control-expose-headers"].to_str().unwrap().contains("x-session-id"));
}
