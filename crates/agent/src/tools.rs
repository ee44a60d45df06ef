//! The tools: what the model may call, and what surrounds every call.

mod bash;
mod edit;
mod finish;
mod plan;
mod read;
mod search;
mod write;

use std::fmt::Write as _;
use std::time::Instant;

use events::{Event, FileEdited, Shown, ToolFinished, head_and_tail, head_and_tail_at};
use model::{ToolCall, ToolResult, ToolSpec};
use sandbox::{FileAnswer, FileTool};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::exchange::Exchange;
use crate::{Bench, Error, Finish, Limits, Stop};

/// More of a result than this the model gains nothing from; every tool has a way to page on.
pub(crate) const RESULT_BYTES_MAX: usize = 24 * 1024;
/// What people are shown of the arguments and result of a call that has no form of its own.
const SHOWN_BYTES_MAX: usize = 2 * 1024;

/// One tool as the model sees it, and what it does.
struct Tool {
    name: &'static str,
    description: &'static str,
    /// The JSON Schema of its arguments.
    parameters: &'static str,
}

/// All tools, in the order in which the model reads of them.
const TOOLS: [Tool; 7] =
    [read::TOOL, search::TOOL, edit::TOOL, write::TOOL, bash::TOOL, plan::TOOL, finish::TOOL];

/// What came of a call.
pub(crate) struct Done {
    result: String,
    failed: bool,
    shown: Shown,
    edits: Vec<FileEdited>,
    changed_files: bool,
    finish: Option<Finish>,
}

/// What came of all calls of a reply.
pub(crate) struct Ran {
    /// A result for every call, in order.
    pub(crate) results: Vec<ToolResult>,
    /// Why the agent stops here.
    pub(crate) stop: Option<Stop>,
}

/// The tools as the model is told of them.
pub(crate) fn specs() -> Vec<ToolSpec> {
    TOOLS
        .iter()
        .map(|tool| ToolSpec {
            name: tool.name.to_owned(),
            description: tool.description.to_owned(),
            parameters: schema(tool.parameters),
        })
        .collect()
}

/// Carries out `calls` one after the other, each written down before the next begins. What can no longer be run is
/// answered all the same: a call without a result is no conversation that could go on.
pub(crate) async fn run_all(calls: &[ToolCall], bench: &Bench<'_>, limits: &Limits) -> Result<Ran, Error> {
    let mut ran = Ran { results: Vec::with_capacity(calls.len()), stop: None };
    for call in calls {
        let started = Instant::now();
        let mut done = if bench.cancel.is_cancelled() {
            refused(call, "Not run: the session was cancelled.".to_owned())
        } else if limits.time_left().is_zero() {
            refused(call, "Not run: the time is up.".to_owned())
        } else {
            run(call, bench, limits).await?
        };
        if let Some(finish) = done.finish.take() {
            ran.stop = Some(Stop::Finished(finish));
        }
        ran.results.push(answer(call, done, started, bench).await?);
    }
    if bench.cancel.is_cancelled() {
        ran.stop = Some(Stop::Cancelled);
    }
    Ok(ran)
}

/// Answers each of `calls` with `why` it was not run.
pub(crate) async fn run_none(
    calls: &[ToolCall],
    why: &str,
    bench: &Bench<'_>,
) -> Result<Vec<ToolResult>, Error> {
    let mut results = Vec::with_capacity(calls.len());
    for call in calls {
        results.push(answer(call, refused(call, why.to_owned()), Instant::now(), bench).await?);
    }
    Ok(results)
}

/// Keeps the work tree as `call` left it, writes down what came of it, and gives the result for the model.
async fn answer(
    call: &ToolCall,
    mut done: Done,
    started: Instant,
    bench: &Bench<'_>,
) -> Result<ToolResult, Error> {
    let saved = keep(&mut done, bench).await?;
    let result = fitting(done.result, bench).await?;
    let mut events: Vec<Event> = done.edits.into_iter().map(Event::FileEdited).collect();
    events.push(Event::ToolFinished(ToolFinished {
        call_id: call.id.clone(),
        tool: call.name.clone(),
        result: result.clone(),
        failed: done.failed,
        shown: done.shown,
        saved,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    }));
    bench.journal.record(events).await?;
    Ok(ToolResult { call_id: call.id.clone(), text: result, failed: done.failed })
}

/// `result`, or its head and its tail and where all of it is kept.
async fn fitting(result: String, bench: &Bench<'_>) -> Result<String, Error> {
    if result.len() <= RESULT_BYTES_MAX {
        return Ok(result);
    }
    let place = match bench.sandbox.file(&FileTool::Keep { bytes: result.clone().into_bytes() }).await? {
        FileAnswer::Kept { path, bytes } if bytes == result.len() as u64 => {
            format!("; all of it is in {path}, to page with `read`")
        }
        FileAnswer::Kept { path, bytes } => format!("; the first {bytes} bytes are in {path}"),
        // A disk that is full, for instance: the rest is lost then, and the model is told that it was left out.
        FileAnswer::Refused(_) => String::new(),
        other @ (FileAnswer::Read { .. }
        | FileAnswer::Folder { .. }
        | FileAnswer::Found { .. }
        | FileAnswer::Edited { .. }
        | FileAnswer::Written { .. }) => return Err(not_asked_for(&other)),
    };
    Ok(head_and_tail_at(&result, RESULT_BYTES_MAX, &place))
}

/// Why a call gave nothing.
enum Trouble {
    /// The model can help it: the text tells how.
    Refused(String),
    /// The model cannot help it.
    Broken(Error),
}

impl From<sandbox::Error> for Trouble {
    fn from(error: sandbox::Error) -> Self {
        Self::Broken(error.into())
    }
}

/// Carries out one call. What the model did wrong becomes a result that tells it so.
async fn run(call: &ToolCall, bench: &Bench<'_>, limits: &Limits) -> Result<Done, Error> {
    let text = call.arguments.as_str();
    let outcome = match call.name.as_str() {
        "read" => read::run(text, bench).await,
        "search" => search::run(text, bench).await,
        "edit" => edit::run(text, bench).await,
        "write" => write::run(text, bench).await,
        "bash" => bash::run(text, bench, limits).await,
        "plan" => plan::run(text),
        "finish" => finish::run(text),
        unknown => {
            let names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
            Err(Trouble::Refused(format!(
                "There is no tool `{unknown}`. The tools are: {}.",
                names.join(", ")
            )))
        }
    };
    match outcome {
        Ok(done) => Ok(done),
        Err(Trouble::Refused(why)) => Ok(refused(call, why)),
        Err(Trouble::Broken(error)) => Err(error),
    }
}

/// What `call` asks of the files in a sandbox, if it does.
pub(crate) fn file_asked(call: &ToolCall) -> Option<FileTool> {
    let text = call.arguments.as_str();
    match call.name.as_str() {
        "read" => read::asked(text).ok(),
        "search" => search::asked(text).ok().map(|(_, tool)| tool),
        "edit" => edit::asked(text).ok().map(|(_, tool)| tool),
        "write" => write::asked(text).ok().map(|(_, tool)| tool),
        _ => None,
    }
}

/// How many lines a result had of which this was shown and which ended like this; 0 when that does not matter.
pub(crate) fn lines_told(shown: &Shown, end: &str) -> usize {
    match shown {
        Shown::Search { matches, .. } => search::lines_told(*matches, end),
        Shown::Nothing
        | Shown::Read { .. }
        | Shown::Bash { .. }
        | Shown::Plan { .. }
        | Shown::Other { .. } => 0,
    }
}

/// What the sandbox was asked for `call` and answered, when this came of it and the whole result was `result`.
pub(crate) fn recalled(
    call: &ToolCall,
    finished: &ToolFinished,
    result: &str,
    edits: &[FileEdited],
) -> Option<Exchange> {
    let text = call.arguments.as_str();
    if call.name == "bash" {
        let closing = result.rsplit('\n').next().unwrap_or_default();
        let command = bash::asked(text).ok()?.command;
        return bash::recalled(&command, &finished.shown, closing, finished.duration_ms);
    }
    let answer = match (call.name.as_str(), &finished.shown) {
        ("read", _) => read::recalled(result),
        ("search", Shown::Search { matches, .. }) => search::recalled(result, *matches),
        ("edit", _) => edit::recalled(result, &edit::asked(text).ok()?.0, edits)?,
        ("write", _) => write::recalled(result, edits.first()?),
        _ => return None,
    };
    Some(Exchange::File { tool: file_asked(call)?, answer })
}

/// The arguments in `text`, or what is wrong with them.
fn arguments<T: DeserializeOwned>(tool: &Tool, text: &str) -> Result<T, Trouble> {
    // Some models send nothing at all for "no arguments".
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| {
        let Tool { name, parameters, .. } = tool;
        Trouble::Refused(format!(
            "The arguments of `{name}` cannot be read: {error}. Nothing was done. They must fit this schema: {parameters}"
        ))
    })
}

/// The result of a call that was refused.
fn refused(call: &ToolCall, why: String) -> Done {
    let shown = Shown::Other {
        input: head_and_tail(&call.arguments, SHOWN_BYTES_MAX),
        output: head_and_tail(&why, SHOWN_BYTES_MAX),
    };
    Done { failed: true, ..Done::of(why, shown) }
}

/// The program inside answered something else than was asked: it is not ours any more.
fn answered_amiss(answer: &FileAnswer) -> Trouble {
    Trouble::Broken(not_asked_for(answer))
}

fn not_asked_for(answer: &FileAnswer) -> Error {
    let reason = format!("the program inside answered {answer:.80?}, which was not asked for");
    sandbox::Error::Lost { reason }.into()
}

/// Keeps the work tree after a call that may have changed it, and tells the model what was not.
async fn keep(done: &mut Done, bench: &Bench<'_>) -> Result<Option<events::Oid>, Error> {
    if !done.changed_files {
        return Ok(None);
    }
    let kept = bench.checkpoint.save().await?;
    for note in &kept.notes {
        let _ = write!(done.result, "\n[note: {note}]");
    }
    Ok(kept.commit)
}

impl Done {
    /// A call that went well and changed no file.
    fn of(result: String, shown: Shown) -> Self {
        Self { result, failed: false, shown, edits: Vec::new(), changed_files: false, finish: None }
    }
}

/// A tool's schema as raw JSON.
#[expect(clippy::expect_used, reason = "the schemas are constants of this crate, and a test reads them all")]
fn schema(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("a tool's schema is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_a_json_object_schema() {
        for spec in specs() {
            let value: serde_json::Value = serde_json::from_str(spec.parameters.get()).unwrap();
            assert_eq!(value["type"], "object", "{}", spec.name);
            assert_eq!(value["additionalProperties"], false, "{}", spec.name);
            let required = value["required"].as_array().unwrap();
            assert!(required.iter().all(|name| value["properties"][name.as_str().unwrap()].is_object()));
        }
    }
}
