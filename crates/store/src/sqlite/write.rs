//! The one task that writes to a SQLite file: whatever waits when it looks becomes one transaction.

use std::time::Duration;

use events::{NewEntry, SessionId, Tenant};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::failed;
use crate::Error;
use crate::follow::Bells;
use crate::shape::Shape;
use crate::summary::{Revision, unreadable};

/// Writes that may wait; whoever comes later waits for a place. Each of them is one step of one session.
const WAITING_MAX: usize = 1024;
/// Writes in one transaction: enough that the sync at its end costs each of them little.
const BATCH_MAX: usize = 64;
/// How often we look whether another process (a `run` beside a `serve`) has written; what its watchers wait longer.
const FOREIGN_POLL: Duration = Duration::from_millis(250);

const APPEND: &str = "append to the log";
const INDEX: &str = "write the list of sessions";
const RECORD: &str = "write a record";

/// Something to be written.
pub(super) enum Write {
    /// See [`crate::EventLog::append`].
    Append { session: SessionId, attempt: u32, shape: Shape, entries: Vec<NewEntry> },
    /// See [`crate::EventLog::begin_attempt`].
    BeginAttempt { session: SessionId },
    /// See [`crate::SessionIndex::delete`].
    Delete { session: SessionId },
    /// See [`crate::SessionIndex::rebuild`].
    Rebuild,
    /// See [`crate::Records::put`].
    Put { space: String, key: String, value: String },
    /// See [`crate::Records::put_new`].
    PutNew { space: String, key: String, value: String },
}

/// What came of a [`Write`].
pub(super) enum Answer {
    /// The place of the last entry.
    Seq(u64),
    /// The attempt that has begun.
    Attempt(u32),
    /// What stood there already.
    There(Option<String>),
    /// It is done.
    Done,
}

impl Answer {
    /// The answer to [`Write::Append`].
    pub(super) fn seq(self) -> Result<u64, Error> {
        if let Self::Seq(seq) = self { Ok(seq) } else { Err(Self::unexpected()) }
    }

    /// The answer to [`Write::BeginAttempt`].
    pub(super) fn attempt(self) -> Result<u32, Error> {
        if let Self::Attempt(attempt) = self { Ok(attempt) } else { Err(Self::unexpected()) }
    }

    /// The answer to [`Write::PutNew`].
    pub(super) fn there(self) -> Result<Option<String>, Error> {
        if let Self::There(there) = self { Ok(there) } else { Err(Self::unexpected()) }
    }

    fn unexpected() -> Error {
        failed("understand the writer of the database")("it answered another question than it was asked")
    }
}

/// The way to the task.
pub(super) struct Writer(mpsc::Sender<Job>);

struct Job {
    write: Write,
    answer: oneshot::Sender<Result<Answer, Error>>,
}

impl Writer {
    /// Has `write` done; returns when it is committed.
    pub(super) async fn write(&self, write: Write) -> Result<Answer, Error> {
        let gone = || failed("reach the writer of the database")("its task has ended");
        let (answer, answered) = oneshot::channel();
        self.0.send(Job { write, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Starts the task. It ends, and closes the connection, after the last [`Writer`] is gone.
pub(super) fn start(connection: SqliteConnection, bells: Bells) -> Writer {
    let (sender, jobs) = mpsc::channel(WAITING_MAX);
    tokio::spawn(work(connection, jobs, bells));
    Writer(sender)
}

async fn work(mut connection: SqliteConnection, mut jobs: mpsc::Receiver<Job>, bells: Bells) {
    let mut poll = tokio::time::interval(FOREIGN_POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        tokio::select! {
            count = jobs.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    break;
                }
                commit(&mut connection, std::mem::take(&mut batch), &bells).await;
            }
            _ = poll.tick() => {
                if !bells.is_empty() {
                    look_for_foreign_writes(&mut connection, &mut seen, &bells).await;
                }
            }
        }
    }
    if let Err(error) = connection.close().await {
        warn!("The database did not close in order: {error}");
    }
}

/// Rings all bells when another process has written since the last look. `data_version` tells just that: it changes
/// with every commit of another connection, and this is the only connection of ours that commits.
async fn look_for_foreign_writes(connection: &mut SqliteConnection, seen: &mut Option<i64>, bells: &Bells) {
    let now = sqlx::query_scalar::<_, i64>("PRAGMA data_version").fetch_one(connection).await;
    match now {
        Ok(version) if *seen == Some(version) => {}
        Ok(version) => {
            *seen = Some(version);
            bells.ring_all();
        }
        Err(error) => warn!("Cannot ask the database whether another process has written: {error}"),
    }
}

/// Carries out `jobs` in one transaction. When the database fails on the way, each is tried alone, so that one that
/// cannot succeed does not take the others with it.
async fn commit(connection: &mut SqliteConnection, jobs: Vec<Job>, bells: &Bells) {
    match attempt(connection, &jobs).await {
        Ok(answers) => {
            for (job, answer) in jobs.into_iter().zip(answers) {
                announce(job, answer, bells);
            }
        }
        Err(Stop::NotBegun(error)) => {
            // Nobody could write now; trying each alone would only wait as often.
            let text = error.to_string();
            for job in jobs {
                announce(job, Err(failed("begin to write to the database")(text.as_str())), bells);
            }
        }
        Err(Stop::Broken(error)) => match <[Job; 1]>::try_from(jobs) {
            Ok([job]) => announce(job, Err(error), bells),
            Err(jobs) => {
                for job in jobs {
                    Box::pin(commit(connection, vec![job], bells)).await;
                }
            }
        },
    }
}

/// Why a transaction was given up.
enum Stop {
    /// It did not begin: the file is locked or gone.
    NotBegun(sqlx::Error),
    /// The database failed in the middle, and everything was rolled back.
    Broken(Error),
}

/// Carries out all jobs and commits. What a rule refuses is an answer like others and spoils nothing.
///
/// The statements are our own: on a full disk SQLite rolls back by itself, and sqlx, whose own rollback then fails,
/// would believe for ever that it is inside a transaction.
async fn attempt(
    connection: &mut SqliteConnection,
    jobs: &[Job],
) -> Result<Vec<Result<Answer, Error>>, Stop> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(Stop::NotBegun)?;
    let committed = match carry_out_all(connection, jobs).await {
        Ok(answers) => {
            let commit = sqlx::query("COMMIT").execute(&mut *connection).await;
            commit.map(|_| answers).map_err(failed("commit what was written"))
        }
        Err(error) => Err(error),
    };
    if committed.is_err() {
        // Fails when SQLite has rolled back already.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    }
    committed.map_err(Stop::Broken)
}

/// Carries out all jobs until the database fails.
async fn carry_out_all(
    connection: &mut SqliteConnection,
    jobs: &[Job],
) -> Result<Vec<Result<Answer, Error>>, Error> {
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        match carry_out(connection, &job.write).await {
            Err(error @ Error::Database { .. }) => return Err(error),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}

/// Tells the one who asked, and those who watch.
fn announce(job: Job, answer: Result<Answer, Error>, bells: &Bells) {
    if answer.is_ok() {
        match &job.write {
            Write::Append { session, .. } => bells.ring(*session),
            Write::Delete { session } => bells.take_away(*session),
            Write::BeginAttempt { .. } | Write::Rebuild | Write::Put { .. } | Write::PutNew { .. } => {}
        }
    }
    // Whoever asked may be gone; what was written stays written.
    let _ = job.answer.send(answer);
}

async fn carry_out(connection: &mut SqliteConnection, write: &Write) -> Result<Answer, Error> {
    match write {
        Write::Append { session, attempt, shape, entries } => {
            append(connection, (*session, *attempt), *shape, entries).await.map(Answer::Seq)
        }
        Write::BeginAttempt { session } => begin_attempt(connection, *session).await.map(Answer::Attempt),
        Write::Delete { session } => delete(connection, *session).await.map(|()| Answer::Done),
        Write::Rebuild => rebuild(connection).await.map(|()| Answer::Done),
        Write::Put { space, key, value } => {
            const SQL: &str = "INSERT INTO record (space, key, value) VALUES ($1, $2, $3) \
                               ON CONFLICT (space, key) DO UPDATE SET value = excluded.value";
            let put = sqlx::query(SQL).bind(space).bind(key).bind(value).execute(connection);
            put.await.map_err(failed(RECORD)).map(|_| Answer::Done)
        }
        Write::PutNew { space, key, value } => {
            put_new(connection, (space, key), value).await.map_err(failed(RECORD)).map(Answer::There)
        }
    }
}

/// Appends `entries` if the fence lets `attempt` through.
async fn append(
    connection: &mut SqliteConnection,
    (session, attempt): (SessionId, u32),
    shape: Shape,
    entries: &[NewEntry],
) -> Result<u64, Error> {
    let revision = revision(session, entries)?;
    let name = session.to_string();
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    // One statement that both asks and moves on: between a look and a move a newer attempt could begin.
    let moved: Option<i64> = match shape {
        Shape::Broken => None,
        Shape::First { .. } if attempt != 1 => None,
        Shape::First { ends } => {
            const SQL: &str = "INSERT INTO fence (session, attempt, next_seq, ended) VALUES ($1, 1, 1 + $2, $3) \
                               ON CONFLICT DO NOTHING RETURNING next_seq";
            let insert = sqlx::query_scalar(SQL).bind(&name).bind(count).bind(ends);
            insert.fetch_optional(&mut *connection).await.map_err(failed(APPEND))?
        }
        Shape::Later { ends } => {
            const SQL: &str = "UPDATE fence SET next_seq = next_seq + $2, ended = $3 \
                               WHERE session = $1 AND attempt = $4 AND ended = 0 RETURNING next_seq";
            let update = sqlx::query_scalar(SQL).bind(&name).bind(count).bind(ends).bind(attempt);
            update.fetch_optional(&mut *connection).await.map_err(failed(APPEND))?
        }
    };
    let Some(next_seq) = moved else {
        let unknown = matches!(shape, Shape::Later { .. }) && !exists(connection, &name).await?;
        return Err(if unknown { Error::NotFound(session) } else { Error::Fenced { session, attempt } });
    };
    for (entry, seq) in entries.iter().zip(next_seq - count..) {
        insert(connection, (&name, attempt), seq, entry).await.map_err(failed(APPEND))?;
    }
    if !entries.is_empty() {
        revise(connection, &name, revision).await.map_err(failed(INDEX))?;
    }
    Ok((next_seq - 1).unsigned_abs())
}

async fn insert(
    connection: &mut SqliteConnection,
    (session, attempt): (&str, u32),
    seq: i64,
    entry: &NewEntry,
) -> Result<(), sqlx::Error> {
    const SQL: &str = "INSERT INTO entry (tenant, session, seq, attempt, at_us, actor, kind, version, payload) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(SQL)
        .bind(Tenant::default().0)
        .bind(session)
        .bind(seq)
        .bind(attempt)
        .bind(entry.at_us)
        .bind(entry.actor.as_str())
        .bind(entry.kind)
        .bind(entry.version)
        .bind(&entry.payload)
        .execute(connection)
        .await
        .map(drop)
}

/// What `entries` change in the list of sessions.
fn revision(session: SessionId, entries: &[NewEntry]) -> Result<Revision, Error> {
    let mut revision = Revision::default();
    for entry in entries {
        let taken = revision.take_in(entry.at_us, entry.kind, entry.version, &entry.payload);
        taken.map_err(unreadable(session))?;
    }
    Ok(revision)
}

/// Applies `revision` to the row of `session`.
async fn revise(
    connection: &mut SqliteConnection,
    session: &str,
    revision: Revision,
) -> Result<(), sqlx::Error> {
    let status = revision.status.map(events::Status::as_str);
    let Some(begun) = revision.begun else {
        // What waited has gone on when nobody says otherwise: `Status::gone_on`.
        const SQL: &str = "UPDATE session SET updated_us = $2, \
                           status = coalesce($3, CASE status WHEN $5 THEN $6 ELSE status END), \
                           pr_url = coalesce($4, pr_url) WHERE session = $1";
        let (waiting, running) = (events::Status::Waiting.as_str(), events::Status::Running.as_str());
        let update = sqlx::query(SQL).bind(session).bind(revision.updated_us).bind(status);
        let update = update.bind(revision.pr_url).bind(waiting).bind(running);
        return update.execute(connection).await.map(drop);
    };
    const SQL: &str = "INSERT INTO session (session, updated_us, status, pr_url, repository, prompt, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(SQL)
        .bind(session)
        .bind(revision.updated_us)
        .bind(status)
        .bind(revision.pr_url)
        .bind(begun.repository)
        .bind(begun.prompt)
        .bind(begun.created_us)
        .execute(connection)
        .await
        .map(drop)
}

async fn begin_attempt(connection: &mut SqliteConnection, session: SessionId) -> Result<u32, Error> {
    const SQL: &str = "UPDATE fence SET attempt = attempt + 1 WHERE session = $1 RETURNING attempt";
    let update = sqlx::query_scalar(SQL).bind(session.to_string()).fetch_optional(connection);
    update.await.map_err(failed("begin the next attempt at a session"))?.ok_or(Error::NotFound(session))
}

async fn delete(connection: &mut SqliteConnection, session: SessionId) -> Result<(), Error> {
    // The entries and the row in the list go with the fence.
    const SQL: &str = "DELETE FROM fence WHERE session = $1 AND ended = 1";
    let name = session.to_string();
    let deleted = sqlx::query(SQL).bind(&name).execute(&mut *connection).await;
    match deleted.map_err(failed("delete a session"))?.rows_affected() {
        0 if exists(connection, &name).await? => Err(Error::Unfinished(session)),
        0 => Err(Error::NotFound(session)),
        _ => Ok(()),
    }
}

async fn exists(connection: &mut SqliteConnection, session: &str) -> Result<bool, Error> {
    let found =
        sqlx::query("SELECT 1 FROM fence WHERE session = $1").bind(session).fetch_optional(connection);
    found.await.map(|row| row.is_some()).map_err(failed("look for a session"))
}

async fn put_new(
    connection: &mut SqliteConnection,
    (space, key): (&str, &str),
    value: &str,
) -> Result<Option<String>, sqlx::Error> {
    const GET: &str = "SELECT value FROM record WHERE space = $1 AND key = $2";
    const PUT: &str = "INSERT INTO record (space, key, value) VALUES ($1, $2, $3)";
    let there = sqlx::query_scalar(GET).bind(space).bind(key).fetch_optional(&mut *connection).await?;
    if there.is_none() {
        sqlx::query(PUT).bind(space).bind(key).bind(value).execute(connection).await?;
    }
    Ok(there)
}

/// Writes the list of sessions anew, from the log alone.
pub(super) async fn rebuild(connection: &mut SqliteConnection) -> Result<(), Error> {
    const SESSIONS: &str = "SELECT session FROM fence";
    // The payloads of most kinds mean nothing to the list; they are not even read.
    const ENTRIES: &str = "SELECT at_us, kind, version, \
                           CASE WHEN kind IN ($2, $3, $4, $5, $6) THEN payload ELSE '' END FROM entry \
                           WHERE session = $1 ORDER BY seq";
    let doing = failed::<sqlx::Error>;
    sqlx::query("DELETE FROM session").execute(&mut *connection).await.map_err(doing(INDEX))?;
    let names: Vec<String> =
        sqlx::query_scalar(SESSIONS).fetch_all(&mut *connection).await.map_err(doing(INDEX))?;
    for name in names {
        let session: SessionId = name.parse().map_err(failed(INDEX))?;
        let mut query = sqlx::query_as::<_, (i64, String, u32, String)>(ENTRIES).bind(&name);
        for kind in Revision::KINDS {
            query = query.bind(kind);
        }
        let mut revision = Revision::default();
        for (at_us, kind, version, payload) in
            query.fetch_all(&mut *connection).await.map_err(doing(INDEX))?
        {
            revision.take_in(at_us, &kind, version, &payload).map_err(unreadable(session))?;
        }
        revise(connection, &name, revision).await.map_err(doing(INDEX))?;
    }
    Ok(())
}
