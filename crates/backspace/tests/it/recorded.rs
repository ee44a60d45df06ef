//! Sessions as files: recorded by the command line.

use std::path::Path;
use std::process::Output;

use serde_json::json;
use session::recording::Recording;

use crate::cli::{backspace, recording};
use crate::world::{bash, calls, finish, git, make_repository, the_fix, tool};

/// Runs a session of these replies on a repository with a bug, recorded in `FILE`.
fn run(home: &Path, replies: &[serde_json::Value], more: &[&str]) -> Output {
    let repository = home.join("calc");
    if !repository.exists() {
        make_repository(&repository);
    }
    let script = recording(home, replies);
    let repository = repository.display().to_string();
    let arguments = ["run", &repository, "Make add() add", "--provider", "scripted", "--model", &script];
    let file = home.join("FILE").display().to_string();
    backspace(home).args(arguments).args(["--record", &file]).args(more).output().unwrap()
}

fn read(path: &Path) -> Recording {
    Recording::read(&*std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_session_is_recorded_with_its_code_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let done = run(home.path(), &[calls([the_fix(), bash("sh test.sh")]), calls([finish()])], &[]);
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{err}");
    assert!(err.contains("will hold what happens and the files that the session starts from"), "{err}");
    assert!(err.contains("Recorded in "), "{err}");
    let file = home.path().join("FILE");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let recorded = read(&file);
    assert_eq!(recorded.entries.last().unwrap().event.kind(), "session_ended");
    assert!(recorded.code.unwrap().packed.is_ok());
    assert_eq!(
        std::fs::read_dir(home.path()).unwrap().count(),
        4,
        "calc, the script, state and FILE are left"
    );
}

#[test]
fn a_session_that_fails_is_recorded_too_and_code_stays_at_home_when_told() {
    let home = tempfile::tempdir().unwrap();
    let done = run(home.path(), &[calls([the_fix()])], &["--record-without-code"]);
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{err}");
    assert!(err.contains("the repository is left out"), "{err}");
    let recorded = read(&home.path().join("FILE"));
    assert_eq!(recorded.entries.last().unwrap().event.kind(), "session_ended");
    assert_eq!(recorded.code.unwrap().packed.unwrap_err(), "it was not wanted");
}

#[test]
fn what_cannot_be_written_is_said_before_anything_begins() {
    let home = tempfile::tempdir().unwrap();
    let nowhere = home.path().join("nowhere/FILE").display().to_string();
    let arguments = ["run", "o/n", "x", "--provider", "scripted", "--model"];
    let script = recording(home.path(), &[calls([finish()])]);
    for (more, said) in [
        (vec!["--record", nowhere.as_str()], "cannot write the recording"),
        (vec!["--record-without-code"], "--record <FILE>"),
    ] {
        let done = backspace(home.path()).args(arguments).arg(&script).args(more).output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{err}");
        assert!(err.contains(said), "{err}");
    }
}

/// Plays `FILE` of a home in another home, so that nothing of the first one is at hand.
fn replay(home: &Path, more: &[&str]) -> Output {
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(home.join("calc"), home.join("moved")).unwrap();
    let file = home.join("FILE").display().to_string();
    let done = backspace(elsewhere.path()).args(["replay", &file]).args(more).output().unwrap();
    std::fs::rename(home.join("moved"), home.join("calc")).unwrap();
    done
}

fn replies() -> Vec<serde_json::Value> {
    vec![
        calls([
            bash("sh test.sh"),
            tool("read", json!({ "path": "calc.sh" })),
            tool("read", json!({ "path": "none" })),
        ]),
        calls([tool("search", json!({ "pattern": "echo" })), tool("read", json!({ "path": "." }))]),
        calls([the_fix(), tool("write", json!({ "path": "NOTES", "content": "It adds.\n" }))]),
        calls([bash("sh test.sh; git log --oneline | cut -d' ' -f2-; chmod +x test.sh; ln -s calc.sh link")]),
        calls([finish()]),
    ]
}

#[test]
fn what_was_recorded_happens_again() {
    let home = tempfile::tempdir().unwrap();
    let done = run(home.path(), &replies(), &["--check", "sh test.sh", "--check", "false"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    for more in [&[][..], &["--no-sandbox"], &["--exact"], &["--no-sandbox", "--exact"]] {
        let done = replay(home.path(), more);
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!((done.status.code(), &*out), (Some(0), "same: 36 events\n"), "{more:?}: {err}");
    }
}

/// The recording of a good session as text, and its home.
fn recorded() -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let done = run(home.path(), &replies(), &["--check", "sh test.sh"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let text = std::fs::read_to_string(home.path().join("FILE")).unwrap();
    (home, text)
}

/// Plays `text`; exit code, standard output, standard error.
fn plays(home: &Path, text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    std::fs::write(home.join("FILE"), text).unwrap();
    let done = replay(home, more);
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), told(&done.stdout), told(&done.stderr))
}

#[test]
fn the_first_event_that_differs_is_shown() {
    let (home, text) = recorded();
    // A result: the sandbox says something else than the recording.
    let other = text.replacen("broken\\n[exit code 1]", "was fine\\n[exit code 0]", 1);
    assert_ne!(other, text);
    let (code, out, err) = plays(home.path(), &other, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("goes another way here") && out.contains(": tool_finished"), "{out}");
    let beside = |left: &str, right: &str| {
        let row = |line: &str| {
            let sides: Vec<&str> = line.split("   ").map(str::trim).filter(|side| !side.is_empty()).collect();
            sides == [left, right]
        };
        assert!(out.lines().any(row), "{left} beside {right}: {out}");
    };
    beside("was fine", "broken");
    beside("[exit code 0]", "[exit code 1]");

    // A reply: the command that it asks for is really run.
    let other = text.replacen("sh test.sh; git log", "sh test.sh; : git log", 1);
    assert_ne!(other, text);
    let (code, out, err) = plays(home.path(), &other, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(
        out.contains("shown.command: sh test.sh; git log") && out.contains("sh test.sh; : git log"),
        "{out}"
    );

    // A reply that looks for something else, where results are played.
    let other = text.replacen(r#"{"pattern":"echo"}"#, r#"{"pattern":"cat"}"#, 1);
    assert_ne!(other, text);
    let (code, out, err) = plays(home.path(), &other, &["--no-sandbox"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("shown.query: echo") && out.contains("shown.query: cat"), "{out}");

    // A check that the recording has no result of: played results answer what was asked then, and nothing else.
    let other = text.replacen(r#""checks":["sh test.sh"]"#, r#""checks":["sh other.sh"]"#, 1);
    assert_ne!(other, text);
    let (code, out, err) = plays(home.path(), &other, &["--no-sandbox"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains(": check_ran") && out.contains("command: sh test.sh"), "{out}");
}

#[test]
fn what_cannot_be_played_is_said() {
    let (home, text) = recorded();
    let cut = &text[..text.len() / 2];
    let later = text.replacen(r#""format":1"#, r#""format":2"#, 1);
    let damaged = text.replacen(r#"{"pack":""#, r#"{"pack":"AAAA"#, 1).replacen(
        r#""pack_bytes":"#,
        r#""pack_bytes":9"#,
        1,
    );
    let odd = text.replacen(r#""role":"assistant","content":["#, r#""role":"assistant","content":[1,"#, 1);
    for (text, said) in [
        ("not a recording", "is cut after line 0"),
        (cut, "the recording is cut after line"),
        (&later, "the recording has format 2, and this release reads up to 1: use a later release"),
        (&damaged, "ends a recording whose pack has"),
        (&odd, "cannot be played"),
    ] {
        let (code, out, err) = plays(home.path(), text, &[]);
        assert_eq!(code, Some(2), "{out}{err}");
        assert!(err.contains(said), "{said:?} was expected: {err}");
    }
    let done = backspace(home.path()).args(["replay", "nowhere.jsonl"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("cannot open nowhere.jsonl"));
}

#[test]
fn a_recording_without_code_is_played_on_a_repository_that_has_the_commit() {
    let home = tempfile::tempdir().unwrap();
    let done = run(home.path(), &replies(), &["--record-without-code"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let text = std::fs::read_to_string(home.path().join("FILE")).unwrap();
    let (code, _, err) = plays(home.path(), &text, &[]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("does not hold the repository (it was not wanted): name one")
            && err.contains("--repo PATH"),
        "{err}"
    );
    let moved = home.path().join("moved").display().to_string();
    let (code, out, err) = plays(home.path(), &text, &["--repo", &moved]);
    assert_eq!((code, &*out), (Some(0), "same: 33 events\n"), "{err}");
    let (code, _, err) = plays(home.path(), &text, &["--repo", &moved, "--no-sandbox"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("needs the steps of the session"), "{err}");
    make_repository(&home.path().join("other"));
    let other = home.path().join("other");
    git(&other, &["commit", "--quiet", "--amend", "--message=Another history"]);
    let (code, _, err) = plays(home.path(), &text, &["--repo", &other.display().to_string()]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("does not hold commit"), "{err}");
}

#[test]
fn what_a_replay_leaves_is_kept_when_it_is_wanted() {
    let (home, text) = recorded();
    let left = |home: &Path| std::fs::read_dir(home.join("state/replays")).unwrap().count();
    std::fs::write(home.path().join("FILE"), &text).unwrap();
    let file = home.path().join("FILE").display().to_string();
    let done = backspace(home.path()).args(["replay", &file]).output().unwrap();
    assert_eq!((done.status.code(), left(home.path())), (Some(0), 0));
    let done = backspace(home.path()).args(["replay", &file, "--keep"]).output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(left(home.path()), 1, "{err}");
    let kept = err.lines().find_map(|line| line.strip_prefix("Kept: ")).unwrap();
    let branches = git(&Path::new(kept).join("remote.git"), &["branch", "--format=%(refname:short)"]);
    assert!(branches.contains("backspace/make-add-add-") && branches.contains("main"), "{branches}");
    // The session's own home knows nothing of it.
    assert_eq!(git(&home.path().join("calc"), &["branch", "--format=%(refname:short)"]).lines().count(), 2);
}
