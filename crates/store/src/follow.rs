//! Follows a session from any place in its log to its last entry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use events::{Entry, Event, SessionId};
use futures_util::Stream;
use tokio::sync::watch;

use crate::{Error, EventLog};

/// How many entries are read at once: a whole short session, and not too much to hold for a reader that is slow.
const PAGE_MAX: usize = 64;

/// Follows `session` from just after `seq` until its last entry, which also ends the stream.
///
/// A session that is not there yet is waited for; one that is deleted on the way ends the stream.
pub fn follow(
    log: Arc<dyn EventLog>,
    session: SessionId,
    seq: u64,
) -> impl Stream<Item = Result<Entry, Error>> + Send + 'static {
    // Reading begins one place early: whoever has the final entry already would wait for ever otherwise.
    let mut at = seq.saturating_sub(1);
    async_stream::try_stream! {
        let mut grown = log.watch(session);
        loop {
            // Mark before reading, so that an entry appended after the read still wakes the wait below.
            grown.mark_unchanged();
            let page = log.read_after(session, at, PAGE_MAX).await?;
            if page.is_empty() && grown.changed().await.is_err() {
                return;
            }
            for entry in page {
                at = entry.seq;
                let last = matches!(entry.event, Event::SessionEnded(_));
                if at > seq {
                    yield entry;
                }
                if last {
                    return;
                }
            }
        }
    }
}

/// A bell that rings when a session grows.
#[derive(Debug)]
pub struct Grown {
    session: SessionId,
    receiver: watch::Receiver<()>,
    bells: Bells,
}

/// The session was deleted; nothing will ring any more.
#[derive(Debug, thiserror::Error)]
#[error("the session was deleted")]
pub struct Deleted;

impl Grown {
    /// Forgets all rings so far.
    pub fn mark_unchanged(&mut self) {
        self.receiver.mark_unchanged();
    }

    /// Waits until the bell rings, or has rung since [`Self::mark_unchanged`]. It may ring for nothing.
    ///
    /// # Errors
    /// When the session was deleted.
    pub async fn changed(&mut self) -> Result<(), Deleted> {
        self.receiver.changed().await.map_err(|_| Deleted)
    }
}

impl Drop for Grown {
    fn drop(&mut self) {
        // The last one to listen takes the bell away, or the bells of all sessions ever watched would pile up.
        let mut bells = self.bells.lock();
        let deleted = self.receiver.has_changed().is_err();
        if !deleted && bells.get(&self.session).is_some_and(|bell| bell.receiver_count() == 1) {
            bells.remove(&self.session);
        }
    }
}

/// The bells of all sessions that somebody in this process watches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bells(Arc<Mutex<HashMap<SessionId, watch::Sender<()>>>>);

impl Bells {
    /// The bell of `session`.
    pub(crate) fn watch(&self, session: SessionId) -> Grown {
        let receiver = self.lock().entry(session).or_default().subscribe();
        Grown { session, receiver, bells: self.clone() }
    }

    /// Wakes whoever watches `session`.
    pub(crate) fn ring(&self, session: SessionId) {
        if let Some(bell) = self.lock().get(&session) {
            bell.send_replace(());
        }
    }

    /// Wakes everybody, when it is not known which session has grown.
    pub(crate) fn ring_all(&self) {
        self.lock().values().for_each(|bell| {
            bell.send_replace(());
        });
    }

    /// Tells whoever watches `session` that it is gone.
    pub(crate) fn take_away(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    /// Whether nobody watches anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<()>>> {
        // Nothing that is done under this lock can leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
