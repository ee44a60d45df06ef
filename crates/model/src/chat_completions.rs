//! OpenAI's Chat Completions API, and the many servers that speak it with an accent.

mod assembly;
mod request;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use reqwest::header::AUTHORIZATION;
use secrecy::SecretString;

use crate::history::History;
use crate::stream;
use crate::transport::Endpoint;
use crate::{Conversation, Error, Live, Model, ModelName, Origin, Reply, Wire};

/// OpenAI's Chat Completions API, or a server that speaks it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose server it is, for events and errors: `openai`.
    pub provider: String,
    /// With `/v1`: `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent as a bearer token; an empty one is not sent, local servers need none.
    pub api_key: SecretString,
    /// The model as the server names it.
    pub model: String,
    /// The longest reply in tokens; nothing leaves it to the server.
    pub output_tokens_max: Option<u32>,
}

impl Config {
    /// Where OpenAI itself is reached.
    pub const BASE_URL: &'static str = "https://api.openai.com/v1";

    /// OpenAI itself, with its own settings for `model`.
    pub fn new(api_key: SecretString, model: impl Into<String>) -> Self {
        Self {
            provider: "openai".to_owned(),
            base_url: Self::BASE_URL.to_owned(),
            api_key,
            model: model.into(),
            output_tokens_max: None,
        }
    }
}

/// Opens the model for one session.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Model>, Error> {
    if config.model.is_empty() {
        return Err(Error::Config(format!("{} needs the name of a model", config.provider)));
    }
    let place = (config.base_url.as_str(), "/chat/completions");
    let endpoint = Endpoint::new(&config.provider, place, (AUTHORIZATION, "Bearer "), &config.api_key)?
        .with_header("accept", "text/event-stream");
    let name = ModelName { provider: config.provider.clone(), model: config.model.clone() };
    let output_tokens_max = config.output_tokens_max.map(|tokens| (limit_name(endpoint.host()), tokens));
    Ok(Box::new(ChatCompletions { endpoint, name, output_tokens_max, history: Mutex::default() }))
}

struct ChatCompletions {
    endpoint: Endpoint,
    name: ModelName,
    /// The limit on a reply, and the server's word for it.
    output_tokens_max: Option<(&'static str, u32)>,
    history: Mutex<History>,
}

#[async_trait]
impl Model for ChatCompletions {
    async fn reply(&self, conversation: &Conversation, live: &dyn Live) -> Result<Reply, Error> {
        let body = self.encode(conversation)?;
        let answer = self.endpoint.post(body).await?;
        let key = self.endpoint.key();
        let mut assembly = assembly::Assembling::new(&self.name, key, live, conversation.replies());
        stream::read(&self.name.provider, answer, &mut assembly).await?;
        assembly.finish()
    }

    fn name(&self) -> &ModelName {
        &self.name
    }
}

impl ChatCompletions {
    fn encode(&self, conversation: &Conversation) -> Result<Vec<u8>, Error> {
        // What a panic leaves behind is a prefix of the history, as at any other time.
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let own = origin(&self.name);
        history.update(conversation, |placed| request::message(placed, &own))?;
        let head = request::head(&self.name.model, self.output_tokens_max, conversation);
        Ok(history.body(&head, "", "]}"))
    }
}

/// Who writes the replies of the model of this name.
fn origin(name: &ModelName) -> Origin {
    Origin { wire: Wire::ChatCompletions, provider: name.provider.clone(), model: name.model.clone() }
}

/// OpenAI's newer models refuse the old name of the limit, and most other servers do not know the new one.
fn limit_name(host: &str) -> &'static str {
    let new = host == "api.openai.com" || host.ends_with(".openai.azure.com");
    if new { "max_completion_tokens" } else { "max_tokens" }
}

#[cfg(test)]
mod tests;
