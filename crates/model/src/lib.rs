//! Who thinks: asks a language model for its next reply. Knows nothing of sessions or of what a tool does.

mod anthropic;
mod bounds;
mod chain;
mod chat_completions;
mod conversation;
mod count;
mod error;
mod facts;
mod foreign;
mod halves;
mod history;
mod live;
mod offline;
mod origin;
mod patience;
mod played;
mod raw_object;
mod recalled;
mod refusal;
mod responses;
mod retry;
mod scripted;
mod sse;
mod stream;
mod transport;
mod vendors;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use serde_json::value::RawValue;

pub use chain::{Breakers, CACHE_KEPT, Cache, Chain, Lost, LostUsage, Notice, Switched, Wait};
pub use conversation::{Conversation, Message, ToolResult, ToolSpec};
pub use error::Error;
pub use facts::{Caches, Facts, Price, Rates, Thinking};
pub use live::{Delta, Live, Unheard};
pub use offline::{Config as OfflineConfig, PROVIDER as OFFLINE};
pub use origin::{Origin, Wire};
pub use played::{Answered, AtEnd, Config as PlayedConfig, Pace, Played};
pub use recalled::Kept;
pub use retry::Policy;
pub use scripted::Config as ScriptedConfig;
pub use sse::{Events, NoEvents};
pub use vendors::{
    Called, Models, Protocol, Served, SettingRole, Unready, Vendor, VendorSetting, Vendors, VendorsError,
};

/// Which model to ask, and how to reach it.
#[derive(Debug, Clone)]
pub enum Config {
    /// A model that a vendor serves.
    Served(Served),
    /// Replies that somebody wrote.
    Scripted(scripted::Config),
    /// What models answered in a session that is played again.
    Played(played::Config),
    /// No model: an agent with fixed rules for a few jobs.
    Offline(offline::Config),
}

impl Config {
    /// The same provider with another model; a recording has no other, and the offline agent none at all.
    #[must_use]
    pub fn with_model(self, model: &str) -> Self {
        match self {
            Self::Served(served) => Self::Served(served.with_model(model)),
            Self::Scripted(_) | Self::Played(_) | Self::Offline(_) => self,
        }
    }

    /// The same for one session, named by `key` and asked for `task`: providers that take the key keep its requests
    /// together in their cache, and the offline agent knows its task from here, as it reads no conversation.
    #[must_use]
    pub fn for_session(self, key: &str, task: &str) -> Self {
        match self {
            Self::Served(served) => Self::Served(served.with_cache_key(key)),
            config @ (Self::Scripted(_) | Self::Played(_)) => config,
            Self::Offline(_) => Self::Offline(offline::Config { task: task.to_owned() }),
        }
    }

    /// Who is asked.
    pub fn name(&self) -> ModelName {
        match self {
            Self::Served(served) => served.name(),
            Self::Scripted(config) => scripted::name(config),
            Self::Played(config) => played::first(config).0,
            Self::Offline(_) => offline::name(),
        }
    }

    /// What is known of the model.
    pub fn facts(&self) -> Facts {
        match self {
            Self::Served(served) => served.facts(),
            Self::Scripted(_) => scripted::facts(),
            Self::Played(config) => played::first(config).1,
            Self::Offline(_) => offline::facts(),
        }
    }

    /// The models that may be asked for.
    pub fn models(&self) -> Models {
        match self {
            Self::Served(served) => served.models(),
            // The same replies are played whatever they are asked as.
            Self::Scripted(_) | Self::Played(_) => Models::Any,
            Self::Offline(_) => Models::Listed(vec![offline::MODEL.to_owned()]),
        }
    }
}

/// Opens a model for one session: what it keeps is that session's.
///
/// # Errors
/// When the configuration cannot work, for instance a recording that cannot be read.
pub fn open(config: &Config) -> Result<Box<dyn Model>, Error> {
    match config {
        Config::Served(served) => {
            if served.model().is_empty() {
                return Err(Error::Config(format!("{} needs the name of a model", served.provider())));
            }
            match served.protocol() {
                Protocol::Anthropic => anthropic::open(served),
                Protocol::Responses => responses::open(served),
                Protocol::ChatCompletions => chat_completions::open(served),
            }
        }
        Config::Scripted(config) => scripted::open(config),
        Config::Played(_) => Err(Error::Config("what was recorded is played by a chain alone".to_owned())),
        Config::Offline(config) => Ok(offline::open(config)),
    }
}

/// Reads a reply from the bytes that the server of `served` streams, after `turn` other replies: what a model does with an
/// answer.
///
/// # Errors
/// As [`Model::reply`], as far as they are the answer's.
pub async fn read<S, E>(served: &Served, turn: usize, body: S, live: &dyn Live) -> Result<Reply, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error,
{
    match served.protocol() {
        Protocol::Anthropic => anthropic::read(served, body, live).await,
        Protocol::Responses => responses::read(served, turn, body, live).await,
        Protocol::ChatCompletions => chat_completions::read(served, turn, body, live).await,
    }
}

/// Makes the client that all models of this process share, ahead of the first one. It reads the machine's certificates:
/// that blocks for some milliseconds, which [`open`] takes otherwise. Servers are reached by https through `proxy` from then
/// on; a client that is there already stays as it is.
///
/// # Errors
/// When there can be no client.
pub fn prepare(proxy: Option<reqwest::Proxy>) -> Result<(), Error> {
    transport::client(proxy).map(drop)
}

/// A language model.
#[async_trait]
pub trait Model: Send + Sync {
    /// Asks once for the reply to `conversation`, which is to have at most `output_tokens_max` tokens, thinking included,
    /// or what suits the model; `live` hears of it while it arrives. Dropping the future ends the request.
    ///
    /// # Errors
    /// [`Error`] says whether asking again can help: see [`Chain::ask`], which does. What `live` heard is void then.
    async fn reply(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error>;

    /// Who is asked.
    fn name(&self) -> &ModelName;

    /// What is known of it.
    fn facts(&self) -> &Facts;
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// `anthropic`, `openai`, `scripted`.
    pub provider: String,
    /// The model as the provider names it.
    pub model: String,
}

/// What a model answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Who wrote it, and in which form `raw` is.
    pub origin: Origin,
    /// The assistant message in the wire's own form, byte for byte; its origin gets it back unchanged with the next
    /// request.
    pub raw: Box<RawValue>,
    /// The parts for people, in the order they came.
    pub parts: Vec<Part>,
    /// The tool calls, in order.
    pub calls: Vec<ToolCall>,
    /// Why it stopped.
    pub stop: Stop,
    /// What it used.
    pub usage: Usage,
    /// The model that answered, as the provider names it.
    pub model: String,
}

/// A part of a reply for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A thought that the provider lets us see.
    Thought(String),
    /// Text.
    Text(String),
}

/// A tool that the model calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's name for the call, to be repeated with the result.
    pub id: String,
    /// The tool's name as the model wrote it.
    pub name: String,
    /// The arguments as the model wrote them: JSON if it kept to the rules.
    pub arguments: String,
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It has said what it had to say.
    Finished,
    /// It waits for tool results.
    Tools,
    /// It ran into its output limit: the reply may be cut short.
    OutputLimit,
    /// The provider held the reply back.
    Refused,
    /// Anything else, in the wire's own word.
    Other(String),
}

impl Stop {
    /// A word for the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Finished => "finished",
            Self::Tools => "tools",
            Self::OutputLimit => "output_limit",
            Self::Refused => "refused",
            Self::Other(word) => word,
        }
    }
}

/// What a reply used, in tokens; each token is counted in one field.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to a cache.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write: u64,
    /// US dollars; nothing when the model's price is not known.
    pub usd: Option<f64>,
}
