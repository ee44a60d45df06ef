//! Sessions as files: recorded by the command line.

use std::path::Path;
use std::process::Output;

use session::recording::Recording;

use crate::cli::{backspace, recording};
use crate::world::{bash, calls, finish, make_repository, the_fix};

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
