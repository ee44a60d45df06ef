//! Keeps everything in one SQLite file.

mod read;
mod schema;
mod write;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use events::{Entry, NewEntry, SessionId};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::follow::Bells;
use crate::{Error, EventLog, Filter, Grown, Records, SessionIndex, Store, Summary, shape};
use write::{Write, Writer};

/// How long to wait for another process that writes. One append takes far less; a checkpoint or a backup may not.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts to open a file that another process is just making.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Each has a thread and a page cache of its own, and a read takes a tenth of a millisecond: there are no more than
/// cores (measured: a reader more than that costs half as much again for each read), and never more than this.
const READERS_MAX: usize = 4;
/// The write-ahead log is cut back to this after a checkpoint.
const WAL_BYTES_MAX: &str = "67108864";

/// Opens the store at `path`, making it and its folder when missing.
pub(crate) async fn open(path: &Path) -> Result<Store, Error> {
    open_patiently(path, BUSY_TIMEOUT).await
}

/// Opens the store at `path`; waits at most `patience` for other processes, now and later.
async fn open_patiently(path: &Path, patience: Duration) -> Result<Store, Error> {
    prepare(path).map_err(failed("make the folder and file of the database"))?;
    let mut connection = connect(path, patience).await.map_err(failed("open the database"))?;
    schema::bring_up_to_date(&mut connection).await?;
    let bells = Bells::default();
    let writer = write::start(connection, bells.clone());
    let sqlite = Arc::new(Sqlite { readers: readers(path, patience), writer, bells });
    Ok(Store { log: sqlite.clone(), index: sqlite.clone(), records: sqlite })
}

struct Sqlite {
    readers: SqlitePool,
    writer: Writer,
    bells: Bells,
}

#[async_trait]
impl EventLog for Sqlite {
    async fn append(&self, session: SessionId, attempt: u32, entries: Vec<NewEntry>) -> Result<u64, Error> {
        let shape = shape::of(&entries);
        self.writer.write(Write::Append { session, attempt, shape, entries }).await?.seq()
    }

    async fn read_after(&self, session: SessionId, seq: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        read::after(&self.readers, session, seq, limit).await
    }

    async fn begin_attempt(&self, session: SessionId) -> Result<u32, Error> {
        self.writer.write(Write::BeginAttempt { session }).await?.attempt()
    }

    fn watch(&self, session: SessionId) -> Grown {
        self.bells.watch(session)
    }
}

#[async_trait]
impl SessionIndex for Sqlite {
    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Error> {
        read::list(&self.readers, filter).await
    }

    async fn unfinished(&self) -> Result<Vec<SessionId>, Error> {
        read::unfinished(&self.readers).await
    }

    async fn delete(&self, session: SessionId) -> Result<(), Error> {
        self.writer.write(Write::Delete { session }).await.map(drop)
    }

    async fn rebuild(&self) -> Result<(), Error> {
        self.writer.write(Write::Rebuild).await.map(drop)
    }
}

#[async_trait]
impl Records for Sqlite {
    async fn put_new(&self, space: &str, key: &str, value: &str) -> Result<Option<String>, Error> {
        let (space, key, value) = (space.to_owned(), key.to_owned(), value.to_owned());
        self.writer.write(Write::PutNew { space, key, value }).await?.there()
    }

    async fn put(&self, space: &str, key: &str, value: &str) -> Result<(), Error> {
        let (space, key, value) = (space.to_owned(), key.to_owned(), value.to_owned());
        self.writer.write(Write::Put { space, key, value }).await.map(drop)
    }

    async fn get(&self, space: &str, key: &str) -> Result<Option<String>, Error> {
        read::record(&self.readers, space, key).await
    }

    async fn list(&self, space: &str, prefix: &str) -> Result<Vec<(String, String)>, Error> {
        read::records(&self.readers, space, prefix).await
    }
}

/// Makes the folder and an empty file that only its owner may read: prompts and file contents stand in it. SQLite
/// gives the files beside it the same mode.
///
/// The file is made without being opened: to close it would release the locks that other connections of this process
/// hold on it (<https://sqlite.org/howtocorrupt.html>, 2.2).
fn prepare(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match mknodat(CWD, path, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The one connection that writes.
///
/// A file gets its write-ahead log by a transaction that first reads and then writes. SQLite does not let such a one wait
/// for another writer, whatever `busy_timeout` says (each might wait for the other), so that this does.
async fn connect(path: &Path, patience: Duration) -> Result<SqliteConnection, sqlx::Error> {
    let until = Instant::now() + patience;
    loop {
        match connect_once(path, patience).await {
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && Instant::now() < until => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Whether another connection was in the way: `SQLITE_BUSY`, whatever more its higher bits say.
fn is_busy(error: &dyn DatabaseError) -> bool {
    const SQLITE_BUSY: i32 = 5;
    error.code().and_then(|code| code.parse().ok()).is_some_and(|code: i32| code & 0xff == SQLITE_BUSY)
}

/// `synchronous` is FULL: an entry is appended before the next action begins (a push, a pull request), so one that
/// was acknowledged must be there after a power cut as well; NORMAL would lose those since the last checkpoint. The
/// price is one `fdatasync` a batch.
async fn connect_once(path: &Path, patience: Duration) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(patience)
        .pragma("journal_size_limit", WAL_BYTES_MAX)
        .thread_name(|_| "store-writer".to_owned())
        .disable_statement_logging();
    SqliteConnection::connect_with(&options).await
}

/// A few connections that read, opened when they are needed.
fn readers(path: &Path, patience: Duration) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(patience)
        .thread_name(|n| format!("store-reader-{n}"))
        .disable_statement_logging();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    SqlitePoolOptions::new()
        .max_connections(u32::try_from(cores.min(READERS_MAX)).unwrap_or(1))
        .test_before_acquire(false)
        .max_lifetime(None)
        .connect_lazy_with(options)
}

/// Words for what a database, or the file below it, did not do.
fn failed<E>(doing: &'static str) -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| Error::Database { doing, source: source.into() }
}

#[cfg(test)]
mod tests;
