//! A log in which something is appended just behind each read, at the only moment at which a follower could miss it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use events::{Entry, NewEntry, SessionId};
use store::{Error, EventLog, Grown};

use crate::stories::{ended, said};

/// Appends one entry behind every read that found nothing, until `last`, which is the final one.
pub(crate) struct AppendsBehindReads {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) at: AtomicU64,
    pub(crate) last: u64,
}

#[async_trait]
impl EventLog for AppendsBehindReads {
    async fn append(&self, session: SessionId, attempt: u32, entries: Vec<NewEntry>) -> Result<u64, Error> {
        self.log.append(session, attempt, entries).await
    }

    async fn read_after(&self, session: SessionId, seq: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        let page = self.log.read_after(session, seq, limit).await?;
        if page.is_empty() {
            let at = self.at.fetch_add(1, Ordering::Relaxed) + 1;
            let entry = if at == self.last { ended() } else { said("behind the read") };
            assert_eq!(self.append(session, 1, vec![entry]).await?, at);
        }
        Ok(page)
    }

    async fn begin_attempt(&self, session: SessionId) -> Result<u32, Error> {
        self.log.begin_attempt(session).await
    }

    fn watch(&self, session: SessionId) -> Grown {
        self.log.watch(session)
    }
}
