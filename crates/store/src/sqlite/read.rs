//! What is read from a SQLite file.

use std::num::ParseIntError;
use std::str::FromStr;

use events::{Actor, DecodeError, Entry, Event, SessionId, Status, Tenant};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::failed;
use crate::summary::unreadable;
use crate::{Error, Filter, LIST_MAX, Summary};

const READ_ENTRIES: &str = "read the log";
const READ_SESSIONS: &str = "read the list of sessions";
const READ_RECORDS: &str = "read a record";

/// Stands between the fields of an entry, and
const FIELD: char = '\u{1f}';
/// between entries. Neither occurs in JSON text, where they are escaped, or in any name.
const RECORD: char = '\u{1e}';

/// Up to `limit` entries of `session` after place `seq`.
///
/// They come as one row: each row of its own would wake us across threads, which costs more than the reading.
pub(super) async fn after(
    readers: &SqlitePool,
    session: SessionId,
    seq: u64,
    limit: usize,
) -> Result<Vec<Entry>, Error> {
    const SQL: &str = "SELECT group_concat(concat_ws(char(31), \
                       seq, tenant, attempt, at_us, actor, kind, version, payload), char(30)) \
                       FROM (SELECT * FROM entry WHERE session = $1 AND seq > $2 ORDER BY seq LIMIT $3)";
    let query = sqlx::query(SQL)
        .bind(session.to_string())
        .bind(i64::try_from(seq).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let row = query.fetch_one(readers).await.map_err(failed(READ_ENTRIES))?;
    let Some(text) = row.try_get::<Option<&str>, _>(0).map_err(failed(READ_ENTRIES))? else {
        return Ok(Vec::new());
    };
    let mut entries =
        text.split(RECORD).map(|record| entry(session, record)).collect::<Result<Vec<_>, _>>()?;
    // SQLite happens to keep the order of the inner query, and does not promise it.
    entries.sort_by_key(|entry| entry.seq);
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

/// An entry from its fields, in the order of the query.
fn entry(session: SessionId, record: &str) -> Result<Entry, Error> {
    let mut fields = record.splitn(8, FIELD);
    let mut field = || fields.next().ok_or_else(|| failed(READ_ENTRIES)("an entry lacks a field"));
    let seq = number(field()?)?;
    let tenant = Tenant(field()?.to_owned());
    let (attempt, at_us) = (number(field()?)?, number(field()?)?);
    let (actor, kind, version) = (field()?, field()?, number(field()?)?);
    let unknown = || DecodeError::Unknown { kind: kind.to_owned(), version };
    let actor = Actor::parse(actor).ok_or_else(unknown).map_err(unreadable(session))?;
    let event = Event::decode(kind, version, field()?).map_err(unreadable(session))?;
    Ok(Entry { tenant, session, seq, attempt, at_us, actor, event })
}

fn number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(failed(READ_ENTRIES))
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
