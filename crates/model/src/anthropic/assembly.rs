//! A reply of the Messages API, put together from its events.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::foreign::{INVALID_JSON, is_object, wrapped};
use crate::halves::Grown;
use crate::raw_object::{RawObject, raw};
use crate::stream::{Assembly, Progress, transient};
use crate::{Delta, Error, Live, Origin, Part, Reply, Served, Stop, ToolCall, Usage, bounds, count, refusal};

/// Content blocks of one reply: the longest one on offer has 128,000 tokens, and a block is a thought, a text or a call.
const BLOCKS_MAX: usize = 1024;

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
    arguments: Grown,
    open: bool,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default, deserialize_with = "count::told")]
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
            growing.finish(cut).map_err(|what| refusal::against_the_rules(self.served, what))
        });
        let blocks = Blocks(blocks.collect::<Result<_, _>>()?);
        bounds::checked(self.served, blocks.into_reply(self.served.origin(), stop, usage, self.model))
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
        if self.blocks.len() >= BLOCKS_MAX {
            return Err(self.protocol("the reply has too many content blocks"));
        }
        tell(self.live, &block);
        self.live.hear(Delta::Unshown(block.text("name").map_or(0, |name| name.len())));
        self.blocks.push(Growing { block, arguments: Grown::default(), open: true });
        Ok(())
    }

    fn grow_block(&mut self, index: Option<usize>, delta: Option<RawObject>) -> Result<(), Error> {
        let growing = index.and_then(|index| self.blocks.get_mut(index)).filter(|growing| growing.open);
        match (growing, delta) {
            (Some(growing), Some(delta)) => {
                growing.take(delta, self.live).map_err(|what| self.protocol(what))
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

    /// A field of an event of a known kind; nothing when it is absent.
    fn field<T: DeserializeOwned>(&self, event: &RawObject, name: &str) -> Result<Option<T>, Error> {
        event.read(name).map_err(|what| self.protocol(&what))
    }

    fn protocol(&self, what: &str) -> Error {
        refusal::against_the_rules(self.served, what)
    }
}

impl Assembly for Assembling<'_> {
    fn take(&mut self, data: &str) -> Result<Progress, Error> {
        let event: RawObject = serde_json::from_str(data)
            .map_err(|error| self.protocol(&format!("an event is no JSON object: {error}")))?;
        // The kind comes first: what an event of an unknown kind holds is nothing to us.
        match event.text("type").as_deref() {
            Some("message_start") => {
                let Some(start) = self.field::<Start>(&event, "message")? else {
                    return Err(self.protocol("message_start has no message"));
                };
                self.model = start.model.unwrap_or_else(|| self.model.clone());
                self.count(start.usage);
            }
            Some("content_block_start") => {
                self.start_block(self.field(&event, "index")?, self.field(&event, "content_block")?)?;
            }
            Some("content_block_delta") => {
                self.grow_block(self.field(&event, "index")?, self.field(&event, "delta")?)?;
            }
            Some("content_block_stop") => self.stop_block(self.field(&event, "index")?)?,
            Some("message_delta") => {
                self.count(event.read("usage").unwrap_or_default());
                let delta: Option<RawObject> = self.field(&event, "delta")?;
                self.stop = delta.and_then(|delta| delta.text("stop_reason")).or(self.stop.take());
            }
            Some("message_stop") => {
                self.whole = true;
                return Ok(Progress::Whole);
            }
            Some("error") => return Err(refusal::in_stream(self.served, data)),
            // `ping`, and what the API may add: new kinds of events are announced as harmless.
            Some(_) => return Ok(Progress::Same),
            None => {
                let error = refusal::in_body(self.served, data);
                return Err(error.unwrap_or_else(|| self.protocol("an event has no type")));
            }
        }
        Ok(Progress::More)
    }
}

impl Growing {
    /// Takes in a piece, and lets `live` hear what stands in it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn take(&mut self, delta: RawObject, live: &dyn Live) -> Result<(), &'static str> {
        match delta.text("type").as_deref().unwrap_or_default() {
            "text_delta" => {
                if let Some(more) = said(&delta, "text", |piece| self.block.append_text("text", piece))? {
                    live.hear(Delta::Text(&more));
                }
            }
            "thinking_delta" => {
                let grow = |piece: &RawValue| self.block.append_text("thinking", piece);
                if let Some(more) = said(&delta, "thinking", grow)? {
                    live.hear(Delta::Thought(&more));
                }
            }
            "signature_delta" => {
                self.block.set_text("signature", delta.text("signature").unwrap_or_default());
            }
            "input_json_delta" => {
                if let Some(more) = said(&delta, "partial_json", |piece| self.arguments.grow(piece))? {
                    live.hear(Delta::Unshown(more.len()));
                }
            }
            "citations_delta" => {
                let citation = delta.raw("citation").map(ToOwned::to_owned);
                self.block.append_items("citations", citation.into_iter().collect());
            }
            _ => {
                for (key, piece) in delta.into_raw_fields().filter(|(key, _)| key != "type") {
                    self.block.merge(&key, piece);
                }
            }
        }
        Ok(())
    }

    /// The whole block. A call that was `cut` before its first argument must not pass for one without arguments.
    ///
    /// # Errors
    /// What is wrong with it.
    fn finish(mut self, cut: bool) -> Result<RawObject, &'static str> {
        if !self.arguments.is_sound() {
            return Err("half a character stands alone in the arguments of a call");
        }
        let is_call = self.block.text("type").as_deref() == Some("tool_use");
        let arguments = match self.block.raw("input").map(RawValue::get) {
            _ if !self.arguments.is_empty() => self.arguments.text().into_owned(),
            Some("{}") if cut => String::new(),
            Some(given) if is_call => given.to_owned(),
            Some(_) | None => return Ok(self.block),
        };
        // The API takes nothing else back, and recommends this form.
        let input = if is_object(&arguments) { raw(arguments) } else { wrapped(arguments).to_raw() };
        self.block.set("input", input);
        Ok(self.block)
    }
}

/// What the text `key` of a piece makes grow, by `grow`; nothing when it is absent or makes nothing grow.
fn said(
    delta: &RawObject,
    key: &str,
    grow: impl FnOnce(&RawValue) -> Option<String>,
) -> Result<Option<String>, &'static str> {
    let Some(piece) = delta.raw(key).filter(|piece| piece.get() != "null") else { return Ok(None) };
    let more = grow(piece).ok_or("a piece of a content block is no text")?;
    Ok(Some(more).filter(|more| !more.is_empty()))
}

/// Lets `live` hear what stands for people at the begin of a block.
fn tell(live: &dyn Live, block: &RawObject) {
    let text = |key| block.text(key).filter(|text| !text.is_empty());
    match block.text("type").as_deref().unwrap_or_default() {
        "text" => {
            text("text").iter().for_each(|text| live.hear(Delta::Text(text)));
        }
        "thinking" => {
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
