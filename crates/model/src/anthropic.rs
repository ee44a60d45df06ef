//! Anthropic's Messages API: thinking kept verbatim, at most four cache marks, replies as a stream.

mod assembly;
mod request;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use reqwest::header::HeaderName;
use secrecy::SecretString;

pub(crate) use assembly::{Blocks, stop_of};

use crate::history::History;
use crate::price::is_model;
use crate::stream;
use crate::transport::Endpoint;
use crate::{Conversation, Error, Live, Message, Model, ModelName, Origin, Reply, Wire};

/// What is asked for when the user says nothing: enough for a large file, and below what any current model allows.
const OUTPUT_TOKENS_DEFAULT: u32 = 32_000;
/// What models that want a budget may think, in tokens.
const THINKING_TOKENS: u32 = 10_000;
/// The least that the API takes as a budget for thinking, in tokens.
const THINKING_TOKENS_MIN: u32 = 1024;

/// Anthropic's Messages API, or a server that speaks it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Without `/v1`: `https://api.anthropic.com`.
    pub base_url: String,
    /// Sent as `x-api-key`; an empty one is not sent.
    pub api_key: SecretString,
    /// The model as Anthropic names it.
    pub model: String,
    /// The longest reply in tokens, thinking included; nothing for what suits the model.
    pub output_tokens_max: Option<u32>,
    /// How the model is asked to think.
    pub thinking: Thinking,
}

impl Config {
    /// Where Anthropic itself is reached.
    pub const BASE_URL: &'static str = "https://api.anthropic.com";

    /// Anthropic itself, with what suits `model`.
    pub fn new(api_key: SecretString, model: impl Into<String>) -> Self {
        Self {
            base_url: Self::BASE_URL.to_owned(),
            api_key,
            model: model.into(),
            output_tokens_max: None,
            thinking: Thinking::Auto,
        }
    }
}

/// How a model is asked to think. Models refuse settings that they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// As suits the model.
    Auto,
    /// The model decides; a summary of its thoughts is shown.
    Adaptive,
    /// At most so many tokens for each reply.
    Budget(u32),
    /// No thinking.
    Disabled,
    /// The request says nothing of it.
    Unsaid,
}

/// What is known of a family of models.
struct Facts {
    family: &'static str,
    output_tokens_max: u32,
    thinking: Thinking,
}

const fn facts(family: &'static str, output_tokens_max: u32, thinking: Thinking) -> Facts {
    Facts { family, output_tokens_max, thinking }
}

/// Models that do not think adaptively. Source: platform.claude.com/docs/en/models/overview, as of 2026-10-10.
const FACTS: &[Facts] = &[
    facts("claude-opus-4-5", 64_000, Thinking::Budget(THINKING_TOKENS)),
    facts("claude-sonnet-4-5", 64_000, Thinking::Budget(THINKING_TOKENS)),
    facts("claude-haiku-4-5", 64_000, Thinking::Budget(THINKING_TOKENS)),
    facts("claude-opus-4-1", 32_000, Thinking::Budget(THINKING_TOKENS)),
    facts("claude-opus-4", 32_000, Thinking::Budget(THINKING_TOKENS)),
    facts("claude-sonnet-4", 64_000, Thinking::Budget(THINKING_TOKENS)),
    facts("claude-3-7-sonnet", 64_000, Thinking::Budget(THINKING_TOKENS)),
    facts("claude-3-5-sonnet", 8192, Thinking::Unsaid),
    facts("claude-3-5-haiku", 8192, Thinking::Unsaid),
    facts("claude-3-opus", 4096, Thinking::Unsaid),
    facts("claude-3-haiku", 4096, Thinking::Unsaid),
];

/// Every Claude since 4.6.
const ADAPTIVE: Facts = facts("claude", 128_000, Thinking::Adaptive);
/// Other vendors' models behind this wire.
const FOREIGN: Facts = facts("", OUTPUT_TOKENS_DEFAULT, Thinking::Unsaid);

/// Opens the model for one session.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Model>, Error> {
    let provider = "anthropic";
    if config.model.is_empty() {
        return Err(Error::Config(format!("{provider} needs the name of a model")));
    }
    let place = (config.base_url.as_str(), "/v1/messages");
    let auth = (HeaderName::from_static("x-api-key"), "");
    let endpoint = Endpoint::new(provider, place, auth, &config.api_key)?
        .with_header("anthropic-version", "2023-06-01")
        .with_header("accept", "text/event-stream");
    let name = ModelName { provider: provider.to_owned(), model: config.model.clone() };
    let settings = settings(config);
    Ok(Box::new(Anthropic { endpoint, name, settings, history: Mutex::default() }))
}

struct Anthropic {
    endpoint: Endpoint,
    name: ModelName,
    settings: Settings,
    history: Mutex<History>,
}

/// What the head of every request of a session says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settings {
    output_tokens: u32,
    thinking: Thinking,
}

#[async_trait]
impl Model for Anthropic {
    async fn reply(&self, conversation: &Conversation, live: &dyn Live) -> Result<Reply, Error> {
        let body = self.encode(conversation)?;
        let answer = self.endpoint.post(body).await?;
        let mut assembly = assembly::Assembling::new(&self.name, self.endpoint.key(), live);
        stream::read(&self.name.provider, answer, &mut assembly).await?;
        assembly.finish()
    }

    fn name(&self) -> &ModelName {
        &self.name
    }
}

impl Anthropic {
    fn encode(&self, conversation: &Conversation) -> Result<Vec<u8>, Error> {
        // What a panic leaves behind is a prefix of the history, as at any other time.
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let own = origin(&self.name);
        history.update(conversation, |placed| request::message(placed, &own))?;
        let settings = self.settings.fitting(conversation, &own);
        let head = request::head(&self.name.model, settings, conversation);
        Ok(history.body(&head, request::MARK, "]}"))
    }
}

/// Who writes the replies of the model of this name.
fn origin(name: &ModelName) -> Origin {
    Origin { wire: Wire::Anthropic, provider: name.provider.clone(), model: name.model.clone() }
}

impl Settings {
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
            Thinking::Auto
            | Thinking::Adaptive
            | Thinking::Budget(_)
            | Thinking::Disabled
            | Thinking::Unsaid => self,
        }
    }
}

/// What suits the model, where the user has not said otherwise.
fn settings(config: &Config) -> Settings {
    let known = FACTS.iter().find(|facts| is_model(&config.model, facts.family));
    let other = if config.model.starts_with("claude-") { &ADAPTIVE } else { &FOREIGN };
    let facts = known.unwrap_or(other);
    let output_tokens =
        config.output_tokens_max.unwrap_or(OUTPUT_TOKENS_DEFAULT.min(facts.output_tokens_max)).max(1);
    let thinking = match (config.thinking, facts.thinking) {
        // The budget comes out of the reply, and must leave room for it.
        (Thinking::Auto, Thinking::Budget(tokens)) => match tokens.min(output_tokens / 2) {
            0..THINKING_TOKENS_MIN => Thinking::Unsaid,
            tokens => Thinking::Budget(tokens),
        },
        (Thinking::Auto, thinking) => thinking,
        (said, _) => said,
    };
    Settings { output_tokens, thinking }
}

#[cfg(test)]
mod tests;
