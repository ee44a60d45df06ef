//! The conversations with a model, from nothing but the log.

use events::{ContextCompacted, Event, Purpose, head_and_tail};
use model::Message;

use super::Did;

/// A message as the log can tell it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    User(String),
    /// The wire's own form.
    Reply(String),
    /// The calls' ids, and what came of them.
    Results(Vec<(String, String)>),
}

impl From<&Message> for Line {
    fn from(message: &Message) -> Self {
        match message {
            Message::User(text) => Self::User(text.clone()),
            Message::Assistant(reply) => Self::Reply(reply.raw.get().to_owned()),
            Message::Results(results) => {
                Self::Results(results.iter().map(|r| (r.call_id.clone(), r.text.clone())).collect())
            }
        }
    }
}

/// The messages of each request for a turn.
pub(crate) fn rebuilt(did: &[Did]) -> Vec<Vec<Line>> {
    // The first message, and what comes before the first turn; then the turns.
    let mut parts: Vec<Vec<Line>> = vec![Vec::new()];
    let (mut requests, mut task) = (Vec::new(), String::new());
    let events = did.iter().filter_map(|did| if let Did::Recorded(event) = did { Some(event) } else { None });
    for event in events {
        if let Event::AgentBriefed(briefed) = event {
            task.clone_from(&briefed.task);
            parts[0].push(Line::User(task.clone()));
        } else if let Event::ModelReplied(reply) = event
            && reply.purpose == Purpose::Turn
        {
            requests.push(parts.concat());
            parts.push(vec![Line::Reply(reply.raw.get().to_owned())]);
        } else if let Event::ToolFinished(done) = event {
            let turn = parts.last_mut().unwrap();
            let result = (done.call_id.clone(), done.result.clone());
            match turn.last_mut() {
                Some(Line::Results(results)) => results.push(result),
                Some(Line::User(_) | Line::Reply(_)) | None => turn.push(Line::Results(vec![result])),
            }
        } else if let Event::AgentTold(told) = event {
            parts.last_mut().unwrap().push(Line::User(told.text.clone()));
        } else if let Event::ContextCompacted(it) = event {
            parts = begun_again(&parts, &task, it);
        }
    }
    requests
}

/// What becomes of a conversation that is compacted.
fn begun_again(parts: &[Vec<Line>], task: &str, it: &ContextCompacted) -> Vec<Vec<Line>> {
    let cut = |line: &Line| match (line, it.result_bytes_max) {
        (Line::Results(results), Some(bytes_max)) => {
            let cut = |(id, text): &(String, String)| (id.clone(), head_and_tail(text, bytes_max as usize));
            Line::Results(results.iter().map(cut).collect())
        }
        (line, _) => line.clone(),
    };
    let kept = &parts[parts.len() - it.turns_kept as usize..];
    let first = vec![Line::User(format!("{task}\n{}", it.summary))];
    [first].into_iter().chain(kept.iter().map(|turn| turn.iter().map(cut).collect())).collect()
}
