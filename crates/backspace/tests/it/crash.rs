//! What is left when the process is killed at any moment: a readable log, the work on a branch, and nothing that runs.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use events::{Event, FailureCode, Outcome, Saved};
use futures_util::StreamExt as _;

use crate::cli::{backspace, recording};
use crate::world::{bash, calls, git, make_repository, the_fix};

/// A session that saves a fix and then runs a command that does not end.
pub(crate) fn start(home: &Path, marker: &str) -> Child {
    let repository = home.join("calc");
    make_repository(&repository);
    let endless = format!("(setsid sh -c 'exec sleep {marker}' &); sleep {marker}");
    let recording = recording(home, &[calls([the_fix()]), calls([bash(&endless)])]);
    backspace(home)
        .args(["run", &repository.display().to_string(), "Make add() add"])
        .args(["--provider", "scripted", "--model", &recording, "--output", "jsonl"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Processes of this machine whose command line holds `marker`.
pub(crate) fn processes(marker: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&format!("sleep\0{marker}"))
    })
    .count()
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The whole log of the one session below `home`.
pub(crate) async fn log(home: &Path) -> Vec<events::Entry> {
    let store = store::open(&store::Config::Sqlite(home.join("state/backspace.db"))).await.unwrap();
    let listed = store.index.list(&store::Filter { limit: 10, ..store::Filter::default() }).await.unwrap();
    assert_eq!(listed.len(), 1);
    store.log.read_after(listed[0].id, 0, 10_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_leaves_its_work_and_nothing_that_runs() {
    let home = tempfile::tempdir().unwrap();
    let marker = format!("54{}", std::process::id());
    let mut child = start(home.path(), &marker);
    wait_for("the command inside", || processes(&marker) >= 2);
    child.kill().unwrap();
    child.wait().unwrap();

    wait_for("the end of every process inside", || processes(&marker) == 0);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let left = mounts.lines().find(|mount| mount.contains(&*home.path().to_string_lossy()));
    assert_eq!(left, None, "a mount was left");
    let entries = log(home.path()).await;
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=entries.len() as u64).collect::<Vec<_>>(), "the log is readable and has no gap");
    assert!(!entries.iter().any(|entry| matches!(entry.event, Event::SessionEnded(_))));

    // The next process finds that nobody owns the session.
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let done = backspace(home.path()).args(["run", "/nonexistent", "x"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2), "a request that is refused looks after nobody");
    let mut service = backspace(home.path())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let store = store::open(&store::Config::Sqlite(home.path().join("state/backspace.db"))).await.unwrap();
    let id = entries[0].session;
    let after: Vec<_> =
        store::follow(store.log.clone(), id, entries.len() as u64).map(Result::unwrap).collect().await;
    service.kill().unwrap();
    service.wait().unwrap();
    let Event::SessionEnded(ended) = &after.last().unwrap().event else { panic!("{after:?}") };
    let Outcome::Failed(failure) = &ended.outcome else { panic!("{ended:?}") };
    assert_eq!(failure.code, FailureCode::Interrupted);
    let Some(Saved::Branch { branch, commit, .. }) = &failure.saved else { panic!("{failure:?}") };
    let repository = home.path().join("calc");
    assert_eq!(git(&repository, &["rev-parse", branch.as_str()]), commit.as_str());
    assert_eq!(git(&repository, &["show", &format!("{branch}:calc.sh")]), "add() {\n  echo $(($1 + $2))\n}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_beside_a_run_leaves_it_alone() {
    let home = tempfile::tempdir().unwrap();
    let marker = format!("55{}", std::process::id());
    let mut child = start(home.path(), &marker);
    wait_for("the command inside", || processes(&marker) >= 2);
    let mut service = backspace(home.path())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The service looks after the others' leftovers before it listens for long; then it is told to end.
    let listening = std::io::BufRead::lines(std::io::BufReader::new(service.stderr.take().unwrap()));
    let mut lines = listening.map_while(Result::ok);
    assert!(lines.any(|line| line.contains("127.0.0.1:")), "the service does not listen");
    std::thread::sleep(Duration::from_millis(500));
    let before = log(home.path()).await;
    assert!(
        !before.iter().any(|entry| matches!(entry.event, Event::SessionEnded(_))),
        "it was ended by another"
    );
    assert!(processes(&marker) >= 2);
    service.kill().unwrap();
    service.wait().unwrap();
    // Ctrl-C ends the run in order.
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    wait_for("the end of every process inside", || processes(&marker) == 0);
    let entries = log(home.path()).await;
    assert!(
        matches!(&entries.last().unwrap().event, Event::SessionEnded(ended) if matches!(ended.outcome, Outcome::Cancelled { .. }))
    );
}
