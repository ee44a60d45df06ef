//! Keeps everything in memory, for tests and benchmarks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use events::{Entry, Event, NewEntry, SessionId, Tenant};

use crate::follow::Bells;
use crate::summary::{Revision, unreadable};
use crate::{Error, EventLog, Filter, Grown, LIST_MAX, Records, SessionIndex, Store, Summary, shape};

/// Opens an empty store.
pub(crate) fn open() -> Store {
    let memory = Arc::new(Memory::default());
    Store { log: memory.clone(), index: memory.clone(), records: memory }
}

#[derive(Default)]
struct Memory {
    tables: Mutex<Tables>,
    bells: Bells,
}

#[derive(Default)]
struct Tables {
    sessions: BTreeMap<SessionId, Session>,
    records: BTreeMap<(String, String), String>,
}

/// One session. The entries stand in their form as text, as in a database, so that tests meet the same decoding.
#[derive(Default)]
struct Session {
    attempt: u32,
    ended: bool,
    entries: Vec<(u32, NewEntry)>,
    summary: Option<Summary>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Each change below is made in one piece after everything that can fail.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventLog for Memory {
    async fn append(&self, session: SessionId, attempt: u32, entries: Vec<NewEntry>) -> Result<u64, Error> {
        let shape = shape::of(&entries);
        let revision = revision(session, &entries)?;
        let last = {
            let mut tables = self.lock();
            let void = Error::Fenced { session, attempt };
            let known = tables.sessions.contains_key(&session);
            let stored = match (shape, known) {
                (shape::Shape::Broken, _) | (shape::Shape::First { .. }, true) => return Err(void),
                (shape::Shape::First { .. }, false) if attempt != 1 => return Err(void),
                (shape::Shape::Later { .. }, false) => return Err(Error::NotFound(session)),
                (shape::Shape::First { .. } | shape::Shape::Later { .. }, _) => tables
                    .sessions
                    .entry(session)
                    .or_insert_with(|| Session { attempt: 1, ..Session::default() }),
            };
            if stored.attempt != attempt || stored.ended {
                return Err(void);
            }
            if !entries.is_empty() {
                revision.apply(session, &mut stored.summary);
            }
            stored.ended = shape.ends();
            stored.entries.extend(entries.into_iter().map(|entry| (attempt, entry)));
            stored.entries.len() as u64
        };
        self.bells.ring(session);
        Ok(last)
    }

    async fn read_after(&self, session: SessionId, seq: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        let tables = self.lock();
        let Some(stored) = tables.sessions.get(&session) else { return Ok(Vec::new()) };
        let from = usize::try_from(seq).unwrap_or(usize::MAX).min(stored.entries.len());
        let page = stored.entries[from..].iter().take(limit).zip(from as u64 + 1..);
        page.map(|((attempt, new), seq)| {
            let event = Event::decode(new.kind, new.version, &new.payload).map_err(unreadable(session))?;
            let (at_us, actor) = (new.at_us, new.actor);
            Ok(Entry { tenant: Tenant::default(), session, seq, attempt: *attempt, at_us, actor, event })
        })
        .collect()
    }

    async fn begin_attempt(&self, session: SessionId) -> Result<u32, Error> {
        let mut tables = self.lock();
        let stored = tables.sessions.get_mut(&session).ok_or(Error::NotFound(session))?;
        stored.attempt += 1;
        Ok(stored.attempt)
    }

    fn watch(&self, session: SessionId) -> Grown {
        self.bells.watch(session)
    }
}

#[async_trait]
impl SessionIndex for Memory {
    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, Error> {
        let tables = self.lock();
        let wanted = |summary: &&Summary| {
            filter.status.is_none_or(|status| status == summary.status)
                && filter.repository.as_ref().is_none_or(|repository| *repository == summary.repository)
                && filter.before.is_none_or(|before| summary.id < before)
        };
        let newest_first = tables.sessions.values().rev().filter_map(|session| session.summary.as_ref());
        Ok(newest_first.filter(wanted).take(filter.limit.clamp(1, LIST_MAX)).cloned().collect())
    }

    async fn unfinished(&self) -> Result<Vec<SessionId>, Error> {
        let tables = self.lock();
        Ok(tables.sessions.iter().filter(|(_, session)| !session.ended).map(|(id, _)| *id).collect())
    }

    async fn delete(&self, session: SessionId) -> Result<(), Error> {
        {
            let mut tables = self.lock();
            let stored = tables.sessions.get(&session).ok_or(Error::NotFound(session))?;
            if !stored.ended {
                return Err(Error::Unfinished(session));
            }
            tables.sessions.remove(&session);
        }
        self.bells.take_away(session);
        Ok(())
    }

    async fn rebuild(&self) -> Result<(), Error> {
        let mut tables = self.lock();
        for (id, stored) in &mut tables.sessions {
            let mut rebuilt = None;
            revision(*id, stored.entries.iter().map(|(_, entry)| entry))?.apply(*id, &mut rebuilt);
            stored.summary = rebuilt;
        }
        Ok(())
    }
}

#[async_trait]
impl Records for Memory {
    async fn put_new(&self, space: &str, key: &str, value: &str) -> Result<Option<String>, Error> {
        let mut tables = self.lock();
        let place = (space.to_owned(), key.to_owned());
        if let Some(there) = tables.records.get(&place) {
            return Ok(Some(there.clone()));
        }
        tables.records.insert(place, value.to_owned());
        Ok(None)
    }

    async fn put(&self, space: &str, key: &str, value: &str) -> Result<(), Error> {
        self.lock().records.insert((space.to_owned(), key.to_owned()), value.to_owned());
        Ok(())
    }

    async fn get(&self, space: &str, key: &str) -> Result<Option<String>, Error> {
        Ok(self.lock().records.get(&(space.to_owned(), key.to_owned())).cloned())
    }

    async fn list(&self, space: &str, prefix: &str) -> Result<Vec<(String, String)>, Error> {
        let tables = self.lock();
        let from = tables.records.range((space.to_owned(), prefix.to_owned())..);
        let found = from.take_while(|((in_space, key), _)| in_space == space && key.starts_with(prefix));
        Ok(found.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }
}

/// What `entries` change in the list of sessions.
fn revision<'a>(
    session: SessionId,
    entries: impl IntoIterator<Item = &'a NewEntry>,
) -> Result<Revision, Error> {
    let mut revision = Revision::default();
    for entry in entries {
        revision
            .take_in(entry.at_us, entry.kind, entry.version, &entry.payload)
            .map_err(unreadable(session))?;
    }
    Ok(revision)
}
