//! What a session's model says while it answers, for whoever listens right now. None of it is kept: the log has the whole
//! reply as soon as there is one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use events::Redactor;
use futures_util::Stream;
use model::{Delta, Live};
use tokio::sync::broadcast::{self, error::RecvError};

/// A listener that is further behind misses pieces: the model must not wait for it, nor memory grow for it. A second's
/// worth of the fastest models.
const PIECES_MAX: usize = 256;

/// A piece of a reply that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The place of the last entry in the log when it was said: it belongs to a reply that comes after that entry.
    pub after: u64,
    /// What was said.
    pub piece: Piece,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// More of the text.
    Text(Arc<str>),
    /// More of a thought.
    Thought(Arc<str>),
    /// What was heard of this reply so far is void: it is asked for again.
    Again,
}

/// A session's model on its way to listeners. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Voice {
    sender: broadcast::Sender<Heard>,
    /// The place of the session's last entry.
    at: Arc<AtomicU64>,
    redactor: Arc<Redactor>,
    held: Arc<Mutex<Held>>,
}

/// Text that cannot be told yet: it may be the beginning of a secret.
#[derive(Default)]
struct Held {
    text: String,
    kind: Kind,
    /// As in [`Heard`].
    after: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Text,
    Thought,
}

impl Voice {
    /// The voice of a session whose log has grown to place `at`.
    pub(crate) fn new(at: Arc<AtomicU64>, redactor: Arc<Redactor>) -> Self {
        Self { sender: broadcast::Sender::new(PIECES_MAX), at, redactor, held: Arc::default() }
    }

    /// What is said from now on, until the session ends.
    pub(crate) fn listen(&self) -> impl Stream<Item = Heard> + Send + use<> {
        let mut receiver = self.sender.subscribe();
        async_stream::stream! {
            loop {
                match receiver.recv().await {
                    Ok(heard) => yield heard,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// Tells of `text` what is certain to hold no secret, and holds the rest back until more is known.
    fn say(&self, kind: Kind, text: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let after = self.at.load(Ordering::Acquire);
        if held.after != after {
            // It was the end of a reply that the log has told whole meanwhile.
            *held = Held { text: String::new(), kind, after };
        } else if held.kind != kind {
            // What comes now is another text; the one before is as long as it gets.
            self.tell(held.kind, &held.text);
            *held = Held { text: String::new(), kind, after };
        }
        held.text.push_str(text);
        let open = self.redactor.open_end(&held.text);
        let rest = held.text.split_off(open);
        self.tell(kind, &held.text);
        held.text = rest;
    }

    fn tell(&self, kind: Kind, text: &str) {
        if !text.is_empty() && self.sender.receiver_count() > 0 {
            let text = Arc::from(&*self.redactor.redact(text));
            self.send(match kind {
                Kind::Text => Piece::Text(text),
                Kind::Thought => Piece::Thought(text),
            });
        }
    }

    fn send(&self, piece: Piece) {
        // Nobody listening is no failure.
        let _ = self.sender.send(Heard { after: self.at.load(Ordering::Acquire), piece });
    }
}

impl Live for Voice {
    fn hear(&self, delta: Delta<'_>) {
        match delta {
            Delta::Text(text) => self.say(Kind::Text, text),
            Delta::Thought(thought) => self.say(Kind::Thought, thought),
            Delta::Again => {
                *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Held::default();
                self.send(Piece::Again);
            }
            // The log tells what was used, once it is known for good.
            Delta::Used(_) | Delta::Unshown(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    const SECRET: &str = "ghp_0123456789abcdef";

    fn voice() -> Voice {
        Voice::new(Arc::new(AtomicU64::new(7)), Arc::new(Redactor::new([SECRET])))
    }

    /// All that is heard of `deltas`, texts of a kind put together.
    async fn heard(deltas: &[Delta<'_>]) -> Vec<String> {
        let voice = voice();
        let mut listener = Box::pin(voice.listen());
        deltas.iter().for_each(|delta| voice.hear(*delta));
        drop(voice);
        let mut all: Vec<String> = Vec::new();
        while let Some(Heard { piece, .. }) = listener.next().await {
            let (kind, text) = match piece {
                Piece::Text(text) => ("text: ", text),
                Piece::Thought(text) => ("thought: ", text),
                Piece::Again => ("again", "".into()),
            };
            match all.last_mut().filter(|last| last.starts_with(kind)) {
                Some(last) => last.push_str(&text),
                None => all.push(format!("{kind}{text}")),
            }
        }
        all
    }

    #[tokio::test]
    async fn a_secret_is_not_told_in_pieces_either() {
        for length in 1..SECRET.len() {
            let text = format!("The token is {SECRET}, and ghp_ is its beginning.");
            let pieces: Vec<&str> =
                text.as_bytes().chunks(length).map(|b| std::str::from_utf8(b).unwrap()).collect();
            let deltas: Vec<Delta<'_>> = pieces.iter().map(|piece| Delta::Text(piece)).collect();
            let told = heard(&deltas).await;
            assert_eq!(
                told,
                ["text: The token is [redacted], and ghp_ is its beginning."],
                "in pieces of {length}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_said_comes_in_order_and_what_is_void_is_said_to_be() {
        let deltas = [
            Delta::Thought("Hm, gh"),
            Delta::Text("I "),
            Delta::Text("look. ghp_"),
            Delta::Again,
            Delta::Text("Done."),
        ];
        assert_eq!(heard(&deltas).await, ["thought: Hm, gh", "text: I look. ", "again", "text: Done."]);
    }

    #[tokio::test]
    async fn what_was_held_back_of_a_reply_is_not_told_as_a_part_of_the_next_one() {
        let voice = voice();
        let mut listener = Box::pin(voice.listen());
        voice.hear(Delta::Text("The beginning is gh"));
        voice.at.store(9, Ordering::Release);
        voice.hear(Delta::Text("Done."));
        drop(voice);
        let mut told = Vec::new();
        while let Some(heard) = listener.next().await {
            told.push(heard);
        }
        let heard = |after, text: &str| Heard { after, piece: Piece::Text(text.into()) };
        assert_eq!(told, [heard(7, "The beginning is "), heard(9, "Done.")]);
    }

    #[tokio::test]
    async fn a_listener_that_does_not_keep_up_misses_the_oldest_pieces_and_nobody_waits_for_it() {
        let voice = voice();
        let mut listener = Box::pin(voice.listen());
        for n in 0..PIECES_MAX + 10 {
            // A digit alone may be the beginning of a secret in hexadecimal, and is held back.
            voice.hear(Delta::Text(&format!("{n}, ")));
        }
        let first = listener.next().await.unwrap();
        assert_eq!(first, Heard { after: 7, piece: Piece::Text("10, ".into()) });
        drop(voice);
        assert_eq!(listener.count().await, PIECES_MAX - 1);
    }
}
