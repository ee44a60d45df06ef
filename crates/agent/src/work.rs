//! The loop: ask the model, run the tools, until it finishes or a limit is reached.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use events::{AgentBriefed, AgentTold, Event, Limit, LimitReached, ModelReplied, Said, Thought};
use model::{Conversation, Message, Notice, Part, Reply};

use crate::circles::{Circles, Course};
use crate::limits::Spent;
use crate::meter::Meter;
use crate::prompt::{self, Brief};
use crate::silence::{Heard, Silence};
use crate::{Bench, Error, Limits, Stop, notice, tools};

/// What every call of a reply that was cut is told: the last may lack half its arguments, the others belong to it.
const CUT: &str = "Not run: your reply was cut off at the output limit, and the arguments of its calls may be \
                   incomplete. Nothing was done. Call again, in smaller steps.";

/// Works on `brief` until the model finishes, a limit is reached, or the session is cancelled.
///
/// # Errors
/// [`Error`] is what the agent cannot help: a model that does not answer, a sandbox that is gone.
pub async fn work(brief: &Brief, bench: &Bench<'_>, limits: &Limits) -> Result<Stop, Error> {
    let mut conversation = prompt::begin(brief);
    bench.journal.record(vec![briefed(&conversation, brief, limits)]).await?;
    let (mut meter, mut circles, mut silence) = (Meter::new(limits), Circles::default(), Silence::default());
    let next = Spent { turns: 1, tokens: 0, usd: Some(0.0) };
    loop {
        if let Some(reached) = meter.reached(&next) {
            return stop_at(bench, reached.into()).await;
        }
        if let Some(warning) = meter.warning(&next) {
            tell(&mut conversation, bench, warning).await?;
        }
        let Some(reply) = ask(&conversation, bench, limits, &mut meter).await? else {
            if bench.cancel.is_cancelled() {
                return Ok(Stop::Cancelled);
            }
            continue;
        };
        conversation.push(Message::Assistant(reply.clone()));
        match silence.after(&reply) {
            Heard::Calls => {}
            Heard::CutCalls => {
                conversation.push(Message::Results(tools::run_none(&reply.calls, CUT, bench).await?));
                continue;
            }
            Heard::Nothing(text) => {
                tell(&mut conversation, bench, text).await?;
                continue;
            }
            Heard::LastWord(finish) => return Ok(Stop::Finished(finish)),
            Heard::Stuck(about) => return stop_at(bench, stuck(about)).await,
        }
        let ran = tools::run_all(&reply.calls, bench, limits).await?;
        if let Some(stop) = ran.stop {
            return Ok(stop);
        }
        let course = circles.after(&reply.calls, &ran.results);
        conversation.push(Message::Results(ran.results));
        match course {
            Course::Straight => {}
            Course::Circling(text) => tell(&mut conversation, bench, text).await?,
            Course::Stuck(about) => return stop_at(bench, stuck(about)).await,
        }
    }
}

/// Writes down why the agent's work ends before the agent does.
async fn stop_at(bench: &Bench<'_>, reached: LimitReached) -> Result<Stop, Error> {
    let limit = reached.limit;
    bench.journal.record(vec![Event::LimitReached(reached)]).await?;
    Ok(Stop::LimitReached(limit))
}

fn stuck(about: String) -> LimitReached {
    LimitReached { limit: Limit::Stuck, whose: None, about }
}

/// Tells the model what no call of its asked for.
async fn tell(conversation: &mut Conversation, bench: &Bench<'_>, text: String) -> Result<(), Error> {
    bench.journal.record(vec![Event::AgentTold(AgentTold { text: text.clone() })]).await?;
    conversation.push(Message::User(text));
    Ok(())
}

/// The model's next reply, written down; nothing when the session was cancelled or its time is up.
async fn ask(
    conversation: &Conversation,
    bench: &Bench<'_>,
    limits: &Limits,
    meter: &mut Meter<'_>,
) -> Result<Option<Reply>, Error> {
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
    metered().turn();
    let mut events = vec![Event::ModelReplied(ModelReplied {
        provider: reply.origin.provider.clone(),
        model: reply.model.clone(),
        wire: Some(reply.origin.wire.as_str().to_owned()),
        asked: Some(reply.origin.model.clone()),
        raw: reply.raw.clone(),
        stop: reply.stop.as_str().to_owned(),
        usage,
        totals,
        duration_ms: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    })];
    events.extend(reply.parts.iter().cloned().map(|part| match part {
        Part::Thought(text) => Event::Thought(Thought { text }),
        Part::Text(text) => Event::Said(Said { text }),
    }));
    bench.journal.record(events).await?;
    Ok(Some(reply))
}

/// What the first request says, for the log.
fn briefed(conversation: &Conversation, brief: &Brief, limits: &Limits) -> Event {
    let task = conversation.messages().iter().find_map(|message| match message {
        Message::User(text) => Some(text.clone()),
        Message::Assistant(_) | Message::Results(_) => None,
    });
    Event::AgentBriefed(AgentBriefed {
        system: conversation.system.clone(),
        task: task.unwrap_or_else(|| brief.task.clone()),
        tools: conversation.tools.iter().map(|tool| tool.name.clone()).collect(),
        bounds: limits.bounds(),
    })
}
