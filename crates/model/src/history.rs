//! A conversation's messages in a wire's form, each encoded once.

use crate::{Conversation, Error, Message};

/// The encoded messages of one conversation; bytes are only ever appended.
#[derive(Debug, Default)]
pub(crate) struct History {
    conversation: u64,
    /// How many of the conversation's messages are encoded.
    taken: usize,
    /// The messages as JSON, with commas between them.
    bytes: Vec<u8>,
    /// Where a cache mark may be put: one place for each run of messages to the model.
    marks: Vec<usize>,
    after_mark: bool,
}

/// One message in a wire's form.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The message as JSON.
    pub(crate) json: String,
    /// Where a cache mark may be put into it.
    pub(crate) mark_at: Option<usize>,
}

impl History {
    /// Encodes the messages that have come since the last time.
    pub(crate) fn update(
        &mut self,
        conversation: &Conversation,
        encode: impl Fn(&Message) -> Result<Vec<Encoded>, Error>,
    ) -> Result<(), Error> {
        if self.conversation != conversation.id() {
            *self = Self { conversation: conversation.id(), ..Self::default() };
        }
        for message in &conversation.messages()[self.taken..] {
            for encoded in encode(message)? {
                self.append(&encoded);
            }
            self.taken += 1;
        }
        Ok(())
    }

    /// A request's body: `head`, all messages with `mark` at the last two places for one, `tail`.
    ///
    /// Two, because the last place of one request is the place before the last of the next, where its cache is found.
    pub(crate) fn body(&self, head: &str, mark: &str, tail: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(head.len() + self.bytes.len() + 2 * mark.len() + tail.len());
        body.extend_from_slice(head.as_bytes());
        let mut from = 0;
        for at in &self.marks[self.marks.len().saturating_sub(2)..] {
            body.extend_from_slice(&self.bytes[from..*at]);
            body.extend_from_slice(mark.as_bytes());
            from = *at;
        }
        body.extend_from_slice(&self.bytes[from..]);
        body.extend_from_slice(tail.as_bytes());
        body
    }

    fn append(&mut self, encoded: &Encoded) {
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        if let Some(at) = encoded.mark_at {
            if self.after_mark {
                self.marks.pop();
            }
            self.marks.push(self.bytes.len() + at);
        }
        self.after_mark = encoded.mark_at.is_some();
        self.bytes.extend_from_slice(encoded.json.as_bytes());
    }
}
