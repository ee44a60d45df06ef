//! Asks the model for its next reply, and counts what that uses.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use events::{CountedBy, Event, ModelReplied, Purpose, Warned};
use model::{LostUsage, Model, Notice, Reply, Usage, Wire};

use crate::context::Context;
use crate::limits::Spent;
use crate::meter::Meter;
use crate::{Bench, Error, Limits, notice};

/// A reply, and what is to be written down of it before anything else is done.
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) replied: ModelReplied,
}

/// Why no more is asked, though no model has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The session was cancelled, or its time is up.
    Over,
    /// Replies that broke off have used up a budget, or another model would.
    OutOfBudget,
    /// Another model is asked from here on, and the conversation leaves it no room. It must not even be sent: some servers
    /// cut what is too long, and say nothing.
    Full,
}

/// Why asking ended without a reply.
pub(crate) enum Ended {
    Halted(Halt),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Asks the model for its next reply, which is for `purpose`. What happens meanwhile is written down here, what it answers is
/// the caller's to write down.
///
/// # Errors
/// When no model answers, or the log refuses an entry; and when no more is to be asked.
pub(crate) async fn ask(
    purpose: Purpose,
    context: &Context,
    bench: &Bench<'_>,
    limits: &Limits,
    meter: &mut Meter<'_>,
) -> Result<Answer, Ended> {
    let asked = Instant::now();
    // Tokens are counted in the middle of asking as well: those of replies that broke off.
    let meter = Mutex::new(meter);
    let metered = || meter.lock().unwrap_or_else(PoisonError::into_inner);
    let lost = |usage| used_by_lost(usage, context, bench);
    let on_notice = async |notice: Notice| {
        let is_switched = matches!(notice, Notice::Switched(_));
        let uses_more = is_switched || matches!(notice, Notice::Lost(_));
        let event = notice::event(notice, lost, |usage| metered().count(usage));
        bench.journal.record(vec![event]).await?;
        if is_switched && context.is_full(purpose, bench.models.model()) {
            return Err(Ended::Halted(Halt::Full));
        }
        let next = Spent { turns: 0, ..context.next(bench.models) };
        match uses_more && metered().reached(&next).is_some() {
            true => Err(Ended::Halted(Halt::OutOfBudget)),
            false => Ok(()),
        }
    };
    let output_tokens_max =
        |model: &dyn Model| context.output_tokens_max(model, bench.models.cache(), &metered().left());
    let reply = tokio::select! {
        reply = bench.models.ask(context.conversation(), output_tokens_max, bench.live, on_notice) => reply,
        () = bench.cancel.cancelled() => Err(Ended::Halted(Halt::Over)),
        () = tokio::time::sleep_until(limits.deadline()) => Err(Ended::Halted(Halt::Over)),
    };
    // What was underway is paid for, whoever ended it.
    if let Some(interrupted) = bench.models.interrupted() {
        let event = notice::event(Notice::Lost(interrupted), lost, |usage| metered().count(usage));
        bench.journal.record(vec![event]).await?;
    }
    let mut reply = reply?;
    if counts_nothing(&reply) && !bench.models.is_played() {
        let output = context.tokens_of(reply.raw.get().len() as u64);
        reply.usage = estimate(context, output, bench);
        if metered().estimates() {
            bench.journal.record(vec![estimated(&reply)]).await?;
        }
    }
    let usage = notice::usage(&reply.usage);
    let totals = metered().count(&usage);
    let replied = ModelReplied {
        provider: reply.origin.provider.clone(),
        model: reply.model.clone(),
        wire: Some(reply.origin.wire.as_str().to_owned()),
        asked: Some(reply.origin.model.clone()),
        raw: reply.raw.clone(),
        stop: reply.stop.as_str().to_owned(),
        purpose,
        usage,
        totals,
        duration_ms: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Answer { reply, replied })
}

/// Whether a provider that counts did not.
fn counts_nothing(reply: &Reply) -> bool {
    let Usage { input, output, cache_read, cache_write, usd: _ } = reply.usage;
    let is_served = match reply.origin.wire {
        Wire::Anthropic | Wire::ChatCompletions | Wire::Responses => true,
        Wire::Scripted | Wire::Carried | Wire::Offline => false,
    };
    is_served && [input, output, cache_read, cache_write] == [0; 4]
}

/// About what a reply of `output` tokens has used: a budget has to hold where nobody counts as well.
fn estimate(context: &Context, output: u64, bench: &Bench<'_>) -> Usage {
    let usage = Usage { input: context.tokens(), output, ..Usage::default() };
    let price = bench.models.model().facts().price.as_ref();
    Usage { usd: price.map(|price| price.usd(&usage)), ..usage }
}

/// What a lost reply has used, and who says so. Some providers count the prompt at the start and the reply at its end only:
/// what was heard of it is estimated then.
fn used_by_lost(lost: LostUsage, context: &Context, bench: &Bench<'_>) -> (Usage, CountedBy) {
    match lost {
        LostUsage::Counted { used, heard } => match context.tokens_of(heard).saturating_sub(used.output) {
            0 => (used, CountedBy::Provider),
            more => (with_output(used, more, bench), CountedBy::Estimate),
        },
        LostUsage::Heard(bytes) => (estimate(context, context.tokens_of(bytes), bench), CountedBy::Estimate),
        LostUsage::Estimated(used) => (used, CountedBy::Estimate),
    }
}

/// `used`, and `more` tokens of output.
fn with_output(used: Usage, more: u64, bench: &Bench<'_>) -> Usage {
    let prompt = used.input.saturating_add(used.cache_read).saturating_add(used.cache_write);
    let price = bench.models.model().facts().price.as_ref();
    let usd = used.usd.zip(price).map(|(usd, price)| usd + price.usd_of_output(prompt, more));
    Usage { output: used.output.saturating_add(more), usd, ..used }
}

fn estimated(reply: &Reply) -> Event {
    let provider = &reply.origin.provider;
    let message = format!(
        "{provider} does not say how many tokens it uses: they are estimated from the length of texts"
    );
    Event::Warned(Warned { code: "usage_estimated".to_owned(), message })
}
