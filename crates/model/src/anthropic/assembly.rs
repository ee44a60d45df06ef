//! A reply of the Messages API, put together from its events.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::foreign::{INVALID_JSON, wrapped};
use crate::raw_object::{RawObject, raw};
use crate::stream::{Assembly, Progress, protocol, transient};
use crate::{Delta, Error, Live, Origin, Part, Reply, Served, Stop, ToolCall, Usage, count, refusal};

/// A reply that is not whole yet.
pub(super) struct Assembling<'a> {
    served: &'a Served,
    live: &'a dyn Live,
    model: String,
    blocks: Vec<Growing>,
    stop: Option<String>,
    usage: WireUsage,
    whole: bool,
}

/// A content block that is not whole yet.
struct Growing {
    block: RawObject,
    /// The pieces of a tool call's arguments.
    arguments: String,
    open: bool,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    index: Option<usize>,
    content_block: Option<RawObject>,
    delta: Option<RawObject>,
    message: Option<Start>,
    #[serde(default, deserialize_with = "count::told")]
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Start {
    model: Option<String>,
    #[serde(default, deserialize_with = "count::told")]
    usage: Option<WireUsage>,
}

/// Counts so far; each event that has a count replaces the one before.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct WireUsage {
    #[serde(default, deserialize_with = "count::tokens")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    cache_read_input_tokens: Option<u64>,
}

impl<'a> Assembling<'a> {
    pub(super) fn new(served: &'a Served, live: &'a dyn Live) -> Self {
        Self {
            served,
            live,
            model: served.model().to_owned(),
            blocks: Vec::new(),
            stop: None,
            usage: WireUsage::default(),
            whole: false,
        }
    }

    /// The reply, when nothing of it is missing.
    pub(super) fn finish(self) -> Result<Reply, Error> {
        let (provider, usage) = (self.served.provider(), self.used());
        let closed = self.blocks.iter().all(|growing| !growing.open);
        let Some(stop) = self.stop.filter(|_| closed) else {
            return Err(transient(provider, "the reply broke off before its end".to_owned()));
        };
        // Some servers leave the last event out; a reply that says why it stopped is whole all the same.
        if !self.whole {
            tracing::debug!("A reply of {provider} ended without message_stop");
        }
        let stop = stop_of(&stop);
        let count = self.blocks.len();
        let blocks = self.blocks.into_iter().enumerate().map(|(n, growing)| {
            let cut = stop == Stop::OutputLimit && n + 1 == count;
            growing.finish(cut)
        });
        let blocks = Blocks(blocks.collect());
        Ok(blocks.into_reply(self.served.origin(), stop, usage, self.model))
    }

    /// Takes in newer counts, and tells them.
    fn count(&mut self, newer: Option<WireUsage>) {
        if newer.is_some() {
            self.usage.update(newer);
            self.live.hear(Delta::Used(self.used()));
        }
    }

    /// What the reply has used so far.
    fn used(&self) -> Usage {
        let usage = Usage {
            input: self.usage.input_tokens.unwrap_or(0),
            output: self.usage.output_tokens.unwrap_or(0),
            cache_read: self.usage.cache_read_input_tokens.unwrap_or(0),
            cache_write: self.usage.cache_creation_input_tokens.unwrap_or(0),
            usd: None,
        };
        // What nobody has counted costs something all the same.
        let told = self.usage.input_tokens.is_some() && self.usage.output_tokens.is_some();
        Usage { usd: if told { self.served.usd(&self.model, &usage) } else { None }, ..usage }
    }

    fn start_block(&mut self, index: Option<usize>, block: Option<RawObject>) -> Result<(), Error> {
        let block = block.filter(|_| index == Some(self.blocks.len()));
        let Some(block) = block else { return Err(self.protocol("a content block begins out of turn")) };
        tell(self.live, &block);
        self.blocks.push(Growing { block, arguments: String::new(), open: true });
        Ok(())
    }

    fn grow_block(&mut self, index: Option<usize>, delta: Option<RawObject>) -> Result<(), Error> {
        let growing = index.and_then(|index| self.blocks.get_mut(index)).filter(|growing| growing.open);
        match (growing, delta) {
            (Some(growing), Some(delta)) => {
                tell(self.live, &delta);
                growing.take(delta);
                Ok(())
            }
            (None, _) | (_, None) => Err(self.protocol("a piece belongs to no open content block")),
        }
    }

    fn stop_block(&mut self, index: Option<usize>) -> Result<(), Error> {
        match index.and_then(|index| self.blocks.get_mut(index)).filter(|growing| growing.open) {
            Some(growing) => growing.open = false,
            None => return Err(self.protocol("a content block ends that is not open")),
        }
        Ok(())
    }

    fn protocol(&self, message: &str) -> Error {
        protocol(self.served.provider(), message)
    }
}

impl Assembly for Assembling<'_> {
    fn take(&mut self, data: &str) -> Result<Progress, Error> {
        let event: Event = serde_json::from_str(data)
            .map_err(|error| self.protocol(&format!("an event is no JSON: {error}")))?;
        match event.r#type.as_str() {
            "message_start" => {
                let Some(start) = event.message else {
                    return Err(self.protocol("message_start has no message"));
                };
                self.model = start.model.unwrap_or_else(|| self.model.clone());
                self.count(start.usage);
            }
            "content_block_start" => self.start_block(event.index, event.content_block)?,
            "content_block_delta" => self.grow_block(event.index, event.delta)?,
            "content_block_stop" => self.stop_block(event.index)?,
            "message_delta" => {
                self.count(event.usage);
                self.stop = event.delta.and_then(|delta| delta.text("stop_reason")).or(self.stop.take());
            }
            "message_stop" => {
                self.whole = true;
                return Ok(Progress::Whole);
            }
            "error" => return Err(refusal::in_stream(self.served, data)),
            // `ping`, and what the API may add: new kinds of events are announced as harmless.
            _ => {}
        }
        Ok(Progress::More)
    }
}

impl Growing {
    fn take(&mut self, delta: RawObject) {
        match delta.text("type").as_deref().unwrap_or_default() {
            "text_delta" => self.block.append_text("text", &delta.text("text").unwrap_or_default()),
            "thinking_delta" => {
                self.block.append_text("thinking", &delta.text("thinking").unwrap_or_default())
            }
            "signature_delta" => {
                self.block.set_text("signature", delta.text("signature").unwrap_or_default())
            }
            "input_json_delta" => self.arguments.push_str(&delta.text("partial_json").unwrap_or_default()),
            "citations_delta" => {
                let citation = delta.raw("citation").map(ToOwned::to_owned);
                self.block.append_items("citations", citation.into_iter().collect());
            }
            _ => delta
                .into_raw_fields()
                .filter(|(key, _)| key != "type")
                .for_each(|(key, piece)| self.block.merge(&key, piece)),
        }
    }

    /// The whole block. A call that was `cut` before its first argument must not pass for one without arguments.
    fn finish(mut self, cut: bool) -> RawObject {
        let is_call = self.block.raw("input").is_some();
        if !self.arguments.is_empty()
            || (cut && is_call && self.block.raw("input").map(RawValue::get) == Some("{}"))
        {
            let input = match serde_json::from_str::<RawObject>(&self.arguments) {
                Ok(_) => raw(self.arguments),
                // The API takes nothing else back, and recommends this form.
                Err(_) => wrapped(self.arguments).to_raw(),
            };
            self.block.set("input", input);
        }
        self.block
    }
}

/// Lets `live` hear what stands for people in a piece, or at the begin of a block.
fn tell(live: &dyn Live, piece: &RawObject) {
    let text = |key| piece.text(key).filter(|text| !text.is_empty());
    match piece.text("type").as_deref().unwrap_or_default() {
        "text" | "text_delta" => {
            text("text").iter().for_each(|text| live.hear(Delta::Text(text)));
        }
        "thinking" | "thinking_delta" => {
            text("thinking").iter().for_each(|thought| live.hear(Delta::Thought(thought)));
        }
        _ => {}
    }
}

impl WireUsage {
    fn update(&mut self, newer: Option<Self>) {
        let Some(newer) = newer else { return };
        *self = Self {
            input_tokens: newer.input_tokens.or(self.input_tokens),
            output_tokens: newer.output_tokens.or(self.output_tokens),
            cache_creation_input_tokens: newer
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            cache_read_input_tokens: newer.cache_read_input_tokens.or(self.cache_read_input_tokens),
        };
    }
}

/// The content blocks of a whole reply.
pub(crate) struct Blocks(pub(crate) Vec<RawObject>);

impl Blocks {
    /// The reply that they are.
    pub(crate) fn into_reply(self, origin: Origin, stop: Stop, usage: Usage, model: String) -> Reply {
        let (mut parts, mut calls) = (Vec::new(), Vec::new());
        for block in &self.0 {
            match block.text("type").as_deref().unwrap_or_default() {
                "text" => {
                    parts.extend(block.text("text").filter(|text| !text.trim().is_empty()).map(Part::Text))
                }
                "thinking" => {
                    let thought = block.text("thinking").filter(|text| !text.trim().is_empty());
                    parts.extend(thought.map(Part::Thought));
                }
                "tool_use" => calls.push(ToolCall {
                    id: block.text("id").unwrap_or_default(),
                    name: block.text("name").unwrap_or_default(),
                    arguments: arguments(block.raw("input")),
                }),
                _ => {}
            }
        }
        if stop == Stop::Refused {
            // What was held back may be cut anywhere, also within a call.
            calls.clear();
        }
        let mut message = RawObject::default();
        message.set_text("role", "assistant".to_owned());
        message.append_items("content", self.0.iter().map(RawObject::to_raw).collect());
        Reply { origin, raw: message.to_raw(), parts, calls, stop, usage, model }
    }
}

/// The arguments as the model wrote them.
fn arguments(input: Option<&RawValue>) -> String {
    let Some(input) = input else { return String::new() };
    let object = serde_json::from_str::<RawObject>(input.get()).ok();
    let invalid =
        object.filter(|object| object.keys().eq([INVALID_JSON])).and_then(|object| object.text(INVALID_JSON));
    invalid.unwrap_or_else(|| input.get().to_owned())
}

/// Why the model stopped, from the wire's own word.
pub(crate) fn stop_of(word: &str) -> Stop {
    match word {
        "end_turn" | "stop_sequence" => Stop::Finished,
        "tool_use" => Stop::Tools,
        "max_tokens" | "model_context_window_exceeded" => Stop::OutputLimit,
        "refusal" => Stop::Refused,
        other => Stop::recalled(other),
    }
}

#[cfg(test)]
mod tests;
