//! The loop: ask the model, run the tools, until it finishes or a limit is reached.

use std::time::Instant;

use events::{
    AgentBriefed, AgentTold, Event, LimitReached, ModelReplied, ModelRetried, Said, Thought, Usage,
};
use model::{Conversation, Message, Part, Reply, Stop as ModelStop, Wait};

use crate::prompt::{self, Brief};
use crate::{Bench, Error, Finish, Limits, Stop, tools};

/// So many replies in a row that get no tool to run, and the last one is taken for the end, or for one too many.
const SILENT_REPLIES_MAX: u32 = 3;
/// What every call of a reply that was cut is told: the last may lack half its arguments, the others belong to it.
const CUT: &str = "Not run: your reply was cut off at the output limit, and the arguments of its calls may be \
                   incomplete. Nothing was done. Call again, in smaller steps.";

/// Works on `brief` until the model finishes, a limit is reached, or the session is cancelled.
///
/// # Errors
/// [`Error`] is what the agent cannot help: a model that does not answer, a sandbox that is gone.
pub async fn work(brief: &Brief, bench: &Bench<'_>, limits: &Limits) -> Result<Stop, Error> {
    let mut conversation = prompt::begin(brief);
    bench.journal.record(vec![briefed(&conversation, brief)]).await?;
    let (mut turns, mut silent, mut totals) = (0, 0, Usage::zero());
    loop {
        if let Some(limit) = limits.reached(turns, &totals) {
            bench.journal.record(vec![Event::LimitReached(LimitReached { limit })]).await?;
            return Ok(Stop::LimitReached(limit));
        }
        let Some(reply) = ask(&conversation, bench, limits, &mut totals).await? else {
            if bench.cancel.is_cancelled() {
                return Ok(Stop::Cancelled);
            }
            continue;
        };
        turns += 1;
        conversation.push(Message::Assistant(reply.clone()));
        if reply.calls.is_empty() {
            silent += 1;
            match after_silence(&reply, silent)? {
                Silence::TakenForEnd(finish) => return Ok(Stop::Finished(finish)),
                Silence::Told(text) => {
                    bench.journal.record(vec![Event::AgentTold(AgentTold { text: text.clone() })]).await?;
                    conversation.push(Message::User(text));
                }
            }
            continue;
        }
        if reply.stop == ModelStop::OutputLimit {
            conversation.push(Message::Results(tools::run_none(&reply.calls, CUT, bench).await?));
            silent += 1;
            if silent >= SILENT_REPLIES_MAX {
                return Err(unusable(&reply, silent));
            }
            continue;
        }
        silent = 0;
        let ran = tools::run_all(&reply.calls, bench, limits).await?;
        if let Some(stop) = ran.stop {
            return Ok(stop);
        }
        conversation.push(Message::Results(ran.results));
    }
}

/// The model's next reply, written down; nothing when the session was cancelled or its time is up.
async fn ask(
    conversation: &Conversation,
    bench: &Bench<'_>,
    limits: &Limits,
    totals: &mut Usage,
) -> Result<Option<Reply>, Error> {
    let asked = Instant::now();
    let on_wait = async |wait: Wait| {
        let event = ModelRetried { reason: wait.reason, wait_ms: wait.wait_ms, retry: wait.retry };
        bench.journal.record(vec![Event::ModelRetried(event)]).await.map_err(Error::from)
    };
    let reply = tokio::select! {
        reply = model::ask(bench.model, conversation, bench.live, bench.retry, on_wait) => reply?,
        () = bench.cancel.cancelled() => return Ok(None),
        () = tokio::time::sleep_until(limits.deadline()) => return Ok(None),
    };
    let usage = usage(&reply);
    *totals = totals.plus(&usage);
    let mut events = vec![Event::ModelReplied(ModelReplied {
        provider: reply.origin.provider.clone(),
        model: reply.model.clone(),
        wire: Some(reply.origin.wire.as_str().to_owned()),
        asked: Some(reply.origin.model.clone()),
        raw: reply.raw.clone(),
        stop: reply.stop.as_str().to_owned(),
        usage,
        totals: *totals,
        duration_ms: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    })];
    events.extend(reply.parts.iter().cloned().map(|part| match part {
        Part::Thought(text) => Event::Thought(Thought { text }),
        Part::Text(text) => Event::Said(Said { text }),
    }));
    bench.journal.record(events).await?;
    Ok(Some(reply))
}

/// What to do with a reply that calls no tool.
enum Silence {
    /// The model is told to go on, or to finish properly.
    Told(String),
    /// It has said its last word.
    TakenForEnd(Finish),
}

/// Tells the model what is missing, and takes its text for the end when it goes on like that.
fn after_silence(reply: &Reply, silent: u32) -> Result<Silence, Error> {
    let said = reply.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Thought(_) => None,
    });
    let said: Vec<&str> = said.collect();
    if silent >= SILENT_REPLIES_MAX {
        if reply.stop == ModelStop::Finished && !said.is_empty() {
            return Ok(Silence::TakenForEnd(Finish { title: String::new(), summary: said.join("\n\n") }));
        }
        return Err(unusable(reply, silent));
    }
    let told = match &reply.stop {
        ModelStop::OutputLimit => "Your reply was cut off at the output limit. Go on in smaller steps.",
        ModelStop::Refused => "Your reply was held back by the provider. Go on with the task in another way.",
        ModelStop::Finished | ModelStop::Tools | ModelStop::Other(_) => {
            "Your reply called no tool. Go on with the task; when it is done, call `finish`."
        }
    };
    Ok(Silence::Told(told.to_owned()))
}

fn unusable(reply: &Reply, silent: u32) -> Error {
    let stop = reply.stop.as_str();
    Error::Protocol(format!("{silent} replies in a row call no tool that could be run ({stop})"))
}

/// What the first request says, for the log.
fn briefed(conversation: &Conversation, brief: &Brief) -> Event {
    let task = conversation.messages().iter().find_map(|message| match message {
        Message::User(text) => Some(text.clone()),
        Message::Assistant(_) | Message::Results(_) => None,
    });
    Event::AgentBriefed(AgentBriefed {
        system: conversation.system.clone(),
        task: task.unwrap_or_else(|| brief.task.clone()),
        tools: conversation.tools.iter().map(|tool| tool.name.clone()).collect(),
    })
}

/// The reply's usage in the words of the log.
fn usage(reply: &Reply) -> Usage {
    Usage {
        input_tokens: reply.usage.input,
        output_tokens: reply.usage.output,
        cache_read_tokens: reply.usage.cache_read,
        cache_write_tokens: reply.usage.cache_write,
        usd: reply.usage.usd,
    }
}
