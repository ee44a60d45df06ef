//! The last turns of a conversation, as many as there is room for: a reply with the results of its calls, never apart.

use events::head_and_tail;
use model::{Message, Part, Reply, ToolResult, Wire};

/// What a message takes beside its text, in bytes: names, roles, ids.
const FRAME_BYTES: u64 = 64;
/// A result of fewer bytes than this is not cut: what is left would tell nothing.
const RESULT_BYTES_MIN: u64 = 200;

/// The last turns.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Their messages; the first one is a reply.
    pub(super) messages: Vec<Message>,
    /// How many they are.
    pub(super) turns: u32,
    /// Results in them are cut to so many bytes, by [`head_and_tail`]; nothing when all are whole.
    pub(super) result_bytes_max: Option<u64>,
}

/// As many of the last turns of `messages` as fit into `bytes_max`. When not even the last one does, its results are
/// cut; when that is not enough, there is none.
pub(super) fn last_turns(messages: &[Message], bytes_max: u64) -> Tail {
    let starts = messages.iter().enumerate().filter(|(_, message)| matches!(message, Message::Assistant(_)));
    let starts: Vec<usize> = starts.map(|(n, _)| n).collect();
    let fits = |start: &usize| messages[*start..].iter().map(carried_bytes).sum::<u64>() <= bytes_max;
    // The more turns, the more bytes: those that fit are the last ones.
    let kept = &starts[starts.partition_point(|start| !fits(start))..];
    if let Some(start) = kept.first() {
        let turns = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        return Tail { messages: messages[*start..].to_vec(), turns, result_bytes_max: None };
    }
    starts.last().and_then(|start| with_results_cut(&messages[*start..], bytes_max)).unwrap_or_default()
}

/// The one turn that `messages` are, its results cut so that all fits into `bytes_max`.
fn with_results_cut(messages: &[Message], bytes_max: u64) -> Option<Tail> {
    let (mut fixed, mut count) = (0, 0);
    for message in messages {
        match message {
            Message::Results(results) => {
                count += results.len() as u64;
                // The sentence that says what was left out stands beside what is kept.
                fixed += FRAME_BYTES * 2 * results.len() as u64;
            }
            Message::User(_) | Message::Assistant(_) => fixed += carried_bytes(message),
        }
    }
    let share = bytes_max.checked_sub(fixed)?.checked_div(count)?;
    if share < RESULT_BYTES_MIN {
        return None;
    }
    let cut = |message: &Message| match message {
        Message::Results(results) => Message::Results(results.iter().map(|r| cut(r, share)).collect()),
        Message::User(_) | Message::Assistant(_) => message.clone(),
    };
    Some(Tail { messages: messages.iter().map(cut).collect(), turns: 1, result_bytes_max: Some(share) })
}

fn cut(result: &ToolResult, bytes_max: u64) -> ToolResult {
    let text = head_and_tail(&result.text, usize::try_from(bytes_max).unwrap_or(usize::MAX));
    ToolResult { text, ..result.clone() }
}

/// About how many bytes a request takes for `message`.
pub(super) fn bytes(message: &Message) -> u64 {
    match message {
        Message::Assistant(reply) if reply.origin.wire != Wire::Carried => reply.raw.get().len() as u64,
        Message::Assistant(_) | Message::User(_) | Message::Results(_) => carried_bytes(message),
    }
}

/// The same for a message that is carried over into another conversation.
fn carried_bytes(message: &Message) -> u64 {
    match message {
        Message::User(text) => FRAME_BYTES + text.len() as u64,
        Message::Assistant(reply) => FRAME_BYTES + rewritten_bytes(reply),
        Message::Results(results) => {
            results.iter().map(|result| FRAME_BYTES + result.text.len() as u64).sum()
        }
    }
}

/// What is left of a reply that is written anew: what it says, and its calls.
fn rewritten_bytes(reply: &Reply) -> u64 {
    let said = reply.parts.iter().map(|part| match part {
        Part::Text(text) => text.len() as u64,
        Part::Thought(_) => 0,
    });
    let calls = reply.calls.iter().map(|call| FRAME_BYTES + (call.name.len() + call.arguments.len()) as u64);
    said.chain(calls).sum()
}

#[cfg(test)]
mod tests;
