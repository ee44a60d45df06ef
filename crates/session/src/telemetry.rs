//! What a session used, told with its end.

use events::{Entry, Event, ModelUse, Named, SessionState, Shown, Telemetry, Thoughts, Usage};
use serde_json::value::RawValue;
use tracing::warn;

use crate::failure;
use crate::run::Story;

/// The contract shows the last five thoughts.
const THOUGHTS_RECENT: usize = 5;
/// The beginning of a thought, for a list.
const THOUGHT_CHARS_MAX: usize = 200;
/// Entries read at once: a log of long outputs must not stand in memory as a whole.
const PAGE: usize = 64;

/// What the log of `story` has to show for its work: who answered, tool calls, checks, what was not reached, commits and limits, without the long
/// texts.
///
/// # Errors
/// When an entry cannot be read: what was read before it is not the session's evidence.
pub(crate) async fn evidence(story: &Story) -> Result<Vec<Entry>, store::Error> {
    let mut evidence = Vec::new();
    read(story, |entry| evidence.extend(shortened(entry))).await?;
    Ok(evidence)
}

/// Hands the entries of `story` so far to `take`.
async fn read(story: &Story, mut take: impl FnMut(Entry)) -> Result<(), store::Error> {
    let mut seq = 0;
    loop {
        let page = story.ports.store.log.read_after(story.id, seq, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        seq = last.seq;
        page.into_iter().for_each(&mut take);
    }
}

/// `entry` as evidence, if it is any.
fn shortened(mut entry: Entry) -> Option<Entry> {
    if let Event::ToolFinished(tool) = &mut entry.event {
        tool.result = String::new();
        if let Shown::Bash { output, .. } | Shown::Other { output, .. } = &mut tool.shown {
            *output = String::new();
        }
    } else if let Event::CheckRan(check) = &mut entry.event {
        check.output = String::new();
    } else if let Event::ModelReplied(reply) = &mut entry.event {
        reply.raw = RawValue::NULL.to_owned();
    } else if !matches!(entry.event, Event::CommitMade(_) | Event::LimitReached(_) | Event::EgressDecided(_))
    {
        return None;
    }
    Some(entry)
}

/// Sums up the log of `story`. A log that cannot be read gives empty telemetry: the end must not fail on its account.
pub(crate) async fn of(story: &Story) -> Telemetry {
    let mut sum = Sum::default();
    if let Err(error) = read(story, |entry| sum.take(entry)).await {
        let id = story.id;
        warn!(session.id = %id, "What {id} used cannot be summed up: {}", failure::chain(&error));
        return Telemetry::default();
    }
    let Some(state) = sum.state else { return Telemetry::default() };
    let elapsed_us = story.ports.clock.now_us() - state.created_us;
    let asked = sum.models.last_asked();
    Telemetry {
        turns: state.turns,
        input_tokens: state.usage.tokens().saturating_sub(state.usage.output_tokens),
        output_tokens: state.usage.output_tokens,
        usd: state.usage.usd.filter(|_| state.turns > 0),
        duration_ms: u64::try_from(elapsed_us / 1000).unwrap_or(0),
        provider: asked.map(|asked| asked.provider.clone()),
        model: asked.map(|asked| asked.model.clone()),
        models: sum.models.used,
        thoughts: sum.thoughts,
    }
}

/// What was seen of a log so far.
#[derive(Default)]
struct Sum {
    state: Option<SessionState>,
    models: Models,
    thoughts: Thoughts,
}

impl Sum {
    fn take(&mut self, entry: Entry) {
        match &mut self.state {
            None => self.state = SessionState::begin(&entry),
            Some(state) => state.apply(&entry),
        }
        if let Event::ModelReplied(reply) = entry.event {
            let by = Named { provider: reply.provider, model: reply.model };
            self.models.take(by, 1, &reply.usage);
        } else if let Event::ReplyLost(lost) = entry.event {
            self.models.take(lost.from, 0, &lost.usage);
        } else if let Event::Thought(thought) = entry.event {
            let turn = self.state.as_ref().map_or(0, |state| state.turns);
            self.thoughts.count += 1;
            self.thoughts.recent.push((turn, thought.text.chars().take(THOUGHT_CHARS_MAX).collect()));
            if self.thoughts.recent.len() > THOUGHTS_RECENT {
                self.thoughts.recent.remove(0);
            }
        }
    }
}

/// What each model did, in the order in which they first answered.
#[derive(Default)]
struct Models {
    used: Vec<ModelUse>,
    /// The place of the one that replied last.
    last: Option<usize>,
}

impl Models {
    fn take(&mut self, by: Named, turns: u32, usage: &Usage) {
        let known = self.used.iter().position(|used| used.provider == by.provider && used.model == by.model);
        let place = known.unwrap_or_else(|| {
            let Named { provider, model } = by;
            self.used.push(ModelUse { provider, model, turns: 0, usage: Usage::zero() });
            self.used.len() - 1
        });
        let used = &mut self.used[place];
        used.turns += turns;
        used.usage = used.usage.plus(usage);
        self.last = if turns > 0 { Some(place) } else { self.last };
    }

    fn last_asked(&self) -> Option<&ModelUse> {
        self.used.get(self.last?)
    }
}
