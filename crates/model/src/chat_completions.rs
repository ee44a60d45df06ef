//! OpenAI's Chat Completions API, and the many servers that speak it with an accent.

mod assembly;
mod content;
mod details;
mod request;
mod usage;

pub(crate) use assembly::{calls, parts};

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use crate::history::{History, MARK};
use crate::stream;
use crate::transport::Endpoint;
use crate::vendors::Telling;
use crate::{Caches, Conversation, Error, Facts, Live, Model, ModelName, Reply, Served};

/// Opens the model for one session.
pub(crate) fn open(served: &Served) -> Result<Box<dyn Model>, Error> {
    Ok(Box::new(ChatCompletions::new(served)?))
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

struct ChatCompletions {
    served: Served,
    endpoint: Endpoint,
    name: ModelName,
    facts: Facts,
    telling: Telling,
    history: Mutex<History>,
}

#[async_trait]
impl Model for ChatCompletions {
    async fn reply(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error> {
        let body = self.encode(conversation, output_tokens_max)?;
        let answer = self.endpoint.post(body).await?;
        read(&self.served, conversation.replies(), answer, live).await
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl ChatCompletions {
    fn new(served: &Served) -> Result<Self, Error> {
        let endpoint = Endpoint::new(served, "/chat/completions")?;
        let (name, facts, telling) = (served.name(), served.facts(), served.telling());
        Ok(Self { served: served.clone(), endpoint, name, facts, telling, history: Mutex::default() })
    }

    fn encode(&self, conversation: &Conversation, output_tokens_max: Option<u32>) -> Result<Vec<u8>, Error> {
        // What a panic leaves behind is a prefix of the history, as at any other time.
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.served.origin();
        let Self { served, telling, .. } = self;
        let caches = self.facts.caches;
        history.update(conversation, |placed| request::message(placed, caches, &own, served, telling))?;
        let head = request::head(&self.served, self.facts.caches, conversation);
        let mark = if self.facts.caches == Caches::Marks { MARK } else { "" };
        Ok(history.body(&head, mark, &request::tail(&self.served, output_tokens_max)))
    }
}

#[cfg(test)]
mod tests;
