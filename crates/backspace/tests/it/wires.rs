//! The real binary over both strict stand-ins: real HTTP, real git over HTTP, all model wires; and no key or token in
//! anything it leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fakes::forge::{Access, FakeForge, NewRepository, Reach, Seed, Token, Visibility};
use fakes::model::{Fake, Recording};
use serde_json::{Value, json};

use crate::cli::backspace;
use crate::world::{bash, calls, files_with, finish, make_repository, the_fix, tool};

pub(crate) const TOKEN: &str = "ghp_canary0123456789abcdefghijklmnopqrst";
pub(crate) const KEY: &str = "sk-canary-0123456789-abcdefghijklmnopqrst";

/// Prints everything that a command inside may know, and what it guessed of the secrets, in several writings; leaves them
/// in a file as well; then fixes the bug.
fn replies() -> String {
    let curious = "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '";
    let guessed = "t=ghp_canary0123456789; t=${t}abcdefghijklmnopqrst; k=sk-canary-; k=${k}0123456789-abcdefghijklmnopqrst
        echo $t; printf \"x:$t\" | base64 -w0; echo; printf %s $k | od -An -tx1 | tr -d ' \\n'; echo; echo \"$k\" > leak; cat leak";
    let look = tool("read", json!({ "path": "leak" }));
    let replies = [
        calls([bash(curious)]),
        calls([bash(guessed), look]),
        calls([the_fix(), bash("sh test.sh")]),
        calls([finish()]),
    ];
    replies.iter().map(|reply| format!("{reply}\n")).collect()
}

pub(crate) async fn forge(home: &Path) -> FakeForge {
    let seed = home.join("calc");
    make_repository(&seed);
    let forge_home = home.join("forge");
    std::fs::create_dir(&forge_home).unwrap();
    let listen = ([127, 0, 0, 1], 0).into();
    let forge = fakes::forge::start(fakes::forge::Config { listen, home: forge_home }).await.unwrap();
    let new = NewRepository {
        owner: "octo".into(),
        name: "calc".into(),
        visibility: Visibility::Private,
        default_branch: None,
    };
    forge.create_repository(&new, &Seed::Folder(seed)).await.unwrap();
    let reach = Reach::Only(vec!["octo/calc".into()]);
    forge.allow(TOKEN, Token { login: "dev".into(), access: Access::PullRequests, reach, sso_url: None });
    forge
}

/// Runs the binary on the private repository with `model` as its settings for one provider.
async fn run(home: PathBuf, forge: &FakeForge, model: Vec<(&'static str, String)>) -> Output {
    let (url, api, host) = (format!("{}/octo/calc", forge.url()), forge.api_url(), forge.host());
    let started = tokio::task::spawn_blocking(move || {
        let mut command: Command = backspace(&home);
        command
            .envs(model)
            .env("GITHUB_API_URL", api)
            .env("GITHUB_TOKEN", TOKEN)
            .env("LOG_LEVEL", "trace")
            .env("BACKSPACE_PRIVATE_HOSTS", host);
        command
            .args(["run", &url, "Make add() add", "--check", "sh test.sh", "--output", "jsonl", "--record"])
            .arg(home.join("state/recording"))
            .output()
            .unwrap()
    });
    started.await.unwrap()
}

/// Every object of every repository below `folder`, unpacked.
pub(crate) fn objects(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for head in files_with(folder, b"ref: refs/heads/").into_iter().filter(|path| path.ends_with("HEAD")) {
        let done = Command::new("git")
            .args(["-c", "safe.directory=*", "cat-file", "--batch-all-objects", "--batch"])
            .env("GIT_DIR", head.parent().unwrap())
            .output()
            .unwrap();
        all.extend(done.stdout);
    }
    all
}

async fn a_pull_request_without_a_secret(wire: &str) {
    let home = tempfile::tempdir().unwrap();
    let forge = forge(home.path()).await;
    let fake = Fake::new(Recording::parse(&replies()).unwrap());
    let model = fake.clone().start().await.unwrap();
    let settings = match wire {
        "anthropic" => {
            vec![("ANTHROPIC_BASE_URL", model.anthropic_url()), ("ANTHROPIC_API_KEY", KEY.to_owned())]
        }
        wire => vec![
            ("OPENAI_BASE_URL", model.openai_url()),
            ("OPENAI_API_KEY", KEY.to_owned()),
            ("OPENAI_WIRE", wire.to_owned()),
        ],
    };
    let done = run(home.path().to_owned(), &forge, settings).await;
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{out}{}", String::from_utf8_lossy(&done.stderr));
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(last["outcome"], "pull_request", "{last}");
    let open = forge.pull_requests("octo/calc").await.unwrap();
    assert_eq!(open.len(), 1);

    let warned = out.lines().filter(|line| line.contains("\"code\":\"secret_in_output\"")).count();
    assert_eq!(warned, 1, "whoever looks is told, once: {out}");
    let base64 = "eDpnaHBfY2FuYXJ5";
    assert!(!out.contains(base64) && !out.contains("736b2d63616e617279"), "nor in another writing: {out}");
    let state = home.path().join("state");
    assert!(state.join("recording").exists());
    for secret in [TOKEN, KEY] {
        assert_eq!(
            files_with(&state, secret.as_bytes()),
            Vec::<PathBuf>::new(),
            "a secret was left in a file"
        );
        let printed = [&done.stdout[..], &done.stderr[..]].concat();
        let asked = fake.asked().into_iter().map(|asked| asked.body).collect::<String>();
        for (place, bytes) in [
            ("output", printed),
            ("objects", objects(home.path())),
            ("pull request", format!("{open:?}").into()),
            ("prompt", asked.into()),
        ] {
            assert!(!bytes.is_empty(), "{place} was looked at");
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                "a secret in the {place}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anthropic_wire_leads_to_a_pull_request_without_a_secret() {
    a_pull_request_without_a_secret("anthropic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_wire_leads_to_a_pull_request_without_a_secret() {
    a_pull_request_without_a_secret("chat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_responses_wire_leads_to_a_pull_request_without_a_secret() {
    a_pull_request_without_a_secret("responses").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_is_named_and_never_shown() {
    let home = tempfile::tempdir().unwrap();
    let forge = forge(home.path()).await;
    let fake = Fake::new(Recording::parse(&replies()).unwrap());
    fake.fail_next(fakes::model::Fault::status(401));
    let model = fake.start().await.unwrap();
    let settings = vec![("ANTHROPIC_BASE_URL", model.anthropic_url()), ("ANTHROPIC_API_KEY", KEY.to_owned())];
    let done = run(home.path().to_owned(), &forge, settings).await;
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(1), "{out}");
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["code"], &last["step"]), (&"model_refused".into(), &"work".into()), "{last}");
    assert!(last["hint"].as_str().unwrap().contains("ANTHROPIC_API_KEY"), "{last}");
    assert!(!out.contains(KEY));
}
