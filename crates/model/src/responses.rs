//! OpenAI's Responses API: nothing is stored there, so every item goes back as it came, encrypted reasoning included.

mod assembly;
mod request;

pub(crate) use assembly::said;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use crate::history::History;
use crate::stream;
use crate::transport::Endpoint;
use crate::{Conversation, Error, Facts, Live, Model, ModelName, Reply, Served, Thinking};

/// Opens the model for one session.
pub(crate) fn open(served: &Served) -> Result<Box<dyn Model>, Error> {
    Ok(Box::new(Responses::new(served)?))
}

/// Reads the reply that `body` streams, after `turn` others.
pub(crate) async fn read<S, E>(served: &Served, turn: usize, body: S, live: &dyn Live) -> Result<Reply, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error,
{
    let mut assembly = assembly::Assembling::new(served, live, turn);
    stream::read(served, body, &mut assembly).await?;
    assembly.finish()
}

struct Responses {
    served: Served,
    endpoint: Endpoint,
    name: ModelName,
    facts: Facts,
    /// Whether the provider has refused to show summaries of thoughts.
    unshown: AtomicBool,
    history: Mutex<History>,
}

#[async_trait]
impl Model for Responses {
    async fn reply(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error> {
        match self.ask(conversation, output_tokens_max, live).await {
            // Summaries are for verified organizations alone. Nobody else should have to know, and thoughts go on unshown.
            Err(error) if self.thinking() == Thinking::Summarized && refuses_summaries(&error) => {
                tracing::info!("{} shows no summaries of thoughts: {error}", self.name.provider);
                self.unshown.store(true, Ordering::Relaxed);
                self.ask(conversation, output_tokens_max, live).await
            }
            done => done,
        }
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Responses {
    fn new(served: &Served) -> Result<Self, Error> {
        let endpoint = Endpoint::new(served, "/responses")?;
        let (name, facts) = (served.name(), served.facts());
        let (unshown, history) = (AtomicBool::new(false), Mutex::default());
        Ok(Self { served: served.clone(), endpoint, name, facts, unshown, history })
    }

    async fn ask(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error> {
        let body = self.encode(conversation, output_tokens_max)?;
        let answer = self.endpoint.post(body).await?;
        read(&self.served, conversation.replies(), answer, live).await
    }

    fn encode(&self, conversation: &Conversation, output_tokens_max: Option<u32>) -> Result<Vec<u8>, Error> {
        // What a panic leaves behind is a prefix of the history, as at any other time.
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.served.origin();
        history.update(conversation, |placed| request::message(placed, &own))?;
        let head = request::head(&self.served, self.thinking(), conversation);
        Ok(history.body(&head, "", &request::tail(output_tokens_max)))
    }

    fn thinking(&self) -> Thinking {
        let unshown = self.unshown.load(Ordering::Relaxed);
        if self.facts.thinking == Thinking::Summarized && unshown {
            return Thinking::Encrypted;
        }
        self.facts.thinking
    }
}

/// Whether a request was refused for asking to see summaries, from OpenAI's words and from the name of the field.
fn refuses_summaries(error: &Error) -> bool {
    let named = ["reasoning.summary", "reasoning summaries"];
    matches!(error, Error::Refused { message, .. } if named.iter().any(|words| message.contains(words)))
}

#[cfg(test)]
mod tests;
