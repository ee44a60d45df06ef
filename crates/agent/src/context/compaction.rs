//! Makes room in a conversation that has become too long: the model sums it up, or a rule does where it cannot.
//!
//! The conversation is never edited. A new one begins with the task, what is known of the work so far, and the last turns
//! word for word; whoever has the log can begin it again.

use events::{Compacted, ContextCompacted, Event, Purpose, head_and_tail};
use model::{Chain, Conversation, Message, Model, Part, Reply, Stop};

use super::{Context, head_bytes, tail};
use crate::ask::{Answer, Ended, Halt, ask};
use crate::limits::Spent;
use crate::meter::Meter;
use crate::{Bench, Error, Limits};

/// What the model is asked to write down.
pub(super) const ASK: &str = include_str!("../prompts/summary.md");
/// What the model is told first of what it no longer has.
const COMPACTED: &str = "This conversation had become too long and was compacted: you have lost what you read and thought, but for \
                         your last turns, which follow word for word where there was room for them. The files are as you left \
                         them. What is known of the work so far:";
/// What is kept of a summary: more than the model is asked for.
const SUMMARY_BYTES_MAX: u64 = 12 * 1024;
/// Why the model is not asked for a summary of what it cannot take.
const TOO_LONG: &str = "the conversation is too long for a request for a summary";
/// With less room than this beside rules and task, in bytes, no work can be done.
const FREE_BYTES_MIN: u64 = 4 * 1024;
/// Of what is left beside the task, a summary takes one part in so many at most.
const SUMMARY_SHARE: u64 = 6;
/// When the conversation is full again after fewer turns than this, another summary would cost more than it saves.
const TURNS_MIN: u32 = 4;
/// After so many refusals in a row the model does not lack room, whatever it says.
const REFUSALS_MAX: u32 = 4;

/// Who sums up, and what.
enum Summary {
    /// The model.
    Model(String),
    /// The rule; why not the model.
    Rule(String),
}

/// Compacts a conversation that [`Context::is_full`].
///
/// # Errors
/// [`Error::ContextTooSmall`] when the task alone is too long for the model.
pub(crate) async fn make_room(
    context: &mut Context,
    bench: &Bench<'_>,
    limits: &Limits,
    meter: &mut Meter<'_>,
) -> Result<(), Error> {
    let work = context.conversation.messages().len();
    let (summary, replied) = match why_not_asked(context, bench.models, meter) {
        Some(why) => (Summary::Rule(why), None),
        None => match summed_up(context, bench, limits, meter).await? {
            Some(summed_up) => summed_up,
            None => return Ok(()),
        },
    };
    // What was paid for is written down, whatever comes of it.
    let compacted = context.compact(bench.models.model(), work, summary);
    let begun_again = compacted.as_ref().ok().cloned().map(Event::ContextCompacted);
    bench.journal.record(replied.into_iter().chain(begun_again).collect()).await?;
    compacted.map(drop)
}

/// Compacts a conversation that the model itself has refused as too long, by the rule: a request for a summary would be
/// longer still.
///
/// # Errors
/// `error`, which it refused with, when it goes on refusing; otherwise as [`make_room`].
pub(crate) async fn refused(
    context: &mut Context,
    bench: &Bench<'_>,
    error: model::Error,
) -> Result<(), Error> {
    context.refusals += 1;
    if context.refusals > REFUSALS_MAX {
        return Err(error.into());
    }
    // A server that says what it holds may lack room for the reply alone. When it goes on refusing, our count is too low.
    let told = error.context_told().filter(|_| context.refusals == 1);
    let holds = told.unwrap_or_else(|| context.tokens());
    context.ceiling = Some((bench.models.model().name().clone(), holds));
    let work = context.conversation.messages().len();
    let compacted = context.compact(bench.models.model(), work, Summary::Rule(error.to_string()))?;
    bench.journal.record(vec![Event::ContextCompacted(compacted)]).await?;
    Ok(())
}

/// Why the model is not even asked for a summary.
fn why_not_asked(context: &Context, models: &Chain<'_>, meter: &Meter<'_>) -> Option<String> {
    let next = Spent { turns: 0, ..context.next(models) };
    if context.turns < TURNS_MIN {
        Some(format!("the conversation was full again after {} turns", context.turns))
    } else if context.is_full(Purpose::Summary, models.model()) {
        Some(TOO_LONG.to_owned())
    } else {
        meter.reached(&next).map(|reached| format!("the budget of {} leaves no room for it", reached.bound))
    }
}

/// What the model sums up, or why it does not, and its reply, to be written down; nothing when the session was cancelled
/// or its time is up.
async fn summed_up(
    context: &mut Context,
    bench: &Bench<'_>,
    limits: &Limits,
    meter: &mut Meter<'_>,
) -> Result<Option<(Summary, Option<Event>)>, Error> {
    context.conversation.push(Message::User(ASK.to_owned()));
    let unheard = Bench { live: &model::Unheard, ..*bench };
    let by_rule = |why: String| Ok(Some((Summary::Rule(why), None)));
    let Answer { reply, replied } = match ask(Purpose::Summary, context, &unheard, limits, meter).await {
        Ok(answer) => answer,
        Err(Ended::Halted(Halt::Over)) => return Ok(None),
        Err(Ended::Halted(Halt::OutOfBudget)) => {
            return by_rule("replies that broke off have used up a budget".to_owned());
        }
        Err(Ended::Halted(Halt::Full)) => return by_rule(TOO_LONG.to_owned()),
        Err(Ended::Failed(Error::Model(error))) => return by_rule(error.to_string()),
        Err(Ended::Failed(error)) => return Err(error),
    };
    let summary = said(&reply).map_or_else(Summary::Rule, Summary::Model);
    context.conversation.push(Message::Assistant(reply));
    Ok(Some((summary, Some(Event::ModelReplied(replied)))))
}

/// The text of a summary, or what is wrong with it.
fn said(reply: &Reply) -> Result<String, String> {
    let texts = reply.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.trim()),
        Part::Thought(_) => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n\n");
    if !reply.calls.is_empty() {
        Err("the model called a tool instead of summing up".to_owned())
    } else if reply.stop != Stop::Finished || text.is_empty() {
        Err(format!("the model gave no whole summary ({})", reply.stop.as_str()))
    } else {
        Ok(text)
    }
}

impl Context {
    /// Begins the conversation again with `summary`, and with as many of its last turns as there is room for. Only its
    /// first `work` messages are the work; what comes after them asked for the summary.
    fn compact(
        &mut self,
        model: &dyn Model,
        work: usize,
        summary: Summary,
    ) -> Result<ContextCompacted, Error> {
        let before_tokens = self.tokens();
        let room = self.room(model);
        let most = self.gauge.bytes(room.conversation);
        let fixed = head_bytes(&self.conversation) + self.task.len() as u64;
        let too_small = |needed| Error::ContextTooSmall {
            model: model.name().model.clone(),
            tokens: room.conversation,
            needed,
        };
        let Some(free) = most.checked_sub(fixed).filter(|free| *free >= FREE_BYTES_MIN) else {
            return Err(too_small(self.gauge.tokens(fixed + FREE_BYTES_MIN)));
        };
        let (how, why) = match summary {
            Summary::Model(text) => {
                self.summary = Some(text);
                (Compacted::ByModel, None)
            }
            Summary::Rule(why) => (Compacted::ByRule, Some(why)),
        };
        let known = self.known(how, (free / SUMMARY_SHARE).min(SUMMARY_BYTES_MAX));
        let first = format!("{}\n{known}", self.task);
        let used = fixed + known.len() as u64;
        // Half of what is left: the next turns need room as well.
        let tail = tail::last_turns(&self.conversation.messages()[..work], most.saturating_sub(used) / 2);
        let (turns_kept, result_bytes_max) = (tail.turns, tail.result_bytes_max);
        self.begin_again(first, tail.messages);
        if self.is_full(Purpose::Turn, model) {
            // A mistake of ours in counting must not compact for ever.
            return Err(too_small(self.tokens()));
        }
        Ok(ContextCompacted {
            before_tokens,
            after_tokens: self.tokens(),
            how,
            why,
            summary: known,
            turns_kept,
            result_bytes_max,
        })
    }

    /// What is known of the work so far, in at most about three times `bytes_max`.
    fn known(&self, how: Compacted, bytes_max: u64) -> String {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let bounded = |text: &str| head_and_tail(text.trim_end(), bytes_max);
        let mut parts = vec![COMPACTED.to_owned(), bounded(&self.progress.exact())];
        let summary = self.summary.as_deref();
        match how {
            Compacted::ByModel => {
                parts.extend(summary.map(|text| format!("Your own summary:\n{}", bounded(text))))
            }
            Compacted::ByRule => {
                parts.extend(
                    summary.map(|text| format!("Your own summary of a part of it:\n{}", bounded(text))),
                );
                parts.push(bounded(&self.progress.told()));
            }
        }
        parts.retain(|part| !part.is_empty());
        format!("<progress>\n{}\n</progress>", parts.join("\n\n"))
    }

    /// Begins a conversation with `first` and `kept`, in the place of the one so far.
    fn begin_again(&mut self, first: String, kept: Vec<Message>) {
        let nothing = Conversation::new(String::new(), Vec::new());
        let old = std::mem::replace(&mut self.conversation, nothing);
        self.conversation = old.going_on(first, kept);
        self.bytes = head_bytes(&self.conversation)
            + self.conversation.messages().iter().map(tail::bytes).sum::<u64>();
        self.cached = 0;
        self.turns = 0;
    }
}
