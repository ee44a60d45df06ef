//! An entry of the log as an event of the contract: at most one, by a pure function.

mod ascii;
mod catalogue;
pub(crate) mod delta;
mod ending;
pub(crate) mod fields;
mod form;
mod story;
mod work;

use std::borrow::Cow;

use events::{Entry, Event};
use jiff::Timestamp;

use fields::Fields;

pub use form::Form;

pub(crate) use catalogue::{Kind, catalogue};

/// An event of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireEvent {
    /// The place of its entry in the log, and the SSE id.
    pub seq: u64,
    /// Its fields: one line of ASCII JSON.
    pub json: String,
    /// Nothing comes after it.
    pub is_final: bool,
}

/// The event that `entry` becomes in the contract's own form, if it becomes one.
pub fn event(entry: &Entry) -> Option<WireEvent> {
    event_in(Form::Own, entry)
}

/// The event that `entry` becomes for clients of one of the older APIs.
pub fn event_in(form: Form, entry: &Entry) -> Option<WireEvent> {
    let (kind, message, fields) = parts(entry)?;
    let timestamp = timestamp(entry.at_us);
    let is_final = matches!(entry.event, Event::SessionEnded(_));
    let event = fields::Event { r#type: kind, timestamp, message, fields };
    let json = if is_final { form::final_json(form, &event) } else { ascii::to_string(&event) };
    // Text, numbers and lists of them cannot fail to be written as JSON.
    Some(WireEvent { seq: entry.seq, json: json.ok()?, is_final })
}

impl WireEvent {
    /// The event as it is sent: one `id` line, one `data` line, in one piece.
    pub(crate) fn to_sse(&self) -> String {
        format!("id: {}\ndata: {}\n\n", self.seq, self.json)
    }

    /// The event as JSON with its place as `id`, for pages.
    pub(crate) fn to_json_with_id(&self) -> String {
        format!("{{\"id\":{},{}", self.seq, &self.json[1..])
    }
}

/// RFC 3339 in UTC, to the microsecond.
pub(crate) fn timestamp(at_us: i64) -> String {
    // Times outside of years -9999 to 9999 come from no clock.
    let time = Timestamp::from_microsecond(at_us).unwrap_or_default();
    format!("{time:.6}")
}

/// Type, message and fields.
type Parts<'a> = (Cow<'a, str>, Cow<'a, str>, Fields<'a>);

/// What `entry` says on the wire, if anything.
fn parts(entry: &Entry) -> Option<Parts<'_>> {
    Some(match &entry.event {
        Event::SessionRequested(requested) => story::requested(entry.session, requested),
        Event::AttemptStarted(started) => story::taken_up(entry.attempt, started),
        Event::StepStarted(started) => story::step(started),
        Event::BaseChosen(chosen) => story::base(chosen),
        Event::TreePrepared(prepared) => story::prepared(prepared),
        Event::SandboxOpened(opened) => story::sandbox(opened),
        Event::CommitMade(made) => story::commit(made),
        Event::BranchPushed(pushed) => story::pushed(pushed),
        Event::PullRequestOpened(opened) => return story::pull_request(opened),
        Event::CancelRequested(asked) => story::cancel(asked),
        Event::LimitReached(reached) => story::limit(reached),
        Event::Warned(warned) => story::warning(&warned.code, (&*warned.message).into()),
        Event::SessionEnded(ended) => ending::of(entry, ended),
        Event::Thought(thought) => ("AI Thinking".into(), (&*thought.text).into(), Fields::Text {}),
        Event::Said(said) => ("AI Message".into(), (&*said.text).into(), Fields::Text {}),
        Event::ModelReplied(reply) => work::usage(reply),
        Event::ModelRetried(retried) => work::retried(retried),
        Event::ModelSwitched(switched) => work::switched(switched),
        Event::ReplyLost(lost) => work::lost(lost),
        Event::GitRan(ran) => work::git(ran),
        Event::SetupRan(ran) => work::setup(ran),
        Event::FileEdited(edited) => work::edit(edited),
        Event::ToolFinished(tool) => return work::tool(tool),
        Event::ContextCompacted(compacted) => work::compacted(compacted),
        Event::EgressDecided(decided) => work::egress(decided),
        Event::CheckRan(ran) => work::check(ran),
        // What only the model is told; its answers show what came of it.
        Event::AgentBriefed(_) | Event::AgentTold(_) => return None,
    })
}

#[cfg(test)]
mod tests;
