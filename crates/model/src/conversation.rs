//! What a model is asked: the system prompt, the tools, and a history that only grows.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::value::RawValue;

use crate::{Reply, Wire};

/// A conversation with a model. Its history is append-only, so that providers can cache it and thinking stays valid.
///
/// Not `Clone`: a model keeps the encoded form of one conversation, and a copy that went another way would share it.
#[derive(Debug)]
pub struct Conversation {
    /// The system prompt; not to be changed once a model has been asked.
    pub system: String,
    /// The tools on offer; not to be changed once a model has been asked.
    pub tools: Vec<ToolSpec>,
    messages: Vec<Message>,
    /// How many replies came before, in the conversations that this one goes on from.
    replies_before: usize,
    id: u64,
}

/// A tool as it is described to a model.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    /// Its name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: Box<RawValue>,
}

/// One message of a conversation.
#[derive(Debug, Clone)]
pub enum Message {
    /// From whoever asks.
    User(String),
    /// From the model.
    Assistant(Reply),
    /// The results of the calls of the reply before it, one for each and in their order.
    Results(Vec<ToolResult>),
}

/// What came of a tool call.
#[derive(Debug, Clone)]
pub struct ToolResult {
    /// The call it answers.
    pub call_id: String,
    /// The result, for the model.
    pub text: String,
    /// Whether the text tells of a failure.
    pub failed: bool,
}

impl Conversation {
    /// A conversation without messages.
    pub fn new(system: String, tools: Vec<ToolSpec>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { system, tools, messages: Vec::new(), replies_before: 0, id }
    }

    /// A conversation that goes on from this one with `first` and then `kept` of its messages, the first of which is no
    /// result. Replies among them are written anew for whoever is asked: what was thought in them is signed for what
    /// stood before, and that stands there no longer.
    #[must_use]
    pub fn going_on(self, first: String, kept: Vec<Message>) -> Self {
        let replies = self.replies();
        let mut next = Self::new(self.system, self.tools);
        next.push(Message::User(first));
        for message in kept {
            next.push(match message {
                Message::Assistant(mut reply) => {
                    reply.origin.wire = Wire::Carried;
                    Message::Assistant(reply)
                }
                message @ (Message::User(_) | Message::Results(_)) => message,
            });
        }
        next.replies_before = replies.saturating_sub(next.replies());
        next
    }

    /// Appends a message.
    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// All messages, the oldest first.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// How many replies there were so far, those included that are no longer in it.
    pub(crate) fn replies(&self) -> usize {
        self.replies_before + self.messages.iter().filter_map(Message::as_reply).count()
    }

    /// Tells conversations of one process apart.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Message {
    /// The model's reply, if it is one.
    pub(crate) fn as_reply(&self) -> Option<&Reply> {
        match self {
            Self::Assistant(reply) => Some(reply),
            Self::User(_) | Self::Results(_) => None,
        }
    }
}
