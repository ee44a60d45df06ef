//! The written form of the table of vendors: every field may be left out, and nothing but these fields may stand there.

use std::str::FromStr;

use indexmap::IndexMap;
use serde::Deserialize;

use super::address::Template;
use super::words::{AtLeastOne, Day, FieldName, Fields, Idle, Link, ModelPattern, Usd, Variable, VendorName};
use crate::{Caches, Thinking};

/// A file: vendors by name, in the order in which they are asked.
pub(super) type Rows = IndexMap<VendorName, toml::Spanned<Row>>;

/// A vendor, as far as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Row {
    pub(super) wire: Option<Protocol>,
    pub(super) wire_variable: Option<Variable>,
    pub(super) base_url: Option<Template>,
    pub(super) port: Option<u16>,
    pub(super) elsewhere: Option<VendorName>,
    pub(super) key_variable: Option<Variable>,
    pub(super) keyless: Option<bool>,
    pub(super) key_header: Option<KeyHeader>,
    pub(super) model_variable: Option<Variable>,
    pub(super) model: Option<String>,
    pub(super) only_listed: Option<bool>,
    pub(super) output_limit: Option<OutputLimit>,
    pub(super) usage_on_request: Option<bool>,
    pub(super) cache_key: Option<bool>,
    pub(super) takes_back: Option<Vec<FieldName>>,
    pub(super) idle_seconds: Option<Idle>,
    pub(super) prices: Option<Told>,
    pub(super) models: IndexMap<ModelPattern, ModelRow>,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Responses API.
    Responses,
    /// OpenAI's Chat Completions API.
    #[serde(alias = "chat")]
    ChatCompletions,
}

impl Protocol {
    /// The word for it in settings and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::ChatCompletions => "chat_completions",
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "anthropic" => Ok(Self::Anthropic),
            "responses" => Ok(Self::Responses),
            "chat_completions" | "chat" => Ok(Self::ChatCompletions),
            _ => Err(format!("`{word}` is no wire; there are: anthropic, responses, chat_completions")),
        }
    }
}

/// Where a key stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    XApiKey,
    /// `api-key: KEY`.
    ApiKey,
}

/// The word of Chat Completions for the longest reply: OpenAI's newer models refuse the old one, and most other servers
/// do not know the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutputLimit {
    /// The old one.
    MaxTokens,
    /// The new one.
    MaxCompletionTokens,
}

impl OutputLimit {
    /// The name of the field.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// In which order a server of Chat Completions takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Turns {
    /// In any, as long as results follow their calls.
    Free,
    /// What a user says comes first, or follows a reply: never the results of calls.
    Alternating,
}

/// Who states prices, and when.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    pub(super) as_of: Day,
    pub(super) source: Link,
}

/// A model or a family of models, as far as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ModelRow {
    pub(super) context: Option<AtLeastOne>,
    pub(super) output: Option<AtLeastOne>,
    pub(super) thinking: Option<Thinking>,
    pub(super) caches: Option<Caches>,
    pub(super) turns: Option<Turns>,
    pub(super) rewritten_reply: Option<Fields>,
    pub(super) rewritten_call: Option<Fields>,
    pub(super) price: Option<PriceRow>,
    pub(super) long: Option<LongRow>,
}

/// A price.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceRow {
    pub(super) input: Usd,
    pub(super) cache_write: Option<Usd>,
    pub(super) cache_read: Option<Usd>,
    pub(super) output: Usd,
    pub(super) as_of: Option<Day>,
    pub(super) source: Option<Link>,
}

/// The price of requests with long prompts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongRow {
    pub(super) above: u64,
    pub(super) input: Usd,
    pub(super) cache_write: Option<Usd>,
    pub(super) cache_read: Option<Usd>,
    pub(super) output: Usd,
}

impl Row {
    /// This row over `base`: what it says holds, what it leaves out is the base's.
    pub(super) fn over(self, base: Self) -> Self {
        let mut models = base.models;
        for (name, row) in self.models {
            let below = models.shift_remove(&name).unwrap_or_default();
            models.insert(name, row.over(below));
        }
        Self {
            wire: self.wire.or(base.wire),
            wire_variable: self.wire_variable.or(base.wire_variable),
            base_url: self.base_url.or(base.base_url),
            port: self.port.or(base.port),
            elsewhere: self.elsewhere.or(base.elsewhere),
            key_variable: self.key_variable.or(base.key_variable),
            keyless: self.keyless.or(base.keyless),
            key_header: self.key_header.or(base.key_header),
            model_variable: self.model_variable.or(base.model_variable),
            model: self.model.or(base.model),
            only_listed: self.only_listed.or(base.only_listed),
            output_limit: self.output_limit.or(base.output_limit),
            usage_on_request: self.usage_on_request.or(base.usage_on_request),
            cache_key: self.cache_key.or(base.cache_key),
            takes_back: self.takes_back.or(base.takes_back),
            idle_seconds: self.idle_seconds.or(base.idle_seconds),
            prices: self.prices.or(base.prices),
            models,
        }
    }
}

impl ModelRow {
    /// This row over `base`. Who gives a new price gives all of it: a base's surcharge on long prompts goes with its price.
    pub(super) fn over(self, base: Self) -> Self {
        let long = if self.price.is_some() { self.long } else { self.long.or(base.long) };
        Self {
            context: self.context.or(base.context),
            output: self.output.or(base.output),
            thinking: self.thinking.or(base.thinking),
            caches: self.caches.or(base.caches),
            turns: self.turns.or(base.turns),
            rewritten_reply: self.rewritten_reply.or(base.rewritten_reply),
            rewritten_call: self.rewritten_call.or(base.rewritten_call),
            price: self.price.or(base.price),
            long,
        }
    }
}
