//! Sessions that somebody or something ended are played as far as that can be done, in a real sandbox as well.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use events::Event;
use fakes::model::Fault;
use futures_util::StreamExt as _;
use serde_json::json;
use session::Cancelled;
use session::recording::Recording;
use session::replay::{Around, Inside, Until, Verdict};

use crate::cli::backspace;
use crate::crash::{log, processes, start, wait_for};
use crate::fallback::Fakes;
use crate::world::{Bent, World, bash, calls, finish, play, the_fix, tool};

fn sandbox() -> Inside {
    let config = sandbox::Config::Namespaces(sandbox::namespaces::Config::default());
    let policy = sandbox::Policy { work_bytes_max: 256 << 20, ..sandbox::Policy::default() };
    Inside::Sandbox(Box::new(Around { config, policy }))
}

/// How far `recording` is the same, wherever the tools are.
async fn same(recording: &Recording) -> Until {
    let mut reached = None;
    for inside in [sandbox(), Inside::Recording] {
        let verdict = play(recording, inside).await;
        let Verdict::Same { until, .. } = verdict else { panic!("{verdict:#?}") };
        assert!(reached.is_none_or(|before| before == until));
        reached = Some(until);
    }
    reached.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_cancelled_is_cancelled_at_the_same_place() {
    let marker = format!("57{}", std::process::id());
    let endless = bash(&format!("echo begun; sleep {marker}"));
    let world = World::local(Bent::replies([calls([the_fix()]), calls([endless])])).await;
    let id = world.submit(json!({})).await;
    tokio::task::block_in_place(|| wait_for("the command inside", || processes(&marker) >= 1));
    assert_eq!(world.sessions.cancel(id, "asked").await.unwrap(), Cancelled::Asked);
    world.until_the_end(id).await;
    let recording = world.recording(id).await;
    let interrupted = |entry: &events::Entry| matches!(&entry.event, Event::ToolFinished(tool) if tool.result.starts_with("[cancelled: "));
    assert!(recording.entries.iter().any(interrupted), "{}", world.told(&recording.entries));
    assert_eq!(same(&recording).await, Until::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_was_underway_when_a_session_was_cancelled_is_lost_again() {
    let text = json!({ "type": "text", "text": "I look into it, and then I tell you what I have found." });
    let used = json!({ "input_tokens": 600_000, "output_tokens": 20 });
    let fakes = Fakes::start([json!({ "content": [text], "usage": used })]).await;
    fakes.fake.fail_next(Fault::Stall);
    let world = World::local(fakes.bent()).await;
    let id = world.submit(json!({ "provider": "anthropic" })).await;
    let mut heard = std::pin::pin!(world.sessions.listen(id).unwrap());
    assert!(heard.next().await.is_some(), "the reply has begun, and its provider has counted what was sent");
    assert_eq!(world.sessions.cancel(id, "asked").await.unwrap(), Cancelled::Asked);
    world.until_the_end(id).await;
    let recording = world.recording(id).await;
    let Event::SessionEnded(ended) = &recording.entries.last().unwrap().event else { panic!() };
    assert_eq!(ended.telemetry.input_tokens, 600_000, "{}", world.told(&recording.entries));
    assert_eq!(same(&recording).await, Until::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_forge_refused_is_played_up_to_there() {
    let world = World::hosted(Bent::replies([calls([the_fix()]), calls([finish()])])).await;
    let forge = world.forge.as_ref().unwrap();
    forge.bend("octo/calc", &fakes::forge::Bend::Archived).unwrap();
    let entries = world.run(json!({})).await;
    let Until::Outside(why) = same(&world.recording(entries[0].session).await).await else { panic!() };
    assert!(why.contains("for a reason outside of it") && why.contains("archived"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_wrote_in_the_form_of_a_token_ends_the_comparison() {
    let sample = format!("ghp_{}", "a1B2".repeat(9));
    let write = tool("write", json!({ "path": "sample.txt", "content": sample }));
    let world = World::local(Bent::replies([
        calls([the_fix(), bash("sh test.sh")]),
        calls([write]),
        calls([bash("wc -c sample.txt")]),
        calls([finish()]),
    ]))
    .await;
    let entries = world.run(json!({})).await;
    let recording = world.recording(entries[0].session).await;
    let counted = |entry: &events::Entry| matches!(&entry.event, Event::ToolFinished(tool) if tool.result.contains("40 sample.txt"));
    assert!(recording.entries.iter().any(counted), "{}", world.told(&recording.entries));
    let Until::Outside(why) = same(&recording).await else { panic!() };
    assert!(why.contains("the form of one"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ran_out_of_replies_fails_in_the_same_way() {
    let world = World::hosted(Bent::replies([calls([the_fix(), bash("sh test.sh")])])).await;
    let entries = world.run(json!({})).await;
    assert_eq!(same(&world.recording(entries[0].session).await).await, Until::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_makes_is_made_again() {
    let many = "mkdir many; for n in $(seq 30); do echo $n > many/$n; done; rm README.md; mv test.sh many; ln -s many/1 one";
    let page = tool("read", json!({ "path": "/tmp/output-1.txt", "first_line": 100_000 }));
    let world = World::local(Bent::replies([
        calls([bash(many), bash("seq 200000"), page, bash("kill -9 $$"), bash("exec nothing")]),
        calls([bash(
            "git add --all; git commit --quiet --message=Mine; git log --format=%s; chmod +x calc.sh",
        )]),
        calls([finish()]),
    ]))
    .await;
    let entries = world.run(json!({ "checks": ["cat one", "exit 3"] })).await;
    assert_eq!(same(&world.recording(entries[0].session).await).await, Until::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_process_was_killed_is_played_up_to_there() {
    let home = tempfile::tempdir().unwrap();
    let marker = format!("56{}", std::process::id());
    let mut child = start(home.path(), &marker);
    wait_for("the command inside", || processes(&marker) >= 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let id = log(home.path()).await[0].session;
    // The next process gives the session its end, and its recording.
    let mut service = backspace(home.path());
    service.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
    let mut service = service.spawn().unwrap();
    let lines = BufReader::new(service.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let address = lines.filter_map(|line| Some(address.find(&line)?.as_str().to_owned())).next().unwrap();
    wait_for("the end of every process inside", || processes(&marker) == 0);
    let url = format!("http://{address}/v1/sessions/{id}");
    let get = async |path: &str| reqwest::get(format!("{url}{path}")).await.unwrap().bytes().await.unwrap();
    let ended = async || String::from_utf8_lossy(&get("").await).contains(r#""status":"failed""#);
    while !ended().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recording = Recording::read(&*get("/recording").await).unwrap();
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(recording.entries.last().unwrap().attempt > 1, "its end is another process's");
    assert_eq!(same(&recording).await, Until::Outside("there the process that ran it died".to_owned()));
}
