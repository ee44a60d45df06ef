//! What a model says while it answers, in writes that are worth one, each at its place among the entries of the log.
//!
//! A piece of a reply comes after the entries that were written before it was said, and never after the reply itself: the
//! reply stands in the log by then, and takes the place of its pieces.

use std::pin::Pin;
use std::time::Duration;

use events::{Entry, Event};
use futures_util::{Stream, StreamExt as _};
use session::{Heard, Piece};
use tokio::time::{Instant, sleep_until};

use crate::wire::delta;

/// The shortest time between two writes: nobody reads faster, and each costs a packet.
const BETWEEN_WRITES: Duration = Duration::from_millis(100);
/// So many bytes are written without waiting.
const WRITE_BYTES: usize = 2048;

/// The pieces for one client.
pub(crate) struct Deltas {
    heard: Pin<Box<dyn Stream<Item = Heard> + Send>>,
    /// The next piece, when its place has not come yet.
    early: Option<Heard>,
    /// What is to be written, neighbours of a kind in one.
    collected: Vec<Piece>,
    bytes: usize,
    /// Nothing is written before.
    not_before: Instant,
    /// The place of the last entry that the client has.
    seen: u64,
    /// The place of the last reply that the client has: what was said before it is void.
    replied: u64,
}

impl Deltas {
    /// For a client that has the entries up to place `seen`.
    pub(crate) fn new(heard: impl Stream<Item = Heard> + Send + 'static, seen: u64) -> Self {
        let (heard, not_before) = (Box::pin(heard), Instant::now());
        Self { heard, early: None, collected: Vec::new(), bytes: 0, not_before, seen, replied: 0 }
    }

    /// The client has `entry`.
    pub(crate) fn entry_sent(&mut self, entry: &Entry) {
        self.seen = entry.seq;
        if matches!(entry.event, Event::ModelReplied(_)) {
            self.replied = entry.seq;
            self.discard();
        }
    }

    /// The next write. Never ends while there is nothing to write; nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let due = match (self.collected.is_empty(), self.bytes >= WRITE_BYTES) {
                (true, _) => None,
                (false, true) => return self.write(),
                (false, false) => Some(self.not_before),
            };
            tokio::select! {
                biased;
                heard = next_piece(&mut self.heard, &mut self.early, self.seen) => self.collect(heard),
                () = sleep_until(due.unwrap_or(self.not_before)), if due.is_some() => return self.write(),
            }
        }
    }

    fn collect(&mut self, heard: Heard) {
        if heard.after < self.replied {
            return;
        }
        let text_bytes = match &heard.piece {
            Piece::Text(text) | Piece::Thought(text) => text.len(),
            Piece::Again => {
                self.discard();
                0
            }
        };
        self.bytes += text_bytes;
        let joined = match (self.collected.last(), &heard.piece) {
            (Some(Piece::Text(before)), Piece::Text(more)) => {
                Some(Piece::Text([&**before, more].concat().into()))
            }
            (Some(Piece::Thought(before)), Piece::Thought(more)) => {
                Some(Piece::Thought([&**before, more].concat().into()))
            }
            (Some(_) | None, Piece::Text(_) | Piece::Thought(_) | Piece::Again) => None,
        };
        match joined {
            Some(joined) => {
                self.collected.pop();
                self.collected.push(joined);
            }
            None => self.collected.push(heard.piece),
        }
    }

    fn discard(&mut self) {
        self.collected.clear();
        self.bytes = 0;
    }

    /// What was collected, as server-sent events in one piece.
    fn write(&mut self) -> String {
        self.not_before = Instant::now() + BETWEEN_WRITES;
        let text = self.collected.iter().map(delta::to_sse).collect();
        self.discard();
        text
    }
}

/// The next piece whose place has come. Waits for ever behind the last one, and for one whose place comes with the log.
async fn next_piece(
    heard: &mut Pin<Box<dyn Stream<Item = Heard> + Send>>,
    early: &mut Option<Heard>,
    seen: u64,
) -> Heard {
    if early.is_none() {
        *early = heard.next().await;
    }
    match early.take_if(|heard| heard.after <= seen) {
        Some(heard) => heard,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
