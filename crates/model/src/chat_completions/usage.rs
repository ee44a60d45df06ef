//! How many tokens a reply has used, as servers of Chat Completions count them.

use serde::Deserialize;

use crate::{Usage, count};

/// What a server says that a reply has used.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default, deserialize_with = "count::tokens")]
    pub(super) prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    pub(super) completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    total_tokens: Option<u64>,
    /// US dollars; OpenRouter tells them.
    #[serde(default, deserialize_with = "count::told")]
    cost: Option<f64>,
    #[serde(default, deserialize_with = "count::told")]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count::tokens")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    cache_write_tokens: Option<u64>,
}

impl WireUsage {
    /// The wire counts cached tokens twice: as such, and in the sum. Gemini counts thoughts in the total alone.
    pub(super) fn split(self) -> Usage {
        let details = self.prompt_tokens_details.unwrap_or_default();
        let cache_read = details.cached_tokens.unwrap_or(0);
        let cache_write = details.cache_write_tokens.unwrap_or(0);
        let prompt = self.prompt_tokens.unwrap_or(0);
        let input = prompt.saturating_sub(cache_read).saturating_sub(cache_write);
        let rest = self.total_tokens.unwrap_or(0).saturating_sub(prompt);
        let output = self.completion_tokens.unwrap_or(0).max(rest);
        let usd = self.cost.filter(|usd| usd.is_finite() && *usd >= 0.0);
        Usage { input, output, cache_read, cache_write, usd }
    }
}
