//! A conversation's messages in a wire's form, each encoded once.

use std::borrow::Cow;

use crate::{Conversation, Error, Message, Origin, Reply, ToolResult, foreign};

/// What marks the end of a part of the request that the provider is to keep; five minutes, renewed by each use.
pub(crate) const MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;

/// The encoded messages of one conversation; bytes are only ever appended.
#[derive(Debug, Default)]
pub(crate) struct History {
    conversation: u64,
    /// How many of the conversation's messages are encoded.
    taken: usize,
    /// How many of those are replies.
    replies: usize,
    /// The messages as JSON, with commas between them.
    bytes: Vec<u8>,
    /// Where a cache mark may be put: one place for each run of messages to the model.
    marks: Vec<usize>,
    after_mark: bool,
    /// What the last of the encoded messages is.
    last: Before,
}

/// One message, and what a wire must know of those before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) message: &'a Message,
    /// How many replies came before it.
    pub(crate) replies: usize,
    /// The reply right before it.
    pub(crate) answers: Option<&'a Reply>,
    /// What stands right before it when it is sent.
    pub(crate) before: Before,
}

/// What stands right before a message when it is sent; a reply that cannot be sent back stands nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Before {
    /// No message.
    #[default]
    Nothing,
    /// What a user said, or the results of calls.
    Told,
    /// A reply.
    Reply,
}

impl Placed<'_> {
    /// The id under which `own` knows the call that result `n` answers.
    pub(crate) fn call_id<'r>(&self, n: usize, result: &'r ToolResult, own: &Origin) -> Cow<'r, str> {
        match self.answers {
            Some(reply) if reply.origin != *own => foreign::call_id(self.replies - 1, n).into(),
            Some(_) | None => (&*result.call_id).into(),
        }
    }
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
        encode: impl Fn(Placed<'_>) -> Result<Vec<Encoded>, Error>,
    ) -> Result<(), Error> {
        if self.conversation != conversation.id() {
            *self = Self { conversation: conversation.id(), ..Self::default() };
        }
        let messages = conversation.messages();
        for (n, message) in messages.iter().enumerate().skip(self.taken) {
            let before = n.checked_sub(1).and_then(|before| messages.get(before));
            let answers = before.and_then(Message::as_reply);
            let placed = Placed { message, replies: self.replies, answers, before: self.last };
            for encoded in encode(placed)? {
                self.append(&encoded);
                self.last = if message.as_reply().is_some() { Before::Reply } else { Before::Told };
            }
            self.taken += 1;
            self.replies += usize::from(message.as_reply().is_some());
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
