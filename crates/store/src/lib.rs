//! The spine: the append-only log of sessions, how it is followed, and what can be rebuilt from it.

mod follow;
mod memory;
mod shape;
mod sqlite;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use events::{Entry, NewEntry, SessionId, Status};

pub use follow::{Deleted, Grown, follow};

/// A list has at most so many sessions; the next ones come with the next page.
const LIST_MAX: usize = 1000;

/// Which store to open.
#[derive(Debug, Clone)]
pub enum Config {
    /// A SQLite file; its folder is made when missing.
    Sqlite(PathBuf),
    /// Nothing survives the process: for tests and benchmarks.
    Memory,
}

/// What a store offers; the three parts share one database.
#[derive(Clone)]
pub struct Store {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// What was rebuilt from the log to find sessions by.
    pub index: Arc<dyn SessionIndex>,
    /// Small values by key, for what is not a session.
    pub records: Arc<dyn Records>,
}

/// Opens a store and brings its tables up to date.
///
/// # Errors
/// When the file cannot be opened or was written by a later release.
pub async fn open(config: &Config) -> Result<Store, Error> {
    match config {
        Config::Sqlite(path) => sqlite::open(path).await,
        Config::Memory => Ok(memory::open()),
    }
}

/// The append-only log.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends `entries` in one piece behind the session's last entry and returns the place of the last one.
    /// When this returns, they are durable (SQLite: in the write-ahead log, synced).
    ///
    /// The first entry of a session is appended with attempt 1.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a newer attempt has begun or the session has ended, or when something would stand before
    /// the first entry or behind the final one; [`Error::NotFound`] when there is no such session and `entries` do not
    /// begin one. Then nothing was written.
    async fn append(&self, session: SessionId, attempt: u32, entries: Vec<NewEntry>) -> Result<u64, Error>;

    /// Up to `limit` entries after place `seq`, in order.
    async fn read_after(&self, session: SessionId, seq: u64, limit: usize) -> Result<Vec<Entry>, Error>;

    /// Begins the next attempt at a session; what older attempts append from now on is refused.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such session.
    async fn begin_attempt(&self, session: SessionId) -> Result<u32, Error>;

    /// A bell that rings when the session grows. Taken before reading, so that nothing is missed.
    fn watch(&self, session: SessionId) -> Grown;
}

/// Finds sessions. Rebuilt from the log at any time; holds nothing that the log does not imply.
#[async_trait]
pub trait SessionIndex: Send + Sync {
    /// The newest sessions first.
    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Error>;

    /// All sessions without a final entry, the oldest first.
    async fn unfinished(&self) -> Result<Vec<SessionId>, Error>;

    /// Takes a finished session out of the log and the index.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unfinished`] when it has no final entry.
    async fn delete(&self, session: SessionId) -> Result<(), Error>;

    /// Makes the index anew from the log.
    async fn rebuild(&self) -> Result<(), Error>;
}

/// Small values by key: idempotency keys, the local forge's pull requests.
#[async_trait]
pub trait Records: Send + Sync {
    /// Puts `value` under `key` unless something is there; returns what was there.
    async fn put_new(&self, space: &str, key: &str, value: &str) -> Result<Option<String>, Error>;

    /// Puts `value` under `key`, over whatever is there.
    async fn put(&self, space: &str, key: &str, value: &str) -> Result<(), Error>;

    /// The value under `key`.
    async fn get(&self, space: &str, key: &str) -> Result<Option<String>, Error>;

    /// Keys and values whose key begins with `prefix`, by key.
    async fn list(&self, space: &str, prefix: &str) -> Result<Vec<(String, String)>, Error>;
}

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those of this repository, by its address as text.
    pub repository: Option<String>,
    /// Only those older than this one.
    pub before: Option<SessionId>,
    /// At most so many (1 to 1,000; others are taken as the nearest).
    pub limit: usize,
}

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub id: SessionId,
    /// Where it stands.
    pub status: Status,
    /// The repository's address as text.
    pub repository: String,
    /// The beginning of the prompt, at most 200 characters.
    pub prompt: String,
    /// When it was asked for, in microseconds after 1970.
    pub created_us: i64,
    /// When something happened last, in microseconds after 1970.
    pub updated_us: i64,
    /// The pull request's address.
    pub pr_url: Option<String>,
}

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such session.
    #[error("there is no session {0}")]
    NotFound(SessionId),
    /// A newer attempt at the session has begun, or it has ended.
    #[error(
        "attempt {attempt} at session {session} is void: a newer one has begun, or the session has ended"
    )]
    Fenced {
        /// The session.
        session: SessionId,
        /// The attempt that wanted to write.
        attempt: u32,
    },
    /// The session has no final entry.
    #[error("session {0} has not ended")]
    Unfinished(SessionId),
    /// A stored entry cannot be read.
    #[error("cannot read an entry of session {session}")]
    Decode {
        /// The session.
        session: SessionId,
        /// Why.
        #[source]
        source: events::DecodeError,
    },
    /// The database.
    #[error("cannot {doing}")]
    Database {
        /// What we were doing.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
