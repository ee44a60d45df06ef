//! What a model says before its reply is whole, from a provider's stream to the clients of the service.

use events::SessionId;
use fakes::model::Fault;
use reqwest::Response;
use serde_json::{Value, json};
use server::ServerConfig;
use session::Sessions;

use crate::fallback::Fakes;
use crate::world::{Bent, World, bash};

/// A service over the world's sessions. Ends with the test.
async fn serve(world: &World) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = ServerConfig::new(address, world.rules.clone());
    tokio::spawn(server::serve_on(listener, config, world.sessions.clone(), std::future::pending()));
    format!("http://{address}")
}

/// The blocks of a stream of server-sent events, as they come.
struct Blocks {
    response: Response,
    rest: String,
}

impl Blocks {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { response, rest: String::new() }
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                return Some(block);
            }
            self.rest.push_str(std::str::from_utf8(&self.response.chunk().await.unwrap()?).unwrap());
        }
    }
}

/// A session that waits for its turn behind another one: whoever connects to it now misses nothing.
async fn queued(world: &World, service: &str) -> (SessionId, Blocks, Blocks) {
    let client = reqwest::Client::new();
    let body = json!({ "repoUrl": world.repository, "prompt": "Make add() add" });
    let post = client.post(format!("{service}/code")).header("content-type", "application/json");
    let code = post.body(body.to_string()).send().await.unwrap();
    let id = code.headers()["x-session-id"].to_str().unwrap().parse().unwrap();
    let get = client.get(format!("{service}/v1/sessions/{id}/events")).header("accept", "text/event-stream");
    (id, Blocks::of(code), Blocks::of(get.send().await.unwrap()))
}

async fn cancel(sessions: &Sessions, id: SessionId) {
    assert_eq!(sessions.cancel(id, "asked").await.unwrap(), session::Cancelled::Asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_reach_the_clients_of_the_events_before_the_reply_is_whole_and_nobody_else() {
    let says = [json!({ "type": "text", "text": "I look at \u{e9}verything." }), bash("sh test.sh")];
    let fakes = Fakes::start([json!({ "content": says, "stop": "tool_use" })]).await;
    // The provider stops in the middle of the call; both times.
    (0..2).for_each(|_| fakes.fake.fail_next(Fault::Stall));
    let world = World::local(Bent { running_max: 1, ..fakes.bent() }).await;
    let service = serve(&world).await;
    let before = world.submit(json!({})).await;
    let (id, mut code, mut events) = queued(&world, &service).await;
    cancel(&world.sessions, before).await;

    let mut heard = String::new();
    while heard != "I look at \u{e9}verything." {
        let block = events.next().await.unwrap();
        if let Some(data) = block.strip_prefix("event: delta\ndata: ") {
            let delta: Value = serde_json::from_str(data).unwrap();
            assert_eq!(delta["kind"], "text");
            heard.push_str(delta["text"].as_str().unwrap());
        }
    }
    cancel(&world.sessions, id).await;
    let mut last = String::new();
    while let Some(block) = events.next().await {
        assert!(!block.starts_with("event:"), "{block}");
        last = block;
    }
    assert!(last.contains(r#""code":"cancelled""#), "{last}");

    // The log has the session's end and nothing of the reply; older clients were sent the log alone.
    while let Some(block) = code.next().await {
        assert!(block.starts_with("id: ") || block.starts_with("retry: "), "{block}");
        assert!(!block.contains("I look at"), "{block}");
    }
}
