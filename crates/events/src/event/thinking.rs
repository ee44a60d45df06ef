//! What the model is told, what it answers, and what that uses.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Bounds, Limit, Whose};

/// See [`crate::Event::AgentBriefed`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentBriefed {
    /// The system prompt.
    pub system: String,
    /// The first message to the model.
    pub task: String,
    /// The tools' names.
    pub tools: Vec<String>,
    /// What the agent may use up, and who says so.
    #[serde(default, skip_serializing_if = "Bounds::is_empty")]
    pub bounds: Bounds,
    /// What is known of the models that may be asked, the preferred one first: when a conversation is too long, and what
    /// the next call costs, is decided by it. Unsaid in the logs of the first releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<KnownModel>,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownModel {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The most tokens that a request and its reply have together.
    pub context_tokens: u32,
    /// The longest reply in tokens, thinking included.
    pub output_tokens_max: u32,
    /// What it costs, where that is known.
    pub price: Option<KnownPrice>,
}

/// What a model costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownPrice {
    /// The day for which it was looked up.
    pub as_of: String,
    /// The usual price.
    pub usual: KnownRates,
    /// The price of a request that has more tokens than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<(u64, KnownRates)>,
}

/// US dollars for a million tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KnownRates {
    /// Input that is neither read from nor written to a cache.
    pub input: f64,
    /// Input that is written to the provider's cache.
    pub cache_write: f64,
    /// Input that is read from it.
    pub cache_read: f64,
    /// Output, thinking included.
    pub output: f64,
}

/// See [`crate::Event::ModelReplied`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelReplied {
    /// The provider that answered.
    pub provider: String,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// The wire whose form `raw` has; unsaid in the logs of the first releases.
    pub wire: Option<String>,
    /// The model that was asked for, which only answers under a dated name at times; unsaid as `wire` is. Provider, wire
    /// and this are who can take `raw` back.
    pub asked: Option<String>,
    /// The wire's own form of the assistant message, byte for byte.
    pub raw: Box<RawValue>,
    /// Why the model stopped, in the wire's own word.
    pub stop: String,
    /// What it was asked for.
    #[serde(default, skip_serializing_if = "Purpose::is_turn")]
    pub purpose: Purpose,
    /// What the reply used.
    pub usage: Usage,
    /// The session's totals with this reply.
    pub totals: Usage,
    /// How long the model took.
    pub duration_ms: u64,
}

/// What a reply was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The next turn of the agent.
    #[default]
    Turn,
    /// A summary of the conversation, to begin it again with: no turn, and part of no conversation.
    Summary,
}

impl Purpose {
    /// Whether it is the usual one.
    pub fn is_turn(&self) -> bool {
        *self == Self::Turn
    }
}

/// What a reply, or a session, used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// US dollars; nothing when the price is not known.
    pub usd: Option<f64>,
}

impl Usage {
    /// All tokens.
    pub fn tokens(&self) -> u64 {
        [self.output_tokens, self.cache_read_tokens, self.cache_write_tokens]
            .into_iter()
            .fold(self.input_tokens, u64::saturating_add)
    }

    /// The sum; its price is known when both are. The counts are the provider's: absurd ones must end no session.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_add(other.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
            usd: self.usd.zip(other.usd).map(|(a, b)| a + b),
        }
    }

    /// Nothing used, at a known price of nothing: where a sum begins.
    pub fn zero() -> Self {
        Self { usd: Some(0.0), ..Self::default() }
    }
}

/// See [`crate::Event::ModelRetried`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelRetried {
    /// Who will be asked; unsaid in the logs of the first releases.
    pub provider: Option<String>,
    /// What went wrong.
    pub reason: String,
    /// How long we wait before asking again.
    pub wait_ms: u64,
    /// Which retry this is, from 1.
    pub retry: u32,
}

/// A model, as its provider names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
}

/// See [`crate::Event::ModelSwitched`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelSwitched {
    /// Who was asked so far.
    pub from: Named,
    /// Who is asked now.
    pub to: Named,
    /// Why.
    pub reason: String,
}

/// See [`crate::Event::ReplyLost`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplyLost {
    /// Who was asked.
    pub from: Named,
    /// Whose count `usage` is.
    #[serde(default, skip_serializing_if = "CountedBy::is_provider")]
    pub by: CountedBy,
    /// What it has used.
    pub usage: Usage,
    /// The session's totals with it.
    pub totals: Usage,
}

/// Who says how many tokens a reply has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedBy {
    /// Its provider.
    #[default]
    Provider,
    /// Nobody: it is estimated from the length of what was asked and heard.
    Estimate,
}

impl CountedBy {
    fn is_provider(&self) -> bool {
        *self == Self::Provider
    }
}

/// See [`crate::Event::Thought`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Thought {
    /// The text.
    pub text: String,
}

/// See [`crate::Event::Said`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    /// The text.
    pub text: String,
}

/// See [`crate::Event::AgentTold`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentTold {
    /// The text, as the model is given it.
    pub text: String,
}

/// See [`crate::Event::ContextCompacted`].
///
/// With what the log has besides, the conversation from here on is: the task of [`AgentBriefed`], a line break and
/// `summary` as its first message, then the last `turns_kept` turns of the conversation before, in which results are cut
/// to `result_bytes_max` by [`crate::head_and_tail`]. A turn is a reply and what comes before the next one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContextCompacted {
    /// About how many tokens the conversation had.
    pub before_tokens: u64,
    /// About how many it has now.
    pub after_tokens: u64,
    /// Who summed it up.
    pub how: Compacted,
    /// Why the model did not, when it did not.
    pub why: Option<String>,
    /// What the model is told of what it no longer has.
    pub summary: String,
    /// How many of its last turns are kept.
    pub turns_kept: u32,
    /// The longest result in them, in bytes; nothing when all are whole.
    pub result_bytes_max: Option<u64>,
}

/// Who sums a conversation up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compacted {
    /// The model itself.
    ByModel,
    /// A rule, from what the log has.
    ByRule,
}

impl Compacted {
    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByModel => "by_model",
            Self::ByRule => "by_rule",
        }
    }
}

/// See [`crate::Event::LimitReached`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LimitReached {
    /// Which bound.
    pub limit: Limit,
    /// Who set it; nothing for [`Limit::Stuck`], which nobody sets.
    #[serde(default)]
    pub whose: Option<Whose>,
    /// The bound with its unit, or what the agent repeated; for people.
    #[serde(default)]
    pub about: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_counts_do_not_overflow() {
        let absurd = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::zero() };
        let sum = absurd.plus(&absurd);
        assert_eq!((sum.input_tokens, sum.tokens()), (u64::MAX, u64::MAX));
    }
}
