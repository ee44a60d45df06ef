//! What the models did in a recorded session, to be played.

use std::time::Duration;

use events::{CountedBy, Entry, Event, Failure, KnownModel, KnownRates, ModelReplied, Named, Outcome};
use model::{
    Answered, AtEnd, Facts, Kept, Lost, LostUsage, ModelName, Notice, Origin, Pace, Played, PlayedConfig,
    Price, Rates, Reply, Switched, Wait, Wire,
};

use super::ReplayError;
use super::lapse::Lapse;
use super::reach::Until;

/// What the models did in `entries`, which reach `until`.
///
/// # Errors
/// [`ReplayError::Reply`] when a reply is not in the form of its wire.
pub(super) fn tape(entries: &[Entry], until: &Until, pace: Pace) -> Result<PlayedConfig, ReplayError> {
    let mut played = Vec::new();
    let mut results = Some(Vec::new());
    let (mut known, mut cancelled, mut lapse) = (Vec::new(), false, Lapse::default());
    for entry in entries {
        if let Event::ModelRetried(retried) = &entry.event {
            let provider = retried.provider.clone().unwrap_or_default();
            let reason = retried.reason.clone();
            let wait = Wait { provider, reason, wait_ms: retried.wait_ms, retry: retried.retry };
            played.push(Played::Notice(Notice::Wait(wait)));
        } else if let Event::ModelSwitched(switched) = &entry.event {
            let (from, to) = (name(&switched.from), name(&switched.to));
            let reason = switched.reason.clone();
            played.push(Played::Notice(Notice::Switched(Switched { from, to, reason })));
        } else if let Event::ReplyLost(lost) = &entry.event {
            let (from, used) = (name(&lost.from), usage(&lost.usage));
            let usage = match lost.by {
                CountedBy::Provider => LostUsage::Counted { used, heard: 0 },
                CountedBy::Estimate => LostUsage::Estimated(used),
            };
            let lost = Lost { from, usage };
            // What comes after the wish to end was on its way then.
            played.push(match cancelled {
                true => Played::Interrupted(lost),
                false => Played::Notice(Notice::Lost(lost)),
            });
        } else if let Event::ModelReplied(replied) = &entry.event {
            let reply = reply(replied).map_err(|source| ReplayError::Reply { seq: entry.seq, source })?;
            let took = Duration::from_millis(replied.duration_ms);
            let answered = Answered { reply, took, results: results.replace(Vec::new()) };
            played.push(Played::Answered(Box::new(answered)));
        } else if let (Event::ToolFinished(tool), Some(ids)) = (&entry.event, &mut results) {
            ids.push(tool.call_id.clone());
        } else if let Event::ContextCompacted(compacted) = &entry.event {
            played.extend(compacted.why.clone().map(Played::Compacted));
            results = None;
        } else if let Event::AgentBriefed(briefed) = &entry.event {
            known.extend(briefed.known.iter().map(facts));
        } else if let Event::CancelRequested(_) = &entry.event {
            cancelled = true;
        } else if let Event::SessionEnded(ended) = &entry.event
            && let Outcome::Failed(Failure { reason, .. }) = &ended.outcome
            && model::Error::recalled(reason).is_some()
        {
            played.push(Played::Failed(reason.clone()));
        }
        played.extend(lapse.after(entry).then_some(Played::CacheRanOut));
    }
    let cut = cancelled || *until != Until::End;
    let at_end = if cut { AtEnd::Waits } else { AtEnd::Fails };
    Ok(PlayedConfig { played, known, pace, at_end })
}

/// A reply, as its model gave it.
pub(super) fn reply(replied: &ModelReplied) -> Result<Reply, model::Error> {
    let ModelReplied { provider, model, raw, stop, .. } = replied;
    let wire = replied.wire.as_deref().and_then(Wire::recalled).unwrap_or(match provider.as_str() {
        // As the first releases named them, which did not tell the wire.
        "anthropic" => Wire::Anthropic,
        "scripted" => Wire::Scripted,
        _ => Wire::ChatCompletions,
    });
    let asked = replied.asked.clone().unwrap_or_else(|| model.clone());
    Reply::recalled(Kept {
        origin: Origin { wire, provider: provider.clone(), model: asked },
        raw: raw.clone(),
        stop: stop.clone(),
        usage: usage(&replied.usage),
        model: model.clone(),
    })
}

fn name(named: &Named) -> ModelName {
    ModelName { provider: named.provider.clone(), model: named.model.clone() }
}

fn usage(usage: &events::Usage) -> model::Usage {
    model::Usage {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cache_read: usage.cache_read_tokens,
        cache_write: usage.cache_write_tokens,
        usd: usage.usd,
    }
}

/// What was known of a model.
fn facts(known: &KnownModel) -> (ModelName, Facts) {
    let rates = |rates: &KnownRates| Rates {
        input: rates.input,
        cache_write: rates.cache_write,
        cache_read: rates.cache_read,
        output: rates.output,
    };
    let price = known.price.as_ref().map(|price| Price {
        as_of: price.as_of.clone(),
        source: "the recording".to_owned(),
        usual: rates(&price.usual),
        long: price.long.as_ref().map(|(above, long)| (*above, rates(long))),
    });
    let facts = Facts {
        context_tokens: known.context_tokens,
        output_tokens_max: known.output_tokens_max,
        price,
        ..Facts::UNKNOWN
    };
    (ModelName { provider: known.provider.clone(), model: known.model.clone() }, facts)
}
