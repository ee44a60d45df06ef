//! What a model is asked: the system prompt, the tools, and a history that only grows.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::value::RawValue;

use crate::Reply;

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
        Self { system, tools, messages: Vec::new(), id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Appends a message.
    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// All messages, the oldest first.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// How many of the messages are the model's.
    pub(crate) fn replies(&self) -> usize {
        self.messages.iter().filter_map(Message::as_reply).count()
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
