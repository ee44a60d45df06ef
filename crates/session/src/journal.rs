//! Writes a session's events into the log: the one place where secrets are taken out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use events::{Event, Journal, JournalError, NewEntry, Redactor, SessionId};
use store::EventLog;

use crate::Clock;
use crate::way_out::WayOut;

/// A session's way into the log, for one attempt at it.
#[derive(Clone)]
pub(crate) struct SessionJournal {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) session: SessionId,
    pub(crate) attempt: u32,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) way_out: WayOut,
    /// The place of the last entry that was written this way.
    pub(crate) at: Arc<AtomicU64>,
}

#[async_trait]
impl Journal for SessionJournal {
    async fn record(&self, events: Vec<Event>) -> Result<(), JournalError> {
        let at_us = self.clock.now_us();
        // What a command's network was asked for stands before what came of the command.
        let decided = self.way_out.decided();
        let entries = decided
            .iter()
            .chain(&events)
            .map(|event| self.entry(event, at_us))
            .collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error| JournalError(error.into()))?;
        let appended = self.log.append(self.session, self.attempt, entries).await;
        self.at.fetch_max(appended.map_err(|error| JournalError(error.into()))?, Ordering::AcqRel);
        Ok(())
    }
}

impl SessionJournal {
    /// `event` as text without secrets. The mask holds nothing that JSON escapes, so the text stays JSON.
    fn entry(&self, event: &Event, at_us: i64) -> Result<NewEntry, serde_json::Error> {
        let entry = NewEntry::of(event, at_us)?;
        let payload = self.redactor.redact_json(&entry.payload).into_owned();
        Ok(NewEntry { payload, ..entry })
    }
}
