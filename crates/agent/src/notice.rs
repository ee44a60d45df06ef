//! What is known of a model, and what happens while it is asked, in the words of the log.

use events::{
    CountedBy, Event, KnownModel, KnownPrice, KnownRates, ModelRetried, ModelSwitched, Named, ReplyLost,
    Usage,
};
use model::{LostUsage, Model, ModelName, Notice, Rates};

/// `notice` as an event. What a lost reply has used, and who says so, comes from `used` and goes through `count`, which
/// gives the session's totals with it.
pub(crate) fn event(
    notice: Notice,
    used: impl FnOnce(LostUsage) -> (model::Usage, CountedBy),
    count: impl FnOnce(&Usage) -> Usage,
) -> Event {
    match notice {
        Notice::Wait(wait) => Event::ModelRetried(ModelRetried {
            provider: Some(wait.provider),
            reason: wait.reason,
            wait_ms: wait.wait_ms,
            retry: wait.retry,
        }),
        Notice::Switched(switched) => Event::ModelSwitched(ModelSwitched {
            from: named(switched.from),
            to: named(switched.to),
            reason: switched.reason,
        }),
        Notice::Lost(lost) => {
            let (used, by) = used(lost.usage);
            let used = usage(&used);
            Event::ReplyLost(ReplyLost { from: named(lost.from), by, usage: used, totals: count(&used) })
        }
    }
}

/// What a reply used.
pub(crate) fn usage(usage: &model::Usage) -> Usage {
    Usage {
        input_tokens: usage.input,
        output_tokens: usage.output,
        cache_read_tokens: usage.cache_read,
        cache_write_tokens: usage.cache_write,
        usd: usage.usd,
    }
}

fn named(name: ModelName) -> Named {
    Named { provider: name.provider, model: name.model }
}

/// What is known of `model`.
pub(crate) fn known(model: &dyn Model) -> KnownModel {
    let ModelName { provider, model: name } = model.name().clone();
    let facts = model.facts();
    let rates = |rates: &Rates| KnownRates {
        input: rates.input,
        cache_write: rates.cache_write,
        cache_read: rates.cache_read,
        output: rates.output,
    };
    let price = facts.price.as_ref().map(|price| KnownPrice {
        as_of: price.as_of.clone(),
        usual: rates(&price.usual),
        long: price.long.as_ref().map(|(above, long)| (*above, rates(long))),
    });
    let (context_tokens, output_tokens_max) = (facts.context_tokens, facts.output_tokens_max);
    KnownModel { provider, model: name, context_tokens, output_tokens_max, price }
}
