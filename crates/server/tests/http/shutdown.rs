//! How the service ends.

use std::time::Duration;

use crate::world::{PATIENCE, Stream, Wishes, World, read, submission};

#[tokio::test]
async fn streams_get_their_final_event_before_the_service_ends() {
    let world =
        World::with(Wishes { config: |config| config.grace = Duration::from_millis(1), ..Wishes::default() })
            .await;
    let mut ours = Stream::of(world.post("/code", &submission()).send().await.unwrap());
    assert_eq!(ours.next().await.unwrap().id, 1);
    // A session that another process drives: nothing of ours ends it.
    let foreign = world.begin(1).await;
    let mut theirs = world.follow(foreign, 0).await;
    assert_eq!(theirs.next().await.unwrap().id, 1);

    world.shutdown.cancel();
    world.open_the_gate();
    let events = tokio::time::timeout(PATIENCE, ours.rest()).await.expect("the stream does not end");
    assert_eq!(events.last().unwrap().data["status"], "error");
    assert!(tokio::time::timeout(PATIENCE, theirs.next()).await.expect("the stream does not end").is_none());
    tokio::time::timeout(PATIENCE, world.server).await.expect("the service does not end").unwrap().unwrap();
    let refused = world.client.get(format!("{}/health", world.address)).send().await;
    assert!(refused.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn sessions_that_nobody_follows_are_drained_too() {
    let world =
        World::with(Wishes { config: |config| config.grace = Duration::from_millis(1), ..Wishes::default() })
            .await;
    let made = read(world.post("/v1/sessions", &submission()).send().await.unwrap()).await;
    let id = made["id"].as_str().unwrap().parse().unwrap();
    world.shutdown.cancel();
    tokio::time::timeout(PATIENCE, world.server).await.expect("the service does not end").unwrap().unwrap();
    assert_eq!(world.sessions.living(), 0);
    assert!(world.sessions.state(id).await.unwrap().unwrap().status.is_final());
}
