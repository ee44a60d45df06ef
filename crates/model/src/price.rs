//! What replies cost: a small table of published prices; a model that is not in it has no price.

use crate::Usage;

/// US dollars for a million tokens of each kind.
struct Price {
    /// The model's name; a dated name (`NAME-20250929`, `NAME-2025-08-07`) is the same model.
    model: &'static str,
    /// Longer prompts, cached tokens counted, have the price of a later row; in tokens.
    prompt_max: u64,
    input: f64,
    cache_write: f64,
    cache_read: f64,
    output: f64,
}

/// Every prompt has the same price.
const ANY: u64 = u64::MAX;

const fn price(model: &'static str, prompt_max: u64, usd: [f64; 4]) -> Price {
    let [input, cache_write, cache_read, output] = usd;
    Price { model, prompt_max, input, cache_write, cache_read, output }
}

/// Columns: input, cache write (five minutes), cache read, output.
///
/// Anthropic: platform.claude.com/docs/en/about-claude/pricing, as of 2026-10-10.
/// OpenAI: developers.openai.com/api/docs/pricing, as of 2026-06-21; it asks nothing extra for a cache write.
const PRICES: &[Price] = &[
    price("claude-fable-5-1", ANY, [10.0, 12.5, 0.25, 50.0]),
    price("claude-fable-5", ANY, [10.0, 12.5, 1.0, 50.0]),
    price("claude-opus-5-5", ANY, [4.0, 5.0, 0.2, 20.0]),
    price("claude-opus-5", ANY, [5.0, 6.25, 0.5, 25.0]),
    price("claude-opus-4-8", ANY, [5.0, 6.25, 0.5, 25.0]),
    price("claude-opus-4-7", ANY, [5.0, 6.25, 0.5, 25.0]),
    price("claude-opus-4-6", ANY, [5.0, 6.25, 0.5, 25.0]),
    price("claude-opus-4-5", ANY, [5.0, 6.25, 0.5, 25.0]),
    price("claude-sonnet-5-5", ANY, [2.0, 2.5, 0.1, 10.0]),
    price("claude-sonnet-5", ANY, [2.0, 2.5, 0.2, 10.0]),
    price("claude-sonnet-4-6", ANY, [3.0, 3.75, 0.3, 15.0]),
    price("claude-sonnet-4-5", ANY, [3.0, 3.75, 0.3, 15.0]),
    price("claude-haiku-5-5", 100_000, [0.1, 0.125, 0.01, 0.5]),
    price("claude-haiku-5-5", ANY, [0.5, 0.625, 0.05, 2.5]),
    price("claude-haiku-4-5", ANY, [1.0, 1.25, 0.1, 5.0]),
    price("gpt-5", ANY, [1.25, 1.25, 0.125, 10.0]),
    price("gpt-5-mini", ANY, [0.25, 0.25, 0.025, 2.0]),
    price("gpt-5-nano", ANY, [0.05, 0.05, 0.005, 0.4]),
    price("gpt-5.1", ANY, [1.25, 1.25, 0.125, 10.0]),
    price("gpt-4.1", ANY, [2.0, 2.0, 0.5, 8.0]),
    price("gpt-4.1-mini", ANY, [0.4, 0.4, 0.1, 1.6]),
    price("gpt-4o", ANY, [2.5, 2.5, 1.25, 10.0]),
    price("gpt-4o-mini", ANY, [0.15, 0.15, 0.075, 0.6]),
];

/// What `usage` of `model` costs in US dollars; nothing when its price is not known.
pub(crate) fn usd(model: &str, usage: &Usage) -> Option<f64> {
    let prompt = usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_write);
    let price = PRICES.iter().find(|price| is_model(model, price.model) && prompt <= price.prompt_max)?;
    let parts = [
        (usage.input, price.input),
        (usage.cache_write, price.cache_write),
        (usage.cache_read, price.cache_read),
        (usage.output, price.output),
    ];
    Some(parts.iter().map(|(tokens, usd)| *tokens as f64 * usd).sum::<f64>() / 1e6)
}

/// Whether `name` is `model` or a dated snapshot of it.
pub(crate) fn is_model(name: &str, model: &str) -> bool {
    let Some(rest) = name.strip_prefix(model) else { return false };
    let Some(date) = rest.strip_prefix('-') else { return rest.is_empty() };
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    digits == 8 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_token_has_its_price() {
        let usage = Usage { input: 1000, output: 100, cache_read: 10_000, cache_write: 2000, usd: None };
        let usd = usd("claude-sonnet-4-5-20250929", &usage).unwrap();
        assert!((usd - 0.015).abs() < 1e-12, "{usd}");
    }

    #[test]
    fn long_prompts_can_have_another_price() {
        let short = Usage { input: 100_000, ..Usage::default() };
        let long = Usage { cache_read: 1, ..short };
        assert!(usd("claude-haiku-5-5", &short).unwrap() < 0.011);
        assert!(usd("claude-haiku-5-5", &long).unwrap() > 0.049);
    }

    #[test]
    fn another_model_has_no_price() {
        for model in ["", "gpt-5-pro", "gpt-5.5", "claude-opus-5-5-fast", "claude-opus-4", "claude-opus-4-1"]
        {
            assert_eq!(usd(model, &Usage::default()), None, "{model}");
        }
        assert!(usd("gpt-4o-2024-08-06", &Usage::default()).is_some());
    }
}
