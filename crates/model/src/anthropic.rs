//! Anthropic's Messages API: thinking kept verbatim, at most four cache marks, replies as a stream.

mod assembly;
mod request;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

pub(crate) use assembly::{Blocks, stop_of};

use crate::history::{History, MARK};
use crate::stream;
use crate::transport::Endpoint;
use crate::{
    Caches, Conversation, Error, Facts, Live, Message, Model, ModelName, Origin, Reply, Served, Thinking,
};

/// What is asked for when nobody says anything: enough for a large file, and below what any current model allows.
const OUTPUT_TOKENS_DEFAULT: u32 = 32_000;
/// The least that the API takes as a budget for thinking, in tokens.
const THINKING_TOKENS_MIN: u32 = 1024;

/// Opens the model for one session.
pub(crate) fn open(served: &Served) -> Result<Box<dyn Model>, Error> {
    Ok(Box::new(Anthropic::new(served)?))
}

/// Reads the reply that `body` streams.
pub(crate) async fn read<S, E>(served: &Served, body: S, live: &dyn Live) -> Result<Reply, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error,
{
    let mut assembly = assembly::Assembling::new(served, live);
    stream::read(served, body, &mut assembly).await?;
    assembly.finish()
}

struct Anthropic {
    served: Served,
    endpoint: Endpoint,
    name: ModelName,
    facts: Facts,
    history: Mutex<History>,
}

/// What a request says beside the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settings {
    output_tokens: u32,
    thinking: Thinking,
    /// What is put where a cache is to begin; nothing for servers that know no such thing.
    mark: &'static str,
}

#[async_trait]
impl Model for Anthropic {
    async fn reply(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error> {
        let body = self.encode(conversation, output_tokens_max)?;
        let answer = self.endpoint.post(body).await?;
        read(&self.served, answer, live).await
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Anthropic {
    fn new(served: &Served) -> Result<Self, Error> {
        let endpoint = Endpoint::new(served, "/v1/messages")?.with_header("anthropic-version", "2023-06-01");
        let (name, facts) = (served.name(), served.facts());
        Ok(Self { served: served.clone(), endpoint, name, facts, history: Mutex::default() })
    }

    fn encode(&self, conversation: &Conversation, output_tokens_max: Option<u32>) -> Result<Vec<u8>, Error> {
        // What a panic leaves behind is a prefix of the history, as at any other time.
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.served.origin();
        history.update(conversation, |placed| request::message(placed, &own))?;
        let settings = Settings::of(&self.facts, output_tokens_max).fitting(conversation, &own);
        let head = request::head(&self.name.model, settings, conversation);
        Ok(history.body(&head, settings.mark, &request::tail(settings)))
    }
}

impl Settings {
    /// What suits a model of which `facts` are known, with replies of at most `output_tokens_max` tokens.
    fn of(facts: &Facts, output_tokens_max: Option<u32>) -> Self {
        let suits = OUTPUT_TOKENS_DEFAULT.min(facts.output_tokens_max);
        let output_tokens = output_tokens_max.unwrap_or(suits).min(suits).max(1);
        let thinking = match facts.thinking {
            // The budget comes out of the reply, and must leave room for it.
            Thinking::Budget(tokens) => match tokens.min(output_tokens / 2) {
                0..THINKING_TOKENS_MIN => Thinking::Unsaid,
                tokens => Thinking::Budget(tokens),
            },
            // The other vendors' ways are none of this wire.
            Thinking::Encrypted | Thinking::Summarized => Thinking::Unsaid,
            said @ (Thinking::Unsaid | Thinking::Adaptive) => said,
        };
        let mark = match facts.caches {
            Caches::Marks => MARK,
            Caches::No | Caches::Automatic | Caches::OnRequest => "",
        };
        Self { output_tokens, thinking, mark }
    }

    /// The settings for `conversation`: thinking with a budget is refused in a turn that did not begin with thinking.
    /// A turn lasts from a user's message on; replies of another `own` have lost their thoughts.
    fn fitting(self, conversation: &Conversation, own: &Origin) -> Self {
        let turn = conversation.messages().iter().rev().take_while(|message| match message {
            Message::User(_) => false,
            Message::Assistant(_) | Message::Results(_) => true,
        });
        let foreign = turn.filter_map(Message::as_reply).any(|reply| reply.origin != *own);
        match self.thinking {
            Thinking::Budget(_) if foreign => Self { thinking: Thinking::Unsaid, ..self },
            Thinking::Unsaid
            | Thinking::Adaptive
            | Thinking::Budget(_)
            | Thinking::Encrypted
            | Thinking::Summarized => self,
        }
    }
}

#[cfg(test)]
mod tests;
