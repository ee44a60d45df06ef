//! How long a reply may be, so that no budget is passed by it.

use model::{Facts, Usage};

use super::Context;
use crate::limits::Left;

/// With less room than this for a reply, in tokens, none is asked for: a thought and the call of a tool take as much.
pub(super) const TOKENS_MIN: u64 = 256;

impl Context {
    /// The longest reply in tokens that a model of these `facts` may be asked for when budgets leave `left`; nothing when
    /// they hold whatever it can write.
    pub(crate) fn output_tokens_max(&self, facts: &Facts, left: &Left) -> Option<u32> {
        let input = self.tokens();
        let by_tokens = left.tokens.map(|tokens| tokens.saturating_sub(input));
        let by_usd = left.usd.zip(facts.price.as_ref()).map(|(usd, price)| {
            let usage = self.input();
            // What a cache does not have yet is written to it where that is asked for, which may cost more.
            let written = Usage { input: 0, cache_write: usage.input, ..usage };
            let for_reply = usd - price.usd(&usage).max(price.usd(&written));
            (for_reply.max(0.0) * 1e6 / price.rates(input).output) as u64
        });
        let affordable = [by_tokens, by_usd].into_iter().flatten().min()?;
        let possible = u64::from(facts.context_tokens).saturating_sub(input);
        let asked = affordable.max(TOKENS_MIN).min(facts.output_tokens_max.into());
        (affordable < possible).then(|| u32::try_from(asked).unwrap_or(u32::MAX))
    }
}
