//! What only SQLite can do wrong.

use events::{Event, NewEntry, Said, SessionId};
use std::error::Error as _;

use super::*;

fn said(text: &str) -> NewEntry {
    NewEntry::of(&Event::Said(Said { text: text.into() }), 1).unwrap()
}

fn begin() -> NewEntry {
    let payload = r#"{"request":{"remote":{"local":"/r"},"prompt":"p","branch":null,"base":null,"title":null,
        "draft":false,"provider":null,"model":null,"publish":"pr","checks":[],
        "budget":{"tokens":null,"turns":null,"minutes":null}},"door":"run"}"#;
    NewEntry { kind: "session_requested", payload: payload.into(), ..said("") }
}

async fn raw(path: &Path) -> SqliteConnection {
    connect(path, Duration::from_secs(5)).await.unwrap()
}

#[tokio::test]
async fn a_locked_file_is_said_to_be_locked_and_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let store = open_patiently(&path, Duration::from_millis(20)).await.unwrap();
    let id = SessionId::new(1, 1);
    store.log.append(id, 1, vec![begin()]).await.unwrap();

    let mut holder = raw(&path).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let refused = store.log.append(id, 1, vec![said("x")]).await.unwrap_err();
    assert_eq!(refused.to_string(), "cannot begin to write to the database");
    assert!(refused.source().unwrap().to_string().contains("database is locked"), "{refused:?}");
    assert_eq!(store.log.read_after(id, 0, 9).await.unwrap().len(), 1);

    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_eq!(store.log.append(id, 1, vec![said("x")]).await.unwrap(), 2);
}

/// As two processes do that start at once with a file that neither has seen.
#[tokio::test]
async fn a_file_that_another_is_just_making_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("CREATE TABLE something (x)").execute(&mut other).await.unwrap();
    // SQLite does not wait where it reads already and another is about to write: it might wait for itself.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let busy = open_patiently(&path, Duration::from_millis(30)).await.err().unwrap();
    assert!(busy.source().unwrap().to_string().contains("database is locked"), "{busy:?}");

    let opening = tokio::spawn({
        let path = path.clone();
        async move { open(&path).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    opening.await.unwrap().unwrap().log.append(SessionId::new(1, 1), 1, vec![begin()]).await.unwrap();
}

/// POSIX takes all locks of a process on a file away when it closes any descriptor of that file.
#[tokio::test]
async fn to_open_a_file_again_leaves_the_locks_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    drop(open(&path).await.unwrap());
    let mut holder = raw(&path).await;
    sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut holder).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    prepare(&path).unwrap();
    let held = std::fs::read_to_string("/proc/locks").unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap()).to_string();
    assert!(
        held.lines().any(|lock| lock.contains(&format!(":{inode} ")) && lock.contains("WRITE")),
        "{held}"
    );
}

#[tokio::test]
async fn a_file_of_a_later_release_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (n, change) in [
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (77, 'later', true, x'00', 0)",
        "PRAGMA user_version = 77",
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{n}.db"));
        drop(open(&path).await.unwrap());
        sqlx::query(change).execute(&mut raw(&path).await).await.unwrap();
        let refused = open(&path).await.err().unwrap();
        let reason = refused.source().unwrap().to_string();
        assert!(reason.contains("a later release of backspace") && reason.contains("77"), "{reason}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    std::fs::write(&path, "certainly not a database, but long enough to look at".repeat(100)).unwrap();
    let refused = open(&path).await.err().unwrap();
    assert!(refused.source().unwrap().to_string().contains("not a database"), "{refused:?}");
}

#[tokio::test]
async fn an_append_that_the_database_refuses_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let store = open(&path).await.unwrap();
    sqlx::query(
        "CREATE TRIGGER poison BEFORE INSERT ON entry WHEN NEW.payload LIKE '%poison%' \
         BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
    )
    .execute(&mut raw(&path).await)
    .await
    .unwrap();
    let all = (0..60).map(|n: u32| {
        let log = store.log.clone();
        let word = if n.is_multiple_of(3) { "poison" } else { "water" };
        async move { (n, log.append(SessionId::new(1, n.into()), 1, vec![begin(), said(word)]).await) }
    });
    for (n, result) in futures_util::future::join_all(all).await {
        assert_eq!(result.is_err(), n.is_multiple_of(3), "{n}: {result:?}");
    }
    assert_eq!(store.index.unfinished().await.unwrap().len(), 40);
}

#[tokio::test]
async fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home/log.db");
    let store = open(&path).await.unwrap();
    store.log.append(SessionId::new(1, 1), 1, vec![begin()]).await.unwrap();
    for name in ["log.db", "log.db-wal", "log.db-shm"] {
        let mode = std::fs::metadata(path.with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}
