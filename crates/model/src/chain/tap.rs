//! Listens along while a reply arrives, to know what is lost when it breaks off.

use std::sync::{Mutex, PoisonError};

use crate::{Delta, Live, Usage};

/// Passes on what it hears, and keeps what is needed if the reply never comes to its end.
pub(super) struct Tap<'a> {
    live: &'a dyn Live,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// Somebody was told of a piece.
    pieces: bool,
    /// What the provider has counted so far.
    used: Option<Usage>,
}

impl<'a> Tap<'a> {
    pub(super) fn new(live: &'a dyn Live) -> Self {
        Self { live, heard: Mutex::default() }
    }

    /// The reply broke off: what was heard of it is void. Gives what it has used, as far as its provider said.
    pub(super) fn broke_off(&self) -> Option<Usage> {
        let Heard { pieces, used } =
            std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        if pieces {
            self.live.hear(Delta::Again);
        }
        used.filter(|used| *used != Usage { usd: used.usd, ..Usage::default() })
    }
}

impl Live for Tap<'_> {
    fn hear(&self, delta: Delta<'_>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match delta {
            Delta::Text(_) | Delta::Thought(_) => heard.pieces = true,
            Delta::Used(used) => heard.used = Some(used),
            Delta::Again => {}
        }
        drop(heard);
        self.live.hear(delta);
    }
}
