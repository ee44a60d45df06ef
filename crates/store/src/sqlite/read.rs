//! What is read from a SQLite file.

use events::{Actor, DecodeError, Entry, Event, SessionId, Status, Tenant};
use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::failed;
use crate::summary::unreadable;
use crate::{Error, Filter, LIST_MAX, Summary};

/// Rows that the thread of a connection may be ahead: a page, so that it does not wait for us in the middle.
pub(super) const ROWS_BUFFERED: usize = 64;

const READ_ENTRIES: &str = "read the log";
const READ_SESSIONS: &str = "read the list of sessions";
const READ_RECORDS: &str = "read a record";

/// Up to `limit` entries of `session` after place `seq`.
pub(super) async fn after(
    readers: &SqlitePool,
    session: SessionId,
    seq: u64,
    limit: usize,
) -> Result<Vec<Entry>, Error> {
    const SQL: &str = "SELECT seq, tenant, attempt, at_us, actor, kind, version, payload FROM entry \
                       WHERE session = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let mut rows = sqlx::query(SQL)
        .bind(session.to_string())
        .bind(i64::try_from(seq).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch(readers);
    let mut entries = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(failed(READ_ENTRIES))? {
        entries.push(entry(session, &row)?);
    }
    Ok(entries)
}

/// The sessions that `filter` lets through, the newest first.
pub(super) async fn list(readers: &SqlitePool, filter: &Filter) -> Result<Vec<Summary>, Error> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT session, status, repository, prompt, created_us, updated_us, pr_url FROM session WHERE true",
    );
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(repository) = &filter.repository {
        query.push(" AND repository = ").push_bind(repository);
    }
    if let Some(before) = filter.before {
        query.push(" AND session < ").push_bind(before.to_string());
    }
    let limit = filter.limit.clamp(1, LIST_MAX);
    query.push(" ORDER BY session DESC LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = query.build().fetch_all(readers).await.map_err(failed(READ_SESSIONS))?;
    rows.iter().map(|row| summary(row).map_err(failed(READ_SESSIONS))).collect()
}

/// All sessions without a final entry, the oldest first.
pub(super) async fn unfinished(readers: &SqlitePool) -> Result<Vec<SessionId>, Error> {
    const SQL: &str = "SELECT session FROM fence WHERE ended = 0 ORDER BY session";
    let rows = sqlx::query(SQL).fetch_all(readers).await.map_err(failed(READ_SESSIONS))?;
    rows.iter().map(|row| id(row).map_err(failed(READ_SESSIONS))).collect()
}

/// The record under `key`.
pub(super) async fn record(readers: &SqlitePool, space: &str, key: &str) -> Result<Option<String>, Error> {
    const SQL: &str = "SELECT value FROM record WHERE space = $1 AND key = $2";
    sqlx::query_scalar(SQL).bind(space).bind(key).fetch_optional(readers).await.map_err(failed(READ_RECORDS))
}

/// The records whose key begins with `prefix`, by key.
pub(super) async fn records(
    readers: &SqlitePool,
    space: &str,
    prefix: &str,
) -> Result<Vec<(String, String)>, Error> {
    // No text with this prefix sorts behind the prefix with the last of all characters.
    const SQL: &str = "SELECT key, value FROM record \
                       WHERE space = $1 AND key >= $2 AND key < $2 || char(1114111) ORDER BY key";
    sqlx::query_as(SQL).bind(space).bind(prefix).fetch_all(readers).await.map_err(failed(READ_RECORDS))
}

/// The row of an entry, its columns in the order of the query.
fn entry(session: SessionId, row: &SqliteRow) -> Result<Entry, Error> {
    let column = failed::<sqlx::Error>;
    let (kind, payload) = (text(row, 5)?, text(row, 7)?);
    let version: u32 = row.try_get(6).map_err(column(READ_ENTRIES))?;
    let unknown = || DecodeError::Unknown { kind: kind.to_owned(), version };
    Ok(Entry {
        seq: row.try_get::<i64, _>(0).map_err(column(READ_ENTRIES))?.unsigned_abs(),
        tenant: Tenant(text(row, 1)?.to_owned()),
        session,
        attempt: row.try_get(2).map_err(column(READ_ENTRIES))?,
        at_us: row.try_get(3).map_err(column(READ_ENTRIES))?,
        actor: Actor::parse(text(row, 4)?).ok_or_else(unknown).map_err(unreadable(session))?,
        event: Event::decode(kind, version, payload).map_err(unreadable(session))?,
    })
}

/// A column as text, without a copy.
fn text(row: &SqliteRow, column: usize) -> Result<&str, Error> {
    row.try_get(column).map_err(failed(READ_ENTRIES))
}

/// The row of a session.
fn summary(row: &SqliteRow) -> Result<Summary, sqlx::Error> {
    let status: &str = row.try_get("status")?;
    Ok(Summary {
        id: id(row)?,
        status: Status::parse(status)
            .ok_or_else(|| sqlx::Error::Decode(format!("`{status}` is no status").into()))?,
        repository: row.try_get("repository")?,
        prompt: row.try_get("prompt")?,
        created_us: row.try_get("created_us")?,
        updated_us: row.try_get("updated_us")?,
        pr_url: row.try_get("pr_url")?,
    })
}

fn id(row: &SqliteRow) -> Result<SessionId, sqlx::Error> {
    row.try_get::<&str, _>("session")?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
