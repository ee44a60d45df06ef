//! What happens while a model is asked, in the words of the log.

use events::{Event, ModelRetried, ModelSwitched, Named, ReplyLost, Usage};
use model::{ModelName, Notice};

/// `notice` as an event. What a lost reply has used goes through `count`, which gives the session's totals with it.
pub(crate) fn event(notice: Notice, count: impl FnOnce(&Usage) -> Usage) -> Event {
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
            let used = usage(&lost.usage);
            Event::ReplyLost(ReplyLost { from: named(lost.from), usage: used, totals: count(&used) })
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
