//! Submissions that are sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use store::{Error, Records};

use crate::world::{self, Wishes, World, submission};

async fn send(world: &World, key: &str, body: Value) -> (u16, Value) {
    let request = world.post("/v1/sessions", &body).header("idempotency-key", key);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), world::read(response).await)
}

#[tokio::test]
async fn a_request_sent_twice_under_one_key_is_one_session() {
    let world = World::new().await;
    let send = |key: &'static str, body: Value| send(&world, key, body);
    let (status, first) = send("k1", submission()).await;
    assert_eq!(status, 202);
    let (status, again) = send("k1", submission()).await;
    assert_eq!((status, &again["id"]), (202, &first["id"]));
    let other = json!({ "repoUrl": "https://forge.example/o/n", "prompt": "Something else" });
    let (status, told) = send("k1", other).await;
    assert_eq!((status, told["code"].as_str()), (422, Some("idempotency_mismatch")));
    assert_ne!(send("k2", submission()).await.1["id"], first["id"]);
    assert_eq!(world.sessions.living(), 2);

    let both = tokio::join!(send("k3", submission()), send("k3", submission()));
    let statuses = [both.0.0, both.1.0];
    assert!(statuses.contains(&202) && statuses.iter().all(|status| [202, 409].contains(status)), "{both:?}");
    assert_eq!(world.sessions.living(), 3);
    let (status, told) = send("", submission()).await;
    assert_eq!((status, told["code"].as_str()), (400, Some("invalid_parameter")));
    // What was refused did not use its key up.
    assert_eq!(send("k4", json!({})).await.0, 422);
    assert_eq!(send("k4", submission()).await.0, 202);
}

#[tokio::test]
async fn a_key_whose_session_was_deleted_starts_no_other() {
    let world = World::new().await;
    world.open_the_gate();
    let (_, made) = send(&world, "k", submission()).await;
    let id = made["id"].as_str().unwrap();
    world.follow(id.parse().unwrap(), 0).await.rest().await;
    let deleted = world.client.delete(format!("{}/v1/sessions/{id}", world.address)).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    let (status, told) = send(&world, "k", submission()).await;
    assert_eq!((status, told["code"].as_str()), (404, Some("session_not_found")));
    assert_eq!(world.sessions.living(), 0);
}

#[tokio::test]
async fn a_key_is_written_down_before_its_session_is_begun() {
    let wishes =
        Wishes { records: |inner| Arc::new(Failing { inner, new: true.into() }), ..Wishes::default() };
    let world = World::with(wishes).await;
    let (status, told) = send(&world, "k", submission()).await;
    assert_eq!((status, told["code"].as_str()), (503, Some("storage_unavailable")));
    let started = async || world.sessions.store().index.unfinished().await.unwrap();
    assert_eq!(started().await, []);

    // As after a crash: the key is known, its session was never begun.
    let text = world.sessions.store().records.get("idempotency_key", "k").await.unwrap().unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    let (status, begun) = send(&world, "k", submission()).await;
    assert_eq!((status, &begun["id"]), (202, &kept["session"]));

    // What is written after the session was begun cannot make it another one.
    let (status, again) = send(&world, "k", submission()).await;
    assert_eq!((status, &again["id"]), (202, &kept["session"]));
    let other = json!({ "repoUrl": "https://forge.example/o/n", "prompt": "Something else" });
    assert_eq!(send(&world, "k", other).await.1["code"], "idempotency_mismatch");
    assert_eq!(started().await.len(), 1);
}

#[tokio::test]
async fn what_was_never_begun_does_not_use_its_key_up() {
    let wishes =
        Wishes { records: |inner| Arc::new(Failing { inner, new: true.into() }), ..Wishes::default() };
    let world = World::with(wishes).await;
    assert_eq!(send(&world, "k", submission()).await.0, 503);
    let other = json!({ "repoUrl": "https://forge.example/o/n", "prompt": "Something else" });
    let (status, told) = send(&world, "k", other).await;
    // Its place is taken by a write that fails here; it is not refused as another body.
    assert_eq!((status, told["code"].as_str()), (503, Some("storage_unavailable")));
    assert_eq!(world.sessions.living(), 0);
}

/// Records whose disk writes the first new value and then says that it did not, and never writes over one.
struct Failing {
    inner: Arc<dyn Records>,
    new: AtomicBool,
}

fn full() -> Error {
    Error::Database { doing: "put a record", source: "the disk is full".into() }
}

#[async_trait]
impl Records for Failing {
    async fn put_new(&self, space: &str, key: &str, value: &str) -> Result<Option<String>, Error> {
        let there = self.inner.put_new(space, key, value).await?;
        if self.new.swap(false, Ordering::SeqCst) { Err(full()) } else { Ok(there) }
    }

    async fn put(&self, _: &str, _: &str, _: &str) -> Result<(), Error> {
        Err(full())
    }

    async fn get(&self, space: &str, key: &str) -> Result<Option<String>, Error> {
        self.inner.get(space, key).await
    }

    async fn list(&self, space: &str, prefix: &str) -> Result<Vec<(String, String)>, Error> {
        self.inner.list(space, prefix).await
    }
}
