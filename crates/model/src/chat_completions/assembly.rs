//! A reply of the Chat Completions API, put together from its chunks.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::{self, Content};
use super::details::{self, Details};
use super::usage::WireUsage;
use crate::halves::Grown;
use crate::raw_object::RawObject;
use crate::stream::{Assembly, Progress, transient};
use crate::{Delta, Error, Live, Part, Reply, Served, Stop, ToolCall, Usage, bounds, refusal};

/// Calls of one reply; a server that counts further is broken, and would have us hold a gap for each missing one.
const CALLS_MAX: usize = 256;
/// Fields in which servers show what a model thought; no standard names one.
const THOUGHTS: [&str; 2] = ["reasoning_content", "reasoning"];
/// Fields of which each chunk has a piece. Of others a chunk has all: some servers repeat a name or a channel in every one.
const PIECES: [&str; 3] = ["refusal", "reasoning_content", "reasoning"];

/// A reply that is not whole yet.
pub(super) struct Assembling<'a> {
    served: &'a Served,
    live: &'a dyn Live,
    /// How many replies came before this one: makes the ids that a server leaves out.
    turn: usize,
    model: String,
    message: RawObject,
    content: Content,
    /// What comes in the fields of that kind.
    details: [Details; details::FIELDS.len()],
    calls: Vec<Growing>,
    stop: Option<String>,
    /// The server's last line has come.
    done: bool,
    usage: Option<WireUsage>,
}

/// A tool call that is not whole yet.
struct Growing {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: Grown,
    /// Fields that the protocol does not name; some servers want them back (`extra_content`).
    rest: RawObject,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<RawObject>,
    finish_reason: Option<String>,
    /// OpenRouter puts a failed provider's error here.
    error: Option<Box<RawValue>>,
}

impl<'a> Assembling<'a> {
    pub(super) fn new(served: &'a Served, live: &'a dyn Live, turn: usize) -> Self {
        let mut message = RawObject::default();
        message.set_text("role", "assistant".to_owned());
        Self {
            served,
            live,
            turn,
            model: served.model().to_owned(),
            message,
            content: Content::default(),
            details: Default::default(),
            calls: Vec::new(),
            stop: None,
            done: false,
            usage: None,
        }
    }

    /// The reply, when nothing of it is missing.
    pub(super) fn finish(mut self) -> Result<Reply, Error> {
        if let Some(content) = std::mem::take(&mut self.content).into_raw() {
            self.message.set("content", content);
        }
        let parts = parts(&self.message);
        let Some(word) = self.stop.take().or_else(|| self.unsaid_stop(&parts)) else {
            return Err(transient(self.served.provider(), "the reply broke off before its end".to_owned()));
        };
        let stop = stop_of(&word, !self.calls.is_empty());
        for (field, details) in details::FIELDS.iter().zip(&self.details) {
            if let Some(details) = details.to_raw() {
                self.message.set(field, details);
            }
        }
        let mut calls = self.finish_calls(&stop)?;
        if stop == Stop::Refused {
            // What was held back may be cut anywhere, also within a call.
            calls.clear();
        }
        let (usage, origin, raw) = (self.used(), self.served.origin(), self.message.to_raw());
        bounds::checked(self.served, Reply { origin, raw, parts, calls, stop, usage, model: self.model })
    }

    /// Why the model stopped when nobody said. A server that has said something and its last line may have had nothing more
    /// to say; a call may want more of its arguments.
    fn unsaid_stop(&self, parts: &[Part]) -> Option<String> {
        let says = parts.iter().any(|part| matches!(part, Part::Text(_)));
        (self.done && self.calls.is_empty() && says).then(|| "stop".to_owned())
    }

    /// What the reply has used; nothing, at no known price, while the server has not said.
    fn used(&self) -> Usage {
        let Some(counted) = self.usage else { return Usage::default() };
        let usage = counted.split();
        // What nobody has counted costs something all the same.
        let told = counted.prompt_tokens.is_some() && counted.completion_tokens.is_some();
        let reckoned = || if told { self.served.usd(&self.model, &usage) } else { None };
        Usage { usd: usage.usd.or_else(reckoned), ..usage }
    }

    /// Puts the calls into the message, and gives them as such.
    fn finish_calls(&mut self, stop: &Stop) -> Result<Vec<ToolCall>, Error> {
        if self.message.raw("content").is_none() {
            self.message.set("content", RawValue::NULL.to_owned());
        }
        let count = self.calls.len();
        let mut calls = Vec::with_capacity(count);
        let mut raw_calls = Vec::with_capacity(count);
        for (n, mut growing) in std::mem::take(&mut self.calls).into_iter().enumerate() {
            if growing.id.is_empty() {
                growing.id = format!("call_{}_{n}", self.turn);
            }
            // Some servers send nothing for "no arguments"; a call that was cut must not pass for one of those.
            let cut = *stop == Stop::OutputLimit && n + 1 == count;
            if !growing.arguments.is_sound() {
                return Err(self.protocol("half a character stands alone in the arguments of a call"));
            }
            let mut arguments = growing.arguments.text().into_owned();
            if arguments.trim().is_empty() && !cut {
                arguments = "{}".to_owned();
            }
            raw_calls.push(growing.take_raw(&arguments));
            calls.push(ToolCall { id: growing.id, name: growing.name, arguments });
        }
        if count > 0 {
            self.message.append_items("tool_calls", raw_calls);
        }
        Ok(calls)
    }

    fn take_delta(&mut self, delta: RawObject) -> Result<(), Error> {
        // Where a server shows a thought under two names, it is heard once.
        let thought = THOUGHTS.into_iter().find(|key| delta.text(key).is_some_and(|text| !text.is_empty()));
        let is_listed = delta.raw("tool_calls").is_some_and(|calls| calls.get() != "null")
            || self.calls.iter().any(|call| call.index.is_some() || !call.id.is_empty());
        for (key, piece) in delta.into_raw_fields() {
            match key.as_str() {
                "role" => {}
                // The form before `tool_calls`: one call, without an id. Some servers send both.
                "function_call" if is_listed || piece.get() == "null" => {}
                "function_call" => {
                    let mut call = RawObject::default();
                    call.set("function", piece);
                    self.take_call(call)?;
                }
                "tool_calls" => {
                    let pieces: Option<Vec<RawObject>> = serde_json::from_str(piece.get())
                        .map_err(|_| self.protocol("the tool calls are no list of objects"))?;
                    for piece in pieces.unwrap_or_default() {
                        self.take_call(piece)?;
                    }
                }
                "content" => self.take_content(piece, thought)?,
                field if PIECES.contains(&field) => {
                    let more = self.message.merge(&key, piece).unwrap_or_default();
                    if !more.is_empty() && Some(field) == thought {
                        self.live.hear(Delta::Thought(&more));
                    }
                }
                _ => self.take_whole(&key, piece),
            }
        }
        Ok(())
    }

    /// Takes in a piece of the content; a thought in it is heard unless a field of its own has it.
    fn take_content(&mut self, piece: Box<RawValue>, thought: Option<&str>) -> Result<(), Error> {
        let heard = self.content.take(&piece).map_err(|what| self.protocol(what))?;
        let Some(heard) = heard else {
            self.message.set_told("content", piece);
            return Ok(());
        };
        // Its place among the fields; what it is comes when all of it has come.
        if self.message.raw("content").is_none() {
            self.message.set("content", RawValue::NULL.to_owned());
        }
        for part in &heard {
            match part {
                Part::Text(text) => self.live.hear(Delta::Text(text)),
                Part::Thought(text) if thought.is_none() => self.live.hear(Delta::Thought(text)),
                Part::Thought(_) => {}
            }
        }
        Ok(())
    }

    /// Takes in a field that comes whole, or as a list of details.
    fn take_whole(&mut self, key: &str, piece: Box<RawValue>) {
        let details = details::FIELDS.iter().zip(&mut self.details).find(|(field, _)| **field == key);
        match (details, serde_json::from_str::<Vec<RawObject>>(piece.get())) {
            (Some((_, details)), Ok(pieces)) => {
                details.take(pieces);
                // Its place among the fields; what it is comes when all of it has come.
                self.message.set(key, RawValue::NULL.to_owned());
            }
            (Some(_) | None, _) => self.message.set_told(key, piece),
        }
    }

    fn take_call(&mut self, piece: RawObject) -> Result<(), Error> {
        let index = piece.raw("index").and_then(|index| index.get().parse().ok());
        let id = piece.text("id").unwrap_or_default();
        let place = self.place_of(index, &id);
        if place >= CALLS_MAX {
            return Err(self.protocol("the reply has too many tool calls"));
        }
        if place == self.calls.len() {
            let (name, arguments, rest) = (String::new(), Grown::default(), RawObject::default());
            self.calls.push(Growing { index, id: id.clone(), name, arguments, rest });
        }
        let Some(growing) = self.calls.get_mut(place) else { return Ok(()) };
        if growing.id.is_empty() {
            growing.id = id;
        }
        for (key, piece) in piece.into_raw_fields() {
            match key.as_str() {
                "index" | "id" | "type" => {}
                "function" => {
                    let before = growing.bytes();
                    growing
                        .take_function(&piece)
                        .map_err(|what| refusal::against_the_rules(self.served, what))?;
                    self.live.hear(Delta::Unshown(growing.bytes().saturating_sub(before)));
                }
                _ => growing.rest.set_told(&key, piece),
            }
        }
        Ok(())
    }

    /// The call that a piece belongs to, which may be a new one.
    ///
    /// By its index; but some servers give none, or the same one to whole calls that differ in their ids.
    fn place_of(&self, index: Option<u64>, id: &str) -> usize {
        let next = self.calls.len();
        let known = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None if id.is_empty() => next.checked_sub(1),
            None => self.calls.iter().position(|call| call.id == id),
        };
        let other = |place: &usize| {
            !id.is_empty() && !self.calls[*place].id.is_empty() && self.calls[*place].id != id
        };
        known.filter(|place| !other(place)).unwrap_or(next)
    }

    /// The choices of a chunk; none when it is something else, which servers may add.
    fn choices(&self, chunk: &RawObject) -> Result<Vec<Choice>, Error> {
        match chunk.read("choices") {
            Ok(choices) => Ok(choices.unwrap_or_default()),
            Err(_) if is_something_else(chunk) => Ok(Vec::new()),
            Err(what) => Err(self.protocol(&what)),
        }
    }

    fn protocol(&self, what: &str) -> Error {
        refusal::against_the_rules(self.served, what)
    }
}

impl Assembly for Assembling<'_> {
    fn take(&mut self, data: &str) -> Result<Progress, Error> {
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(Progress::Whole);
        }
        let chunk: RawObject = serde_json::from_str(data)
            .map_err(|error| self.protocol(&format!("a chunk is no JSON object: {error}")))?;
        if is_error(&chunk) {
            return Err(refusal::in_stream(self.served, data));
        }
        if let Some(model) = chunk.text("model").filter(|model| !model.is_empty()) {
            self.model = model;
        }
        if let Some(usage) = chunk.read("usage").unwrap_or_default() {
            self.usage = Some(usage);
            self.live.hear(Delta::Used(self.used()));
        }
        let mut progress = Progress::Same;
        for choice in self.choices(&chunk)?.into_iter().filter(|choice| choice.index == 0) {
            if let Some(error) = choice.error {
                let data = format!(r#"{{"error":{}}}"#, error.get());
                return Err(refusal::in_stream(self.served, &data));
            }
            if let Some(delta) = choice.delta {
                self.take_delta(delta)?;
            }
            self.stop = choice.finish_reason.filter(|word| !word.is_empty()).or(self.stop.take());
            progress = Progress::More;
        }
        Ok(progress)
    }
}

impl Growing {
    /// How much of it there is.
    fn bytes(&self) -> usize {
        self.name.len() + self.arguments.len()
    }

    /// Takes in a piece.
    ///
    /// # Errors
    /// What is wrong with it.
    fn take_function(&mut self, piece: &RawValue) -> Result<(), &'static str> {
        let piece: Option<RawObject> =
            serde_json::from_str(piece.get()).map_err(|_| "the function of a call is no object")?;
        let Some(piece) = piece else { return Ok(()) };
        // The name comes whole; some servers repeat it with every piece.
        if self.name.is_empty() {
            self.name = piece.text("name").unwrap_or_default();
        }
        let Some(piece) = piece.raw("arguments").filter(|piece| piece.get() != "null") else {
            return Ok(());
        };
        if self.arguments.grow(piece).is_some() {
            return Ok(());
        }
        // Some servers send the arguments as the object that they should be the text of.
        if !self.arguments.is_empty() {
            return Err("a piece of the arguments of a call is no text");
        }
        self.arguments = piece.get().to_owned().into();
        Ok(())
    }

    /// The call as it is sent back.
    fn take_raw(&mut self, arguments: &str) -> Box<RawValue> {
        let mut function = RawObject::default();
        function.set_text("name", self.name.clone());
        function.set_text("arguments", arguments.to_owned());
        let mut call = RawObject::default();
        call.set_text("id", self.id.clone());
        call.set_text("type", "function".to_owned());
        call.set("function", function.to_raw());
        let rest = std::mem::take(&mut self.rest);
        rest.into_raw_fields().for_each(|(key, value)| call.set(&key, value));
        call.to_raw()
    }
}

/// Whether this tells of an error, in any of the forms that are about.
fn is_error(chunk: &RawObject) -> bool {
    let says = |kind: &str| chunk.text(kind).as_deref() == Some("error");
    chunk.raw("error").is_some_and(|error| error.get() != "null") || says("type") || says("object")
}

/// Whether this says of itself that it is no chunk.
fn is_something_else(chunk: &RawObject) -> bool {
    chunk.text("type").is_some()
        || chunk.text("object").is_some_and(|object| !object.contains("chat.completion"))
}

/// What a whole message says and thinks. A thought that has a field of its own is not told again from the content.
pub(crate) fn parts(message: &RawObject) -> Vec<Part> {
    let said = |key: &&str| message.text(key).filter(|text| !text.trim().is_empty());
    let thought = THOUGHTS.iter().find_map(said).map(Part::Thought);
    let content = message.raw("content").map(content::parts).unwrap_or_default();
    let is_told = |part: &Part| match part {
        Part::Text(text) => !text.trim().is_empty(),
        Part::Thought(text) => !text.trim().is_empty() && thought.is_none(),
    };
    let content: Vec<Part> = content.into_iter().filter(is_told).collect();
    thought.into_iter().chain(content).collect()
}

/// The calls of a whole message.
pub(crate) fn calls(message: &RawObject) -> Result<Vec<ToolCall>, serde_json::Error> {
    let listed = message.raw("tool_calls").unwrap_or(RawValue::NULL);
    let listed: Option<Vec<RawObject>> = serde_json::from_str(listed.get())?;
    let call = |call: RawObject| {
        let function = call.raw("function").unwrap_or(RawValue::NULL);
        let function: RawObject = serde_json::from_str(function.get())?;
        let text = |object: &RawObject, key| object.text(key).unwrap_or_default();
        let (id, name) = (text(&call, "id"), text(&function, "name"));
        Ok(ToolCall { id, name, arguments: text(&function, "arguments") })
    };
    listed.unwrap_or_default().into_iter().map(call).collect()
}

/// Why the model stopped, from the wire's own word. Some servers say `stop` after tool calls too.
fn stop_of(word: &str, has_calls: bool) -> Stop {
    match word {
        "stop" | "tool_calls" | "function_call" if has_calls => Stop::Tools,
        "stop" | "tool_calls" | "function_call" => Stop::Finished,
        "length" => Stop::OutputLimit,
        "content_filter" => Stop::Refused,
        other => Stop::recalled(other),
    }
}

#[cfg(test)]
mod tests;
