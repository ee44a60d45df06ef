//! What a session used, told with its end.

use events::{Entry, Event, SessionState, Telemetry, Thoughts};
use tracing::warn;

use crate::failure;
use crate::run::Story;

/// The contract shows the last five thoughts.
const THOUGHTS_RECENT: usize = 5;
/// The beginning of a thought, for a list.
const THOUGHT_CHARS_MAX: usize = 200;
/// Entries read at once.
const PAGE: usize = 512;

/// All entries of `story` so far.
///
/// # Errors
/// When one of them cannot be read: what was read before it is not the session's evidence.
pub(crate) async fn entries(story: &Story) -> Result<Vec<Entry>, store::Error> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let seq = entries.last().map_or(0, |entry| entry.seq);
        let page = story.ports.store.log.read_after(story.id, seq, PAGE).await?;
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page);
    }
}

/// Sums up the log of `story`. A log that cannot be read gives empty telemetry: the end must not fail on its account.
pub(crate) async fn of(story: &Story) -> Telemetry {
    let entries = match entries(story).await {
        Ok(entries) => entries,
        Err(error) => {
            let id = story.id;
            warn!(session.id = %id, "What {id} used cannot be summed up: {}", failure::chain(&error));
            return Telemetry::default();
        }
    };
    let Some(state) = SessionState::fold(&entries) else { return Telemetry::default() };
    let last_reply = entries
        .iter()
        .rev()
        .find_map(|entry| if let Event::ModelReplied(reply) = &entry.event { Some(reply) } else { None });
    let elapsed_us = story.ports.clock.now_us() - state.created_us;
    Telemetry {
        turns: state.turns,
        input_tokens: state.usage.tokens().saturating_sub(state.usage.output_tokens),
        output_tokens: state.usage.output_tokens,
        usd: state.usage.usd.filter(|_| state.turns > 0),
        duration_ms: u64::try_from(elapsed_us / 1000).unwrap_or(0),
        provider: last_reply.map(|reply| reply.provider.clone()),
        model: last_reply.map(|reply| reply.model.clone()),
        thoughts: thoughts(&entries),
    }
}

/// How many thoughts there were, and the last ones with the turn they belong to.
fn thoughts(entries: &[Entry]) -> Thoughts {
    let mut thoughts = Thoughts::default();
    let mut turn = 0;
    for entry in entries {
        turn += u32::from(matches!(entry.event, Event::ModelReplied(_)));
        let Event::Thought(thought) = &entry.event else { continue };
        thoughts.count += 1;
        thoughts.recent.push((turn, thought.text.chars().take(THOUGHT_CHARS_MAX).collect()));
        if thoughts.recent.len() > THOUGHTS_RECENT {
            thoughts.recent.remove(0);
        }
    }
    thoughts
}
