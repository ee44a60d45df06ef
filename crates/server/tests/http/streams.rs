//! Streams: from the first event, from any place, for many at once, and when clients go away.

use std::time::Duration;

use events::SessionId;
use futures_util::future::join_all;

use crate::world::{Stream, Wishes, World, ended, read, said, submission};

#[tokio::test]
async fn code_streams_at_once_and_ends_with_one_final_event_in_the_form_of_its_path() {
    let world = World::new().await;
    for (path, kind, extra) in [
        ("/code", "error", None),
        ("/api/code", "error", None),
        ("/api/v1/code", "Error", Some("error_type")),
    ] {
        let response = world.post(path, &submission()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        let id = header("x-session-id");
        let mut stream = Stream::of(response);
        assert_eq!(stream.block().await.unwrap(), "retry: 2000");

        // The session waits at its forge: what comes now was not held back until the end.
        let first = stream.next().await.unwrap();
        assert_eq!((first.id, first.data["type"].as_str()), (1, Some("Status")));
        assert_eq!(first.data["session_id"], id.as_str());
        world.gate.add_permits(1);

        let events = stream.rest().await;
        let (last, before) = events.split_last().unwrap();
        assert_eq!(last.data["type"], kind, "{path}");
        assert_eq!(
            (&last.data["status"], &last.data["code"]),
            (&"error".into(), &"repository_unavailable".into())
        );
        assert!(extra.is_none_or(|field| last.data[field] == "repository_unavailable"));
        assert!(
            before
                .iter()
                .all(|event| !["error", "Error", "complete"].contains(&event.data["type"].as_str().unwrap()))
        );
        for field in ["type", "timestamp", "message"] {
            assert!(events.iter().all(|event| event.data[field].is_string()), "{field}");
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_its_session() {
    let world = World::new().await;
    let mut stream = Stream::of(world.post("/code", &submission()).send().await.unwrap());
    let first = stream.next().await.unwrap();
    let id: SessionId = first.data["session_id"].as_str().unwrap().parse().unwrap();
    drop(stream);
    assert_eq!(world.sessions.living(), 1);
    world.open_the_gate();
    let rest = world.follow(id, first.id).await.rest().await;
    assert_eq!(rest.last().unwrap().data["code"], "repository_unavailable");
}

#[tokio::test]
async fn whoever_comes_back_gets_each_later_event_exactly_once() {
    let world = World::new().await;
    let id = world.begin(1).await;
    let writer = async {
        for n in 0..300_u32 {
            world.append(id, &[said(&n.to_string())]).await;
        }
        world.append(id, &[ended()]).await;
    };
    let reader = async {
        let (mut seen, mut ids) = (Vec::new(), vec![0]);
        'again: loop {
            let mut stream = world.follow(id, *ids.last().unwrap()).await;
            // The connection breaks after ever more events.
            for _ in 0..=seen.len() / 3 {
                let Some(event) = stream.next().await else { continue 'again };
                ids.push(event.id);
                if event.data["type"] == "complete" {
                    break 'again;
                }
                if event.data["type"] == "AI Message" {
                    seen.push(event.data["message"].as_str().unwrap().parse::<u32>().unwrap());
                }
            }
        }
        (seen, ids)
    };
    let ((), (seen, ids)) = tokio::join!(writer, reader);
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
    assert_eq!(ids, (0..=302).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_place_to_begin_is_taken_from_the_header_or_the_url_and_must_be_one() {
    let world = World::new().await;
    let id = world.begin(1).await;
    world.append(id, &[said("two"), said("three"), ended()]).await;
    let path = format!("/v1/sessions/{id}/events");
    let ask = async |query: &str, header: Option<&str>| {
        let request = world.get(&format!("{path}{query}")).header("accept", "text/event-stream");
        let request =
            header.into_iter().fold(request, |request, value| request.header("last-event-id", value));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let ids: Vec<u64> = if status == 200 {
            Stream::of(response).rest().await.iter().map(|e| e.id).collect()
        } else {
            vec![]
        };
        (status, ids)
    };
    assert_eq!(ask("", None).await, (200, vec![1, 2, 3, 4]));
    assert_eq!(ask("?after=2", None).await, (200, vec![3, 4]));
    assert_eq!(ask("?after=1", Some("3")).await, (200, vec![4]));
    assert_eq!(ask("?after=1", Some("")).await, (200, vec![2, 3, 4]));
    assert_eq!(
        ask("", Some("4")).await,
        (204, vec![]),
        "a browser that has seen the end shall not come back"
    );
    for (query, header) in [
        ("?after=5", None),
        ("", Some("99")),
        ("", Some("x")),
        ("", Some("-1")),
        ("", Some("+1")),
        ("?after=x", None),
        ("?afer=1", None),
    ] {
        assert_eq!(ask(query, header).await.0, 400, "{query} {header:?}");
    }
    let nobody = SessionId::new(1, 1);
    for after in [0, 3] {
        let request = world
            .get(&format!("/v1/sessions/{nobody}/events?after={after}"))
            .header("accept", "text/event-stream");
        assert_eq!(request.send().await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn a_silent_stream_sends_comments() {
    let wishes = Wishes { config: |config| config.heartbeat = Duration::from_millis(5), ..Wishes::default() };
    let world = World::with(wishes).await;
    let id = world.begin(1).await;
    let mut stream = world.follow(id, 0).await;
    assert_eq!(stream.next().await.unwrap().id, 1);
    for _ in 0..3 {
        assert_eq!(stream.block().await.unwrap(), ": still here");
    }
    world.append(id, &[ended()]).await;
    assert_eq!(stream.next().await.unwrap().id, 2);
    assert!(stream.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_follow_one_session_and_all_see_all_of_it() {
    let world = World::new().await;
    let id = world.begin(1).await;
    let streams = join_all((0..200).map(|n| world.follow(id, n % 2))).await;
    let writer = async {
        for n in 0..150_u32 {
            world.append(id, &[said(&n.to_string()), said("…")]).await;
        }
        world.append(id, &[ended()]).await;
    };
    let readers = join_all(streams.into_iter().map(Stream::rest));
    let ((), all) = tokio::join!(writer, readers);
    for (n, events) in all.iter().enumerate() {
        let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids, (1 + n as u64 % 2..=302).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn four_sessions_at_once_do_not_wait_for_each_other_nor_does_health() {
    let world = World::new().await;
    let streams = join_all((0..4).map(|_| async {
        let mut stream = Stream::of(world.post("/code", &submission()).send().await.unwrap());
        // All four stand at the forge together: the gate is closed.
        loop {
            let event = stream.next().await.unwrap();
            if event.data["type"] == "Progress" {
                return stream;
            }
        }
    }))
    .await;
    assert_eq!(world.sessions.living(), 4);
    assert_eq!(world.get("/health").send().await.unwrap().status(), 200);
    world.open_the_gate();
    for events in join_all(streams.into_iter().map(Stream::rest)).await {
        assert_eq!(events.last().unwrap().data["type"], "error");
    }
}

#[tokio::test]
async fn a_page_of_events_is_json() {
    let world = World::new().await;
    let id = world.begin(1).await;
    world.append(id, &[said("two"), said("three"), ended()]).await;
    let page = async |query: &str| -> serde_json::Value {
        let response = world.get(&format!("/v1/sessions/{id}/events{query}")).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        read(response).await
    };
    let first = page("?limit=2").await;
    assert_eq!((&first["next_after"], &first["final"]), (&2.into(), &false.into()));
    assert_eq!((&first["events"][1]["id"], &first["events"][1]["message"]), (&2.into(), &"two".into()));
    let second = page("?after=2&limit=2").await;
    assert_eq!((&second["events"][1]["type"], &second["final"]), (&"complete".into(), &true.into()));
    let behind = page("?after=4").await;
    assert_eq!((&behind["events"], &behind["next_after"]), (&serde_json::json!([]), &4.into()));
    assert_eq!(behind["final"], true, "whoever comes again learns that nothing will come");
    let beyond = world.get(&format!("/v1/sessions/{id}/events?after=5")).send().await.unwrap();
    assert_eq!(beyond.status(), 400, "as for a stream");
}
