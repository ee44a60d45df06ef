//! What a SQLite store keeps when a process dies or the disk is full.
//!
//! The process that shall suffer is this test program again, with one ignored test and a folder of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt as _;
use sqlx::{Connection as _, SqliteConnection};
use store::{Config, Error};

use crate::stories::{ended, requested, said, session};

/// Its presence in the working folder says that a test of this file started us.
const MARK: &str = "started-by-a-test";
const FILE: &str = "log.db";

/// Starts this program with the ignored test `name`, by way of `sh -c PRELUDE`.
fn start(folder: &Path, prelude: &str, name: &str) -> Child {
    std::fs::write(folder.join(MARK), "").unwrap();
    Command::new("sh")
        .args(["-c", &format!("{prelude} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1", name])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn assert_sound(path: &Path) {
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    let check: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(check, "ok");
    let gaps: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT count(*) AS n, max(seq) AS last FROM entry GROUP BY session) WHERE n <> last",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(gaps, 0);
    let unlike: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM fence WHERE next_seq - 1 <> (SELECT max(seq) FROM entry WHERE entry.session = fence.session)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(unlike, 0);
}

#[tokio::test]
async fn a_process_killed_while_it_appends_loses_nothing_that_it_acknowledged() {
    const BEFORE_THE_KILL: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let store = store::open(&Config::Sqlite(path.clone())).await.unwrap();
    let mut child = start(folder.path(), "", "crash::appends_until_it_is_killed");

    // Two processes at one file: this one sees what the other one writes while it writes.
    let mut entries = std::pin::pin!(store::follow(store.log.clone(), session(1), 0));
    for seq in 1..=BEFORE_THE_KILL as u64 {
        assert_eq!(entries.next().await.unwrap().unwrap().seq, seq);
    }
    child.kill().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged =
        lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("seq ")?.parse::<u64>().ok());
    let acknowledged = acknowledged.last().unwrap();
    child.wait().unwrap();

    assert_sound(&path).await;
    let last = store.log.read_after(session(1), acknowledged - 1, 100).await.unwrap();
    assert_eq!(last.first().map(|entry| entry.seq), Some(acknowledged));
    assert!(last.len() <= 1 + 3, "at most one batch was on its way");

    // Somebody else takes over.
    let attempt = store.log.begin_attempt(session(1)).await.unwrap();
    store.log.append(session(1), attempt, vec![ended()]).await.unwrap();
    assert_sound(&path).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by a_process_killed_while_it_appends_loses_nothing_that_it_acknowledged"]
async fn appends_until_it_is_killed() {
    if !Path::new(MARK).exists() {
        return;
    }
    let store = store::open(&Config::Sqlite(FILE.into())).await.unwrap();
    store.log.append(session(1), 1, vec![requested("r", "p")]).await.unwrap();
    loop {
        let batch = vec![said("a"), said(&"b".repeat(5_000)), said("c")];
        let seq = store.log.append(session(1), 1, batch).await.unwrap();
        println!("seq {seq}");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    // A file may not grow beyond 2 MiB for the other process; without the trap the signal would end it.
    let prelude = "trap '' XFSZ; ulimit -f 4096;";
    let mut child = start(folder.path(), prelude, "crash::appends_until_the_disk_is_full");
    assert!(child.wait().unwrap().success());
    assert_sound(&path).await;
    let store = store::open(&Config::Sqlite(path.clone())).await.unwrap();
    assert!(!store.log.read_after(session(1), 0, 5).await.unwrap().is_empty());
    store.log.append(session(1), 1, vec![said("space again"), ended()]).await.unwrap();
    assert_sound(&path).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by a_full_disk_is_said_and_nothing_is_half_written"]
async fn appends_until_the_disk_is_full() {
    if !Path::new(MARK).exists() {
        return;
    }
    let store = store::open(&Config::Sqlite(FILE.into())).await.unwrap();
    store.log.append(session(1), 1, vec![requested("r", "p")]).await.unwrap();
    let mut last = 1;
    let refused = loop {
        match store.log.append(session(1), 1, vec![said("a"), said(&"b".repeat(100_000))]).await {
            Ok(seq) => last = seq,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Database { .. }), "{refused}");
    // It is said every time, and reading goes on.
    let again = store.log.append(session(1), 1, vec![said(&"b".repeat(100_000))]).await;
    assert!(matches!(again, Err(Error::Database { .. })), "{again:?}");
    let entries = store.log.read_after(session(1), 0, 10_000).await.unwrap();
    assert_eq!(entries.last().map(|entry| entry.seq), Some(last));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_open_a_new_file_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::Sqlite(folder.path().join(FILE));
    let opened = futures_util::future::join_all((0..8).map(|_| {
        let config = config.clone();
        tokio::spawn(async move { store::open(&config).await })
    }));
    for (n, store) in opened.await.into_iter().enumerate() {
        let store = store.unwrap().unwrap();
        store.log.append(session(n as u64), 1, vec![requested("r", "p")]).await.unwrap();
    }
}
