//! The command line as a user meets it: the real binary, its output, its exit codes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{calls, finish, git, make_repository, the_fix};

/// The binary with a home of its own and nothing else of this machine's environment.
pub(crate) fn backspace(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backspace"));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home);
    command.env("BACKSPACE_HOME", home.join("state"));
    command
}

/// Writes a recording into `folder`.
pub(crate) fn recording(folder: &Path, replies: &[Value]) -> String {
    let path = folder.join("replies.jsonl");
    std::fs::write(&path, replies.iter().map(|reply| format!("{reply}\n")).collect::<String>()).unwrap();
    path.display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(home: &Path, replies: &[Value], more: &[&str]) -> Output {
    run_with(home, replies, more, &[])
}

fn run_with(home: &Path, replies: &[Value], more: &[&str], settings: &[(&str, &str)]) -> Output {
    let repository = home.join("calc");
    if !repository.exists() {
        make_repository(&repository);
    }
    let recording = recording(home, replies);
    let repository = repository.display().to_string();
    let arguments = ["run", &repository, "Make add() add", "--provider", "scripted", "--model", &recording];
    backspace(home).args(arguments).args(more).envs(settings.iter().copied()).output().unwrap()
}

#[test]
fn the_demo_opens_a_pull_request() {
    let home = tempfile::tempdir().unwrap();
    let done = backspace(home.path()).arg("demo").output().unwrap();
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{out}{err}");
    let page = std::fs::read_to_string(out.trim().strip_prefix("file://").unwrap()).unwrap();
    assert!(page.contains("Validate the bodies of all POST endpoints"), "{page}");
    let failed = err.find("FAILED").unwrap();
    let passed = err.rfind("OK").unwrap();
    assert!(failed < passed, "a test fails first and passes after the fix:\n{err}");
    assert!(err.contains("+++ b/simple_api/validation.py"), "the diff is shown:\n{err}");
    let second = backspace(home.path()).args(["demo", "--output", "json"]).output().unwrap();
    let last: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!((&last["type"], &last["outcome"]), (&"complete".into(), &"pull_request".into()), "{last}");
    assert!(last["telemetry"]["turns"].as_u64().unwrap() >= 10, "{last}");
}

#[test]
fn run_prints_the_address_alone_on_standard_output() {
    let home = tempfile::tempdir().unwrap();
    let done = run(home.path(), &[calls([the_fix()]), calls([finish()])], &["--branch", "fix"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let out = text(&done.stdout);
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.starts_with("file:///") && out.ends_with("/1.md\n"), "{out}");
    assert_eq!(git(&home.path().join("calc"), &["show", "fix:calc.sh"]), "add() {\n  echo $(($1 + $2))\n}");
}

#[test]
fn the_command_line_says_where_commands_run_before_the_settings_do() {
    let home = tempfile::tempdir().unwrap();
    let replies = [calls([the_fix()]), calls([finish()])];
    let engine = format!("unix://{}", home.path().join("none.sock").display());
    let settings = [("BACKSPACE_SANDBOX", "docker"), ("DOCKER_HOST", &engine), ("BACKSPACE_IMAGE", "x")];
    let unused = "BACKSPACE_IMAGE is set, and means nothing: BACKSPACE_SANDBOX does not name `docker`";
    let there = run_with(home.path(), &replies, &[], &settings);
    assert_eq!(there.status.code(), Some(1), "{there:?}");
    assert!(text(&there.stderr).contains("none.sock"), "{there:?}");
    assert!(!text(&there.stderr).contains(unused), "{there:?}");
    let here = run_with(home.path(), &replies, &["--sandbox", "namespaces"], &settings);
    assert_eq!(here.status.code(), Some(0), "{}", text(&here.stderr));
    assert!(text(&here.stderr).contains(unused), "{here:?}");
    assert!(!text(&here.stderr).contains("DOCKER_HOST"), "other programs read it as well: {here:?}");
    let first = run_with(home.path(), &replies, &["--sandbox", "docker,namespaces"], &settings);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
}

#[test]
fn events_can_be_had_one_a_line() {
    let home = tempfile::tempdir().unwrap();
    let done = run(home.path(), &[calls([the_fix()]), calls([finish()])], &["--output", "jsonl"]);
    let events: Vec<Value> =
        text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["type"], "Status");
    assert!(events.iter().any(|event| event["type"] == "Tool: Edit" && event["new_str"] == "$1 + $2"));
    assert_eq!(events.last().unwrap()["type"], "complete");
}

#[test]
fn outcomes_have_exit_codes() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &[calls([finish()])], &[]).status.code(), Some(3), "nothing to change");
    assert_eq!(
        run(home.path(), &[calls([the_fix()])], &["--max-turns", "1"]).status.code(),
        Some(4),
        "budget"
    );
    assert_eq!(run(home.path(), &[], &[]).status.code(), Some(1), "the recording has no reply");
}

#[test]
fn wrong_usage_says_what_is_wrong_and_starts_nothing() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (
            vec!["run", "https://user:secret@github.com/o/n", "x"],
            "must not hold a user name, password or token",
        ),
        (vec!["run", "http://127.0.0.1/o/n", "x"], "only https:// is taken"),
        (vec!["run", "/nonexistent", "x"], "there is no folder"),
        (vec!["run", "o/n", "  "], "PROMPT must have 1 to 32000 characters"),
        (vec!["run", "o/n", "x", "--branch=-x"], "--branch a branch name does not begin with `-`, `+`"),
        (vec!["run", "o/n", "x", "--provider", "abacus"], "--provider is not a configured provider"),
        (vec!["run", "o/n", "x", "--sandbox", "cardboard"], "BACKSPACE_SANDBOX is `cardboard`"),
        (vec!["run", "o/n", "x", "--max-turns", "0"], "--max-turns must be a whole number from 1"),
        (vec!["run", "o/n", "x", "--max-usd", "0"], "--max-usd must be a number of US dollars above 0"),
        (vec!["run", "o/n", "x", "--max-usd", "much"], "invalid value 'much' for '--max-usd <USD>'"),
        (vec!["run", "o/n", "x"], "no model provider is configured. Set ANTHROPIC_API_KEY"),
        (vec!["run", "o/n"], "PROMPT"),
        (vec!["serve", "--listen", "0.0.0.0:0"], "BACKSPACE_API_TOKEN"),
        (vec!["fly"], "unrecognized subcommand"),
    ] {
        let done = backspace(home.path()).args(&arguments).output().unwrap();
        let err = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?} said: {err}");
        assert!(!err.contains("secret@"), "{err}");
    }
    let misspelt =
        backspace(home.path()).env("BACKSPACE_REPO", "x").args(["run", "o/n", "x"]).output().unwrap();
    assert!(text(&misspelt.stderr).contains("BACKSPACE_REPO, which is no setting"), "{misspelt:?}");
}

#[test]
fn an_operator_s_bound_that_can_be_none_is_refused_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    for (name, bound, said) in [
        ("BACKSPACE_MAX_USD", "0", "must be above 0"),
        ("BACKSPACE_MAX_USD", "NaN", "must be above 0"),
        ("BACKSPACE_MAX_USD", "much", "is `much`"),
        ("BACKSPACE_MAX_TOKENS", "0", "must be a whole number from 1 to 9007199254740992"),
        ("BACKSPACE_MAX_TURNS", "-1", "is `-1`"),
        ("BACKSPACE_MAX_MINUTES", "99999", "must be a whole number from 1 to 10080"),
    ] {
        let done = backspace(home.path()).env(name, bound).args(["run", "o/n", "x"]).output().unwrap();
        let err = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{name}={bound}: {err}");
        assert!(err.contains(name) && err.contains(said), "{name}={bound}: {err}");
    }
}

#[test]
fn an_unknown_model_is_answered_with_the_known_ones() {
    let home = tempfile::tempdir().unwrap();
    let asked = |name: &str, value: &str, arguments: &[&str]| {
        let mut command = backspace(home.path());
        let done = command.env(name, value).args(["run", "o/n", "x"]).args(arguments).output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        text(&done.stderr)
    };
    let err = asked("OPENAI_API_KEY", "sk-canary", &["--model", "gpt-nope"]);
    assert!(err.contains("--model is no model of a provider asked for; known: openai: gpt-"), "{err}");
    assert!(!err.contains("sk-canary"), "{err}");
    let table = home.path().join("vendors.toml");
    std::fs::write(&table, "[openai]\n\nwire = \"morse\"\n").unwrap();
    let err = asked("BACKSPACE_VENDORS", table.to_str().unwrap(), &[]);
    assert!(err.contains("BACKSPACE_VENDORS") && err.contains("line 3") && err.contains("morse"), "{err}");
    let err = asked("BACKSPACE_PROVIDERS", "openai,abacus", &[]);
    assert!(err.contains("names `abacus`; there are: anthropic, openai, openrouter"), "{err}");
}

#[test]
fn an_address_or_a_key_that_cannot_work_is_refused_by_its_setting() {
    let home = tempfile::tempdir().unwrap();
    for (name, value, said) in [
        ("ANTHROPIC_BASE_URL", "https://me:sk-canary@h", "ANTHROPIC_BASE_URL holds credentials"),
        ("OPENAI_BASE_URL", "file:///sk-canary", "OPENAI_BASE_URL is not http:// or https://"),
        ("OPENAI_API_KEY", "sk-canary\n# mine", "OPENAI_API_KEY has characters that no key has"),
    ] {
        let done = backspace(home.path()).env(name, value).args(["run", "o/n", "x"]).output().unwrap();
        let err = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{name}: {err}");
        assert!(err.contains(said) && !err.contains("sk-canary"), "{name}: {err}");
    }
}

#[test]
fn doctor_tells_models_prices_and_what_is_half_set() {
    let home = tempfile::tempdir().unwrap();
    let mut command = backspace(home.path());
    command.env("OPENAI_API_KEY", "sk-canary").env("AZURE_OPENAI_API_KEY", "sk-canary");
    command.env("OPENROUTER_API_KEY", "sk-canary").env("OPENROUTER_MODEL", "x/y");
    command.env("OPENAI_COMPATIBLE_BASE_URL", "http://llm.example.com/v1");
    command.env("OPENAI_COMPATIBLE_API_KEY", "sk-canary").env("OPENAI_COMPATIBLE_MODEL", "m");
    let done = command.env("OLLAMA_HOST", "box").arg("doctor").output().unwrap();
    let out = text(&done.stdout);
    for line in [
        "openai: gpt-6.2-sol over responses at api.openai.com; 1050k tokens of context, $2 in, $10 out",
        "openrouter: x/y over chat_completions at openrouter.ai; 128k tokens of context, price not known",
        "azure is configured only in part",
        "Set AZURE_OPENAI_ENDPOINT",
        "ollama has no model",
        "Reach llm.example.com over https: whoever is between can read the key",
    ] {
        assert!(out.contains(line), "{line} is not in {out}");
    }
    assert!(!out.contains("sk-canary"), "{out}");
}

#[test]
fn every_command_helps_with_an_example() {
    let home = tempfile::tempdir().unwrap();
    for command in [
        vec![],
        vec!["demo"],
        vec!["run"],
        vec!["replay"],
        vec!["serve"],
        vec!["doctor"],
        vec!["dev"],
        vec!["dev", "fake-model"],
        vec!["dev", "fake-forge"],
    ] {
        let done = backspace(home.path()).args(&command).arg("--help").output().unwrap();
        assert!(text(&done.stdout).contains("Example"), "{command:?} --help has no example");
    }
}
