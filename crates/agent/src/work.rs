//! The loop: ask the model, run the tools, until it finishes or a limit is reached.

use events::{AgentTold, Event, Limit, LimitReached, Purpose, Said, Thought};
use model::{Part, Reply};

use crate::ask::{Answer, Ended, ask};
use crate::circles::{Circles, Course};
use crate::context::{self, Context};
use crate::limits::Spent;
use crate::meter::Meter;
use crate::prompt::Brief;
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
    let mut context = Context::begin(brief);
    let known = bench.models.models().map(notice::known).collect();
    bench.journal.record(vec![context.briefed(limits.bounds(), known)]).await?;
    let (mut meter, mut circles, mut silence) = (Meter::new(limits), Circles::default(), Silence::default());
    loop {
        if bench.cancel.is_cancelled() {
            return Ok(Stop::Cancelled);
        }
        let is_full = context.is_full(Purpose::Turn, bench.models.model());
        // How much a turn uses after room was made for it is known then.
        let next = if is_full { Spent::TURN } else { context.next(bench.models) };
        if let Some(reached) = meter.reached(&next) {
            return stop_at(bench, reached.into()).await;
        }
        if is_full {
            context::make_room(&mut context, bench, limits, &mut meter).await?;
            continue;
        }
        if let Some(warning) = meter.warning(&next) {
            tell(&mut context, bench, warning).await?;
        }
        let reply = match heard(&mut context, bench, limits, &mut meter).await {
            Ok(Some(reply)) => reply,
            Ok(None) => continue,
            Err(Error::Model(error @ model::Error::ContextFull { .. })) => {
                context::refused(&mut context, bench, error).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        match silence.after(&reply) {
            Heard::Calls => {}
            Heard::CutCalls => {
                let results = tools::run_none(&reply.calls, CUT, bench).await?;
                context.ran(&reply.calls, results);
                continue;
            }
            Heard::Nothing(text) => {
                tell(&mut context, bench, text).await?;
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
        context.ran(&reply.calls, ran.results);
        match course {
            Course::Straight => {}
            Course::Circling(text) => tell(&mut context, bench, text).await?,
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
async fn tell(context: &mut Context, bench: &Bench<'_>, text: String) -> Result<(), Error> {
    bench.journal.record(vec![Event::AgentTold(AgentTold { text: text.clone() })]).await?;
    context.tell(text);
    Ok(())
}

/// The model's next reply, written down with what people are shown of it; nothing when there is something to be done, or to
/// be ended, before more is asked.
async fn heard(
    context: &mut Context,
    bench: &Bench<'_>,
    limits: &Limits,
    meter: &mut Meter<'_>,
) -> Result<Option<Reply>, Error> {
    let Answer { reply, replied } = match ask(Purpose::Turn, context, bench, limits, meter).await {
        Ok(answer) => answer,
        Err(Ended::Halted(_)) => return Ok(None),
        Err(Ended::Failed(error)) => return Err(error),
    };
    meter.turn();
    let mut events = vec![Event::ModelReplied(replied)];
    events.extend(reply.parts.iter().cloned().map(|part| match part {
        Part::Thought(text) => Event::Thought(Thought { text }),
        Part::Text(text) => Event::Said(Said { text }),
    }));
    bench.journal.record(events).await?;
    context.heard(reply.clone());
    Ok(Some(reply))
}
