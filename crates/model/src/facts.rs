//! What is known of a model: its limits, how it thinks, what its provider caches, what it costs.

use crate::Usage;

/// What is assumed of a model that nobody knows: the least context of any model on offer for this work.
const CONTEXT_TOKENS_UNKNOWN: u32 = 128_000;
/// And its longest reply: enough for a large file, and below what any current model allows.
const OUTPUT_TOKENS_UNKNOWN: u32 = 32_000;

/// What is known of a model. A limit that nobody knows is a cautious guess; a price that nobody knows is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The most tokens that a request and its reply have together.
    pub context_tokens: u32,
    /// The longest reply in tokens, thinking included.
    pub output_tokens_max: u32,
    /// How the model is asked to think.
    pub thinking: Thinking,
    /// Which parts of a request the provider keeps for the next one.
    pub caches: Caches,
    /// What it costs.
    pub price: Option<Price>,
}

/// How a model is asked to think. Models refuse settings that they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// The request says nothing of it.
    Unsaid,
    /// Anthropic: the model decides; a summary of its thoughts is shown.
    Adaptive,
    /// Anthropic: at most so many tokens for each reply.
    Budget(u32),
    /// OpenAI: the thoughts come encrypted, to be sent back.
    Encrypted,
    /// OpenAI: the same, and a summary is shown.
    Summarized,
}

/// How a provider keeps the beginning of a request for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caches {
    /// Not that anybody knows.
    No,
    /// By itself, whatever is the same bytes again.
    Automatic,
    /// Up to the end of each request that asks for it, and up to what it marks besides.
    OnRequest,
    /// Up to the places that a request marks.
    Marks,
}

/// What a model costs, and who says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// The day for which it was looked up, as in 2026-11-18.
    pub as_of: String,
    /// The page that states it.
    pub source: String,
    /// The usual price.
    pub usual: Rates,
    /// The price of a whole request whose prompt, cached tokens counted, has more tokens than this.
    pub long: Option<(u64, Rates)>,
}

/// US dollars for a million tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Input that is neither read from nor written to a cache.
    pub input: f64,
    /// Input that is written to the provider's cache.
    pub cache_write: f64,
    /// Input that is read from it.
    pub cache_read: f64,
    /// Output, thinking included.
    pub output: f64,
}

impl Facts {
    /// What costs nothing but what its replies say themselves, because of `source`.
    pub(crate) fn free(source: &str) -> Self {
        let free = Rates { input: 0.0, cache_write: 0.0, cache_read: 0.0, output: 0.0 };
        let price = Price { as_of: String::new(), source: source.to_owned(), usual: free, long: None };
        Self { price: Some(price), ..Self::UNKNOWN }
    }

    /// What is assumed of a model that nobody knows.
    pub const UNKNOWN: Self = Self {
        context_tokens: CONTEXT_TOKENS_UNKNOWN,
        output_tokens_max: OUTPUT_TOKENS_UNKNOWN,
        thinking: Thinking::Unsaid,
        caches: Caches::No,
        price: None,
    };
}

impl Price {
    /// What `usage` costs in US dollars.
    pub fn usd(&self, usage: &Usage) -> f64 {
        self.rates(usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_write)).usd(usage)
    }

    /// What a reply of `output` tokens to a prompt of `prompt` tokens costs in US dollars, beside that prompt.
    pub fn usd_of_output(&self, prompt: u64, output: u64) -> f64 {
        self.rates(prompt).usd(&Usage { output, ..Usage::default() })
    }

    /// The rates of a request whose prompt has so many tokens, cached ones counted.
    pub fn rates(&self, prompt: u64) -> &Rates {
        match &self.long {
            Some((above, rates)) if prompt > *above => rates,
            Some(_) | None => &self.usual,
        }
    }
}

impl Rates {
    fn usd(&self, usage: &Usage) -> f64 {
        let parts = [
            (usage.input, self.input),
            (usage.cache_write, self.cache_write),
            (usage.cache_read, self.cache_read),
            (usage.output, self.output),
        ];
        parts.iter().map(|(tokens, usd)| *tokens as f64 * usd).sum::<f64>() / 1e6
    }
}
