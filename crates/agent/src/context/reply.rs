//! How long a reply may be, so that no budget is passed by it, and none is asked for that the model cannot hold.

use model::{Cache, Model, Price};

use super::Context;
use crate::limits::Left;

/// Beside a request to a model that has refused one, a reply may take one part in so many of what is left: our count of the
/// request may be too low.
const HELD_SHARE: u64 = 2;
/// With less room than this for a reply, in tokens, none is asked for: a thought and the call of a tool take as much.
pub(super) const TOKENS_MIN: u64 = 256;
/// So long a reply may be, in tokens, as long as a cache makes it affordable that is believed to have the conversation: a
/// thought and a file of some hundred lines. Where a budget pays for a longer one only if that is true, none is asked for.
const TOKENS_USUAL: u64 = 8192;

impl Context {
    /// The longest reply in tokens that `model`, whose provider's cache is like this, may be asked for when budgets leave
    /// `left`; nothing when they hold whatever it can write. One that has refused a request is told a limit that it has room
    /// for: some servers want to hold the longest reply beside the request.
    pub(crate) fn output_tokens_max(&self, model: &dyn Model, cache: Cache, left: &Left) -> Option<u32> {
        let (facts, input) = (model.facts(), self.tokens());
        let by_tokens = left.tokens.map(|tokens| tokens.saturating_sub(input));
        let by_usd = left.usd.zip(facts.price.as_ref()).map(|(usd, price)| self.payable(price, cache, usd));
        let possible = u64::from(facts.context_tokens).saturating_sub(input);
        let affordable = [by_tokens, by_usd].into_iter().flatten().min().filter(|most| *most < possible);
        let held = self.ceiling_of(model).map(|tokens| tokens.saturating_sub(input) / HELD_SHARE);
        let most = [affordable, held].into_iter().flatten().min()?;
        let asked = most.max(TOKENS_MIN).min(facts.output_tokens_max.into());
        Some(u32::try_from(asked).unwrap_or(u32::MAX))
    }

    /// How many tokens of a reply `usd` pay for beside its input. A cache can lack what it is believed to have, so that a long
    /// reply has to be paid for in that case, too; a usual one need not: to keep back as much would leave budgets unspent.
    fn payable(&self, price: &Price, cache: Cache, usd: f64) -> u64 {
        let rates = price.rates(self.tokens());
        let beside = |cache| ((usd - self.input_usd(price, cache)).max(0.0) * 1e6 / rates.output) as u64;
        beside(Cache::Cold).max(beside(cache).min(TOKENS_USUAL))
    }
}
