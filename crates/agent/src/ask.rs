//! Asks the model for its next reply, and counts what that uses.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use events::{ModelReplied, Purpose};
use model::{Conversation, Notice, Reply};

use crate::meter::Meter;
use crate::{Bench, Error, Limits, notice};

/// A reply, and what is to be written down of it before anything else is done.
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) replied: ModelReplied,
}

/// The model's next reply; nothing when the session was cancelled or its time is up. What happens while it is asked is
/// written down here, what it answers is the caller's to write down.
///
/// # Errors
/// When no model answers, or the log refuses an entry.
pub(crate) async fn ask(
    conversation: &Conversation,
    bench: &Bench<'_>,
    limits: &Limits,
    meter: &mut Meter<'_>,
) -> Result<Option<Answer>, Error> {
    let asked = Instant::now();
    // Tokens are counted in the middle of asking as well: those of replies that broke off.
    let meter = Mutex::new(meter);
    let metered = || meter.lock().unwrap_or_else(PoisonError::into_inner);
    let on_notice = async |notice: Notice| {
        let event = notice::event(notice, |usage| metered().count(usage));
        bench.journal.record(vec![event]).await.map_err(Error::from)
    };
    let reply = tokio::select! {
        reply = bench.models.ask(conversation, bench.live, on_notice) => reply?,
        () = bench.cancel.cancelled() => return Ok(None),
        () = tokio::time::sleep_until(limits.deadline()) => return Ok(None),
    };
    let usage = notice::usage(&reply.usage);
    let totals = metered().count(&usage);
    let replied = ModelReplied {
        provider: reply.origin.provider.clone(),
        model: reply.model.clone(),
        wire: Some(reply.origin.wire.as_str().to_owned()),
        asked: Some(reply.origin.model.clone()),
        raw: reply.raw.clone(),
        stop: reply.stop.as_str().to_owned(),
        purpose: Purpose::Turn,
        usage,
        totals,
        duration_ms: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Some(Answer { reply, replied }))
}
