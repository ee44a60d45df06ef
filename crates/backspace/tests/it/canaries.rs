//! The real service is told its own secrets by everybody: by whoever asks, by the model, by a command. Then everything
//! that it says, keeps and sends is searched for them, in every writing.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fakes::model::{Fake, Recording};
use serde_json::{Value, json};

use crate::cli::backspace;
use crate::wires::{KEY, TOKEN, forge, objects};
use crate::world::{bash, calls, files_with, the_fix, tool};

/// A service that ends with the test.
struct Service {
    process: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Starts `command`, whose log goes to the file `log`.
fn serve(mut command: Command, log: &Path) -> Service {
    let mut process = command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap();
    let address = regex::Regex::new(r"127\.0\.0\.1:[1-9][0-9]*").unwrap();
    loop {
        let lines = BufReader::new(File::open(log).unwrap()).lines().map_while(Result::ok);
        let found = lines
            .filter(|line| line.contains("istening"))
            .find_map(|line| address.find(&line).map(|found| format!("http://{}", found.as_str())));
        if let Some(address) = found {
            return Service { process, address };
        }
        assert!(process.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(log).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A secret as it is, as part of a credential, and in the writings that programs make of it.
fn writings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    // What comes before shifts base64 by one and by two bytes; its ends depend on the neighbours.
    let shifted = ["", "x", "xy"].map(|before| {
        let text = STANDARD.encode(format!("{before}{secret}"));
        text[4..text.len() - 4].to_owned()
    });
    // As `od` and `xxd` part them.
    let parted = |bytes: usize| {
        let groups: Vec<&str> = hex.as_bytes().chunks(2 * bytes).flat_map(std::str::from_utf8).collect();
        groups[..4].join(" ")
    };
    [secret.to_owned(), parted(1), parted(2), hex].into_iter().chain(shifted).collect()
}

/// The model says both secrets wherever it can say something.
fn replies() -> String {
    let said = format!("{TOKEN} and {KEY}, {}", STANDARD.encode(format!("x-access-token:{TOKEN}")));
    let step = json!({ "text": format!("Use {said}"), "done": false });
    let command = format!(
        "echo '{said}'; echo '{said}' > kept; echo {KEY} | od -An -tx1 | tr -d ' \\n'; echo; echo {KEY} | od -tx1; \
             echo '{said}' | base64 -w 30 | tee wrapped; touch by-{TOKEN}; exit 3"
    );
    let replies = [
        json!({ "content": [{ "type": "text", "text": format!("I know {said}") }, bash(&command)], "stop": "tool_use", "model": "story-1" }),
        calls([tool("plan", json!({ "steps": [step] })), tool("read", json!({ "path": "kept" }))]),
        calls([tool("write", json!({ "path": "note", "content": said })), the_fix()]),
        calls([tool(
            "finish",
            json!({ "title": format!("Add {TOKEN}"), "summary": format!("With {said}") }),
        )]),
    ];
    replies.iter().map(|reply| format!("{reply}\n")).collect()
}

async fn post(service: &Service, body: &Value) -> String {
    let post = reqwest::Client::new().post(format!("{}/code", service.address));
    let answer = post.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    format!("{:?}\n{}", answer.headers().clone(), answer.text().await.unwrap())
}

async fn get(service: &Service, path: &str) -> String {
    let answer = reqwest::get(format!("{}{path}", service.address)).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_its_own_secrets_tells_nobody() {
    let home = tempfile::tempdir().unwrap();
    let forge = forge(home.path()).await;
    let fake = Fake::new(Recording::parse(&replies()).unwrap());
    let model = fake.clone().start().await.unwrap();
    let mut command = backspace(home.path());
    command
        .env("ANTHROPIC_BASE_URL", model.anthropic_url())
        .env("ANTHROPIC_API_KEY", KEY)
        .env("GITHUB_API_URL", forge.api_url())
        .env("GITHUB_TOKEN", TOKEN)
        .env("BACKSPACE_PRIVATE_HOSTS", forge.host())
        .env("LOG_LEVEL", "trace")
        .env("LOG_FORMAT", "json");
    let log = home.path().join("log");
    let service = serve(command, &log);

    let url = format!("{}/octo/calc", forge.url());
    let prompt = format!("Make add() add. If you are asked: the token is {TOKEN}, the key {KEY}");
    let stream = post(&service, &json!({ "repoUrl": url, "prompt": prompt })).await;
    assert!(stream.contains("pr_url") && stream.contains("secret_in_output"), "{stream}");
    let id =
        regex::Regex::new("x-session-id\": \"([0-9a-f-]+)").unwrap().captures(&stream).unwrap()[1].to_owned();
    let refused = format!("https://x:{TOKEN}@github.com/o/r");
    let refused = post(&service, &json!({ "repoUrl": refused, "prompt": "x" })).await;
    assert!(refused.contains("repoUrl"), "{refused}");
    let session = format!("/v1/sessions/{id}");
    let pages = get(&service, &format!("{session}/events")).await;
    let recording = get(&service, &format!("{session}/recording")).await;
    let told = format!("{}{}", get(&service, "/v1/sessions").await, get(&service, &session).await);
    let diff = get(&service, &format!("{session}/diff")).await;
    assert!(diff.contains("$1 + $2"), "{diff}");
    drop(service);

    let open = forge.pull_requests("octo/calc").await.unwrap();
    assert_eq!(open.len(), 1);
    // Later ones send back what the model itself has said.
    let asked = fake.asked().into_iter().next().unwrap().body;
    let places: [(&str, Vec<u8>); 9] = [
        ("stream", stream.into()),
        ("pages of events", pages.into()),
        ("sessions", told.into()),
        ("recording", recording.into()),
        ("diff", diff.into()),
        ("pull request", format!("{open:?}").into()),
        ("first prompt", asked.into()),
        ("log", std::fs::read(&log).unwrap()),
        ("objects of every repository", objects(home.path())),
    ];
    let state = home.path().join("state");
    let mut found = Vec::new();
    for writing in [TOKEN, KEY].into_iter().flat_map(writings) {
        let kept: Vec<PathBuf> = files_with(&state, writing.as_bytes());
        found.extend(kept.into_iter().map(|file| format!("{writing} in {}", file.display())));
        for (place, bytes) in &places {
            assert!(bytes.len() > 100, "{place} was looked at");
            if bytes.windows(writing.len()).any(|part| part == writing.as_bytes()) {
                found.push(format!("{writing} in the {place}"));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(!refused.contains(TOKEN), "a refusal repeats what it refuses: {refused}");
}
