//! The offline agent: no model at all, but fixed rules for a few jobs that are said in so many words.
//!
//! It acts through the ordinary tools, as a model does, and what it does not understand it refuses. When it takes a
//! session over from a model it can say whether the job is done, and nothing of what that model did besides.

mod licence;
mod plan;
mod sentence;
mod task;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::anthropic::Blocks;
use crate::raw_object::{RawObject, raw};
use crate::{
    Conversation, Delta, Error, Facts, Live, Message, Model, ModelName, Origin, Reply, Stop, ToolResult,
    Usage, Wire,
};
use plan::{Next, Plan, Saw};
use task::{Job, Trouble};

/// What the provider is called.
pub const PROVIDER: &str = "offline";
/// What stands where other providers name a model.
pub(crate) const MODEL: &str = "fixed-rules";

/// The offline agent and its task.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// What was asked for, in the words of whoever asked.
    pub task: String,
}

/// Opens the offline agent for one session.
pub(crate) fn open(config: &Config) -> Box<dyn Model> {
    Box::new(Offline { name: name(), facts: facts(), job: sentence::job(&config.task) })
}

/// Who is said to be asked.
pub(crate) fn name() -> ModelName {
    ModelName { provider: PROVIDER.to_owned(), model: MODEL.to_owned() }
}

/// It reads nothing of a conversation but what its own calls gave: none is too long for it.
pub(crate) fn facts() -> Facts {
    Facts { context_tokens: u32::MAX, ..Facts::free("there is nobody to pay") }
}

struct Offline {
    name: ModelName,
    facts: Facts,
    job: Result<Job, Trouble>,
}

#[async_trait]
impl Model for Offline {
    async fn reply(
        &self,
        conversation: &Conversation,
        _: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error> {
        let job = self.job.as_ref().map_err(|trouble| beyond(trouble.to_string()))?;
        let course = Course::of(conversation);
        let plan = Plan { job, takes_over: course.before.is_some() };
        let (says, tool, arguments) = match plan.next(&course.saw) {
            Next::Call { says, tool, arguments } => (says, tool, arguments),
            Next::Finish { title, done } => {
                let arguments = json!({ "title": title, "summary": summary(job, &done, course.before) });
                (String::new(), "finish", arguments)
            }
            Next::Stop(why) => return Err(beyond(format!("cannot {job}: {why}"))),
        };
        if !says.is_empty() {
            live.hear(Delta::Text(&says));
        }
        Ok(self.call(course.saw.len(), says, tool, &arguments))
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Offline {
    /// A reply that says something and calls one tool.
    fn call(&self, n: usize, says: String, tool: &str, arguments: &Value) -> Reply {
        let ModelName { provider, model } = self.name.clone();
        let origin = Origin { wire: Wire::Offline, provider, model: model.clone() };
        let mut call = RawObject::default();
        call.set_text("type", "tool_use".to_owned());
        call.set_text("id", format!("offline_{n}"));
        call.set_text("name", tool.to_owned());
        call.set("input", raw(arguments.to_string()));
        let mut said = RawObject::default();
        said.set_text("type", "text".to_owned());
        said.set_text("text", says);
        let usage = Usage { usd: Some(0.0), ..Usage::default() };
        // The form of recordings, from which a log is read back; the agent itself takes nothing back.
        Blocks(vec![said, call]).into_reply(origin, Stop::Tools, usage, model)
    }
}

/// It does not do what was asked for; whoever turned to it knows why.
fn beyond(why: String) -> Error {
    Error::Beyond { why, before: None }
}

/// What happened in a conversation so far.
struct Course<'c> {
    /// What came of the calls of the offline agent, the oldest first.
    saw: Vec<Saw<'c>>,
    /// The model that was at work before it.
    before: Option<&'c Reply>,
}

impl<'c> Course<'c> {
    fn of(conversation: &'c Conversation) -> Self {
        let mut course = Self { saw: Vec::new(), before: None };
        let mut own = false;
        for message in conversation.messages() {
            match message {
                Message::User(_) => {}
                Message::Assistant(reply) => {
                    own = reply.origin.wire == Wire::Offline;
                    course.before = if own { course.before } else { Some(reply) };
                }
                Message::Results(results) if own => course.saw.extend(results.iter().map(saw)),
                Message::Results(_) => {}
            }
        }
        course
    }
}

fn saw(result: &ToolResult) -> Saw<'_> {
    Saw { failed: result.failed, text: &result.text }
}

/// What the pull request is told: what was understood, what was done, and what was not.
fn summary(job: &Job, done: &str, before: Option<&Reply>) -> String {
    let mut told = format!(
        "{done}\n\nThe offline agent of backspace did this. It follows fixed rules and is no language model: it understood \
         the task as \u{201c}{job}\u{201d}, did that and nothing else, and checked nothing."
    );
    if let Some(reply) = before {
        let by = &reply.model;
        told.push_str(&format!(
            "\n\nIt took the session over from {by}, which stopped answering. Whatever that model had changed by then is part \
             of this change; nobody has looked at it, and nobody has said that it is whole."
        ));
    }
    told
}
