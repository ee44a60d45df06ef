//! Recordings of every release so far happen again with this one. `UPDATE_RECORDINGS=1` makes those of this release anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use events::Event;
use fakes::model::Fault;
use serde_json::json;
use session::recording::Recording;
use session::replay::{Around, Inside, Until, Verdict};

use crate::cli::backspace;
use crate::fallback::Fakes;
use crate::world::{World, bash, calls, finish, git, play, the_fix, tool};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// The recordings of this release.
fn of_this_release(name: &str) -> PathBuf {
    folder().join(env!("CARGO_PKG_VERSION")).join(name)
}

/// All recordings, by release and name.
fn all() -> BTreeMap<String, Recording> {
    let mut all = BTreeMap::new();
    for release in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        for path in std::fs::read_dir(release).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(folder()).unwrap().display().to_string();
            all.insert(name, Recording::read(&*std::fs::read(&path).unwrap()).unwrap());
        }
    }
    assert!(all.len() >= 2, "{:?}", all.keys());
    all
}

const OLD: &str = "what a recording of this release tells does not happen any more. If that is meant: UPDATE_RECORDINGS=1 \
                   cargo test --release -p backspace --test it recordings::; a recording of a past release stays as it is, and what \
                   may differ from it is said in session/src/replay/volatile.rs. (Or this machine's Python prints something else.)";

async fn happens_again(inside: impl Fn() -> Inside) {
    for (name, recording) in all() {
        let verdict = play(&recording, inside()).await;
        let end = matches!(&verdict, Verdict::Same { until: Until::End, .. });
        assert!(end, "{name}: {OLD}: {verdict:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_of_every_release_happen_again_in_a_sandbox() {
    make_those_of_this_release().await;
    let around = || Around {
        config: sandbox::Config::Namespaces(sandbox::namespaces::Config::default()),
        policy: sandbox::Policy::default(),
    };
    happens_again(|| Inside::Sandbox(Box::new(around()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_of_every_release_happen_again_without_a_sandbox() {
    make_those_of_this_release().await;
    happens_again(|| Inside::Recording).await;
}

/// The recordings tell of what they are there for.
#[test]
fn the_recording_with_trouble_has_all_of_it() {
    let recording = Recording::read(&*std::fs::read(of_this_release("trouble.jsonl")).unwrap()).unwrap();
    let kinds: Vec<&str> = recording.entries.iter().map(|entry| entry.event.kind()).collect();
    for kind in ["model_retried", "model_switched", "reply_lost", "thought", "file_edited", "check_ran"] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    let failed = |entry: &&events::Entry| matches!(&entry.event, Event::ToolFinished(tool) if tool.failed);
    assert!(recording.entries.iter().filter(failed).count() >= 2);
}

/// What may differ between releases is not compared between releases, and only then.
#[tokio::test(flavor = "multi_thread")]
async fn another_release_may_have_worded_its_rules_otherwise() {
    let text = std::fs::read_to_string(of_this_release("demo.jsonl")).unwrap();
    let reworded = text.replacen("You are a software engineer", "You are an engineer", 1);
    assert_ne!(reworded, text);
    let other =
        reworded.replace(&format!("\"release\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"release\":\"0.0.9\"");
    let verdict =
        async |text: &str| play(&Recording::read(text.as_bytes()).unwrap(), Inside::Recording).await;
    let Verdict::Differs(difference) = verdict(&reworded).await else { panic!("the rules are compared") };
    assert_eq!(difference.recorded.unwrap().kind, "agent_briefed");
    assert!(matches!(verdict(&other).await, Verdict::Same { until: Until::End, .. }));
}

#[test]
fn the_demo_plays_a_recording_of_this_release() {
    let example = std::fs::read(root().join("examples/simple-api/recording.jsonl")).unwrap();
    assert!(example == std::fs::read(of_this_release("demo.jsonl")).unwrap(), "the two files differ");
}

/// Makes the recordings of this release, once, when whoever runs the tests says so.
async fn make_those_of_this_release() {
    static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    if update() {
        let make = async {
            std::fs::create_dir_all(of_this_release("")).unwrap();
            tokio::task::spawn_blocking(demo).await.unwrap();
            trouble().await;
        };
        MADE.get_or_init(|| make).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says here that the recordings shall be made"
)]
fn update() -> bool {
    std::env::var("UPDATE_RECORDINGS").is_ok()
}

/// The demo: its script, on its repository, by the real binary. The folder's name stands in the recording.
fn demo() {
    let (home, example) = (Path::new("/tmp/backspace-demo"), root().join("examples/simple-api"));
    std::fs::create_dir(home).unwrap();
    let repository = home.join("simple-api");
    let copied =
        std::process::Command::new("cp").arg("-r").arg(example.join("repository")).arg(&repository).status();
    assert!(copied.unwrap().success());
    let who = ["-c", "user.name=Sample", "-c", "user.email=sample@example.org"];
    git(&repository, &["init", "--quiet", "--initial-branch=main"]);
    git(&repository, &["add", "--all"]);
    git(&repository, &[&who[..], &["commit", "--quiet", "--message=A small API"]].concat());
    let prompt = std::fs::read_to_string(example.join("prompt.txt")).unwrap();
    let file = example.join("recording.jsonl");
    let mut run = backspace(home);
    // The file's name stands in the recording as well.
    run.current_dir(&example).arg("run").arg(&repository).arg(prompt.trim());
    run.args(["--provider", "scripted", "--model", "replies.jsonl"]);
    run.args(["--check", "python3 -m unittest", "--record"]).arg(&file);
    let done = run.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::remove_dir_all(home).unwrap();
    std::fs::copy(&file, of_this_release("demo.jsonl")).unwrap();
}

/// Retries, a reply that breaks off, a switch to another wire in the middle, refused calls, edits, a test that fails first.
async fn trouble() {
    let thought =
        json!({ "type": "thinking", "thinking": "The test comes first.", "signature": "c2lnbmF0dXJl" });
    let wrong = tool("edit", json!({ "path": "calc.sh", "old_str": "$1 * $2", "new_str": "$1 + $2" }));
    let fakes = Fakes::start([
        calls([thought, bash("sh test.sh"), tool("read", json!({ "path": "nothing" }))]),
        calls([wrong, tool("search", json!({ "pattern": "echo" })), bash("exit 7")]),
        calls([the_fix(), tool("write", json!({ "path": "docs/add.md", "content": "It adds.\n" }))]),
        calls([bash("sh test.sh && git status --short"), tool("read", json!({ "path": "." }))]),
        calls([finish()]),
    ])
    .await;
    fakes.fake.fail_next(Fault::status(429));
    (0..2).for_each(|_| fakes.fake.pass_next());
    // The third reply breaks off, and then nobody answers but another provider.
    fakes.fake.fail_next(Fault::Cut);
    (0..2).for_each(|_| fakes.fake.fail_next(Fault::status(529)));
    let world = World::hosted(fakes.bent()).await;
    let entries = world.run(json!({ "checks": ["sh test.sh"], "draft": true })).await;
    std::fs::write(of_this_release("trouble.jsonl"), world.recorded(entries[0].session).await).unwrap();
}
