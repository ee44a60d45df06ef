//! Listens along while a reply arrives, to know what is lost when it breaks off.

use std::sync::{Mutex, PoisonError};

use super::LostUsage;
use crate::{Delta, Live, Usage};

/// Passes on what it hears, and keeps what is needed if the reply never comes to its end.
pub(super) struct Tap<'a> {
    live: &'a dyn Live,
    /// The chain's: who drops the future of a reply that is on its way can still know of it.
    heard: &'a Mutex<Heard>,
}

/// What was heard of the reply that is on its way.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Somebody was told of a piece.
    pieces: bool,
    /// How many bytes there were; nothing while the model has not begun.
    bytes: Option<u64>,
    /// What the provider has counted so far.
    used: Option<Usage>,
}

impl<'a> Tap<'a> {
    pub(super) fn new(live: &'a dyn Live, heard: &'a Mutex<Heard>) -> Self {
        Self { live, heard }
    }

    /// The reply has come to its end: nothing of it is lost.
    pub(super) fn came(&self) {
        taken(self.heard);
    }

    /// The reply broke off: what was heard of it is void. Gives what it has used.
    pub(super) fn broke_off(&self) -> Option<LostUsage> {
        let heard = taken(self.heard);
        if heard.pieces {
            self.live.hear(Delta::Again);
        }
        heard.used()
    }
}

/// What was heard until now; from here on nothing was.
pub(super) fn taken(heard: &Mutex<Heard>) -> Heard {
    std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Heard {
    /// What the reply has used, as far as its provider said or as it was heard; nothing when the model has not even begun.
    pub(super) fn used(self) -> Option<LostUsage> {
        let counted = self.used.filter(|used| *used != Usage { usd: used.usd, ..Usage::default() });
        match counted {
            Some(used) => Some(LostUsage::Counted { used, heard: self.bytes.unwrap_or(0) }),
            None => self.bytes.map(LostUsage::Heard),
        }
    }

    fn grow(&mut self, bytes: usize) {
        self.bytes = Some(self.bytes.unwrap_or(0).saturating_add(bytes as u64));
    }
}

impl Live for Tap<'_> {
    fn hear(&self, delta: Delta<'_>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match delta {
            Delta::Text(piece) | Delta::Thought(piece) => {
                heard.pieces = true;
                heard.grow(piece.len());
            }
            Delta::Unshown(bytes) => heard.grow(bytes),
            Delta::Used(used) => heard.used = Some(used),
            Delta::Again => {}
        }
        drop(heard);
        self.live.hear(delta);
    }
}
