//! Sessions as things.

use events::{Event, ModelRetried, SessionId};
use serde_json::{Value, json};

use crate::world::{self, World, ended, said, submission};

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, world::read(response).await)
}

#[tokio::test]
async fn a_session_is_made_shown_cancelled_and_deleted() {
    let world = World::new().await;
    let response = world.post("/v1/sessions", &submission()).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let made = world::read(response).await;
    let id: SessionId = made["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(location, format!("/v1/sessions/{id}"));
    assert!(["queued", "running"].contains(&made["status"].as_str().unwrap()), "{made}");

    let (_, shown) = read(world.get(&location)).await;
    assert_eq!(
        (&shown["repository"], &shown["prompt"]),
        (&"https://forge.example/o/n".into(), &"Add validation".into())
    );
    assert_eq!(shown["result"], Value::Null);
    let delete = || world.client.delete(format!("{}{location}", world.address));
    assert_eq!(read(delete()).await.1["code"], "session_unfinished");
    assert_eq!(read(world.get(&format!("{location}/diff"))).await.1["code"], "no_diff");

    let (status, asked) = read(world.post(&format!("{location}/cancel"), &json!({}))).await;
    assert_eq!((status, &asked["id"]), (202, &id.to_string().into()));
    world.open_the_gate();
    let last = world.follow(id, 0).await.rest().await.pop().unwrap();
    let (_, shown) = read(world.get(&location)).await;
    assert_eq!((&shown["result"], &shown["last_event_id"]), (&last.data, &last.id.into()));
    let (status, told) = read(world.post(&format!("{location}/cancel"), &json!({}))).await;
    assert_eq!((status, told["code"].as_str()), (409, Some("session_ended")));

    assert_eq!(read(delete()).await.0, 204);
    assert_eq!(read(world.get(&location)).await.0, 404);
    assert_eq!(read(delete()).await.0, 404);
    assert_eq!(read(world.get(&format!("{location}/diff"))).await.1["code"], "session_not_found");
    assert_eq!(
        read(world.post(&format!("{location}/cancel"), &json!({}))).await.1["code"],
        "session_not_found"
    );
}

#[tokio::test]
async fn a_session_waits_while_its_model_cannot_be_asked() {
    let world = World::new().await;
    let (id, other) = (world.begin(1).await, world.begin(2).await);
    let status = async || read(world.get(&format!("/v1/sessions/{id}"))).await.1["status"].clone();
    let waiting = async || {
        let sessions = read(world.get("/v1/sessions?status=waiting")).await.1["sessions"].clone();
        let ids =
            sessions.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    world.append(other, &[said("x")]).await;
    assert_eq!(waiting().await, [""; 0]);
    let pause = Event::ModelRetried(ModelRetried {
        provider: Some("anthropic".into()),
        reason: "anthropic is not answering: 529".into(),
        wait_ms: 60_000,
        retry: 1,
    });
    world.append(id, &[pause]).await;
    assert_eq!((status().await, waiting().await), ("waiting".into(), vec![id.to_string()]));
    world.append(id, &[said("x")]).await;
    assert_eq!((status().await, waiting().await), ("running".into(), Vec::new()));
}

#[tokio::test]
async fn sessions_are_listed_in_pages() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 1..=5 {
        ids.push(world.begin(n).await.to_string());
    }
    world.append(ids[1].parse().unwrap(), &[said("x"), ended()]).await;
    let list = async |query: &str| -> (Vec<String>, Value) {
        let (status, body) = read(world.get(&format!("/v1/sessions{query}"))).await;
        assert_eq!(status, 200, "{body}");
        let ids = body["sessions"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned());
        (ids.collect(), body["next_cursor"].clone())
    };
    ids.reverse();
    let (first, cursor) = list("?limit=2").await;
    assert_eq!((first.as_slice(), cursor.as_str()), (&ids[..2], Some(&*ids[1])));
    let (second, cursor) = list(&format!("?limit=3&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!((second.as_slice(), &cursor), (&ids[2..], &Value::Null));
    assert_eq!(list("?status=done").await.0, [&*ids[3]]);
    assert_eq!(list("?repo=https://forge.example/o/n4.git").await.0, [&*ids[1]], "in any spelling");
    for query in ["?limit=0", "?limit=x", "?limit=201", "?status=new", "?cursor=1", "?size=2"] {
        let (status, told) = read(world.get(&format!("/v1/sessions{query}"))).await;
        assert_eq!((status, told["code"].as_str()), (400, Some("invalid_parameter")), "{query}");
    }
}

#[tokio::test]
async fn the_service_tells_what_it_is() {
    let world = World::new().await;
    let (_, index) = read(world.get("/")).await;
    assert_eq!((&index["name"], &index["links"]["openapi"]), (&"backspace".into(), &"/openapi.json".into()));
    for path in ["/health", "/healthz"] {
        let (status, health) = read(world.get(path)).await;
        assert_eq!(
            (status, &health["status"], &health["version"]),
            (200, &"healthy".into(), &index["version"])
        );
    }
    assert_eq!(read(world.get("/ready")).await, (200, json!({ "status": "ready" })));
}

#[tokio::test]
async fn every_path_of_the_description_is_there() {
    let world = World::new().await;
    let (_, document) = read(world.get("/openapi.json")).await;
    assert_eq!(document["openapi"], "3.2.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            let request = world.client.request(method, format!("{}{path}", world.address));
            let (status, told) = read(request).await;
            assert!(
                status != 405 && told["code"] != "not_found" || path.starts_with("/local"),
                "{path}: {told}"
            );
        }
    }
    for path in ["/code", "/api/code", "/api/v1/code", "/v1/sessions/{id}/events"] {
        assert!(paths.contains_key(path), "{path}");
    }
    assert!(
        document["components"]["schemas"]["Event"]["oneOf"].as_array().is_some_and(|kinds| kinds.len() > 10)
    );
}
