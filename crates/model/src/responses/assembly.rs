//! A reply of the Responses API, put together from its events.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::halves::{Grown, Joint, mended};
use crate::raw_object::{RawObject, raw};
use crate::stream::{Assembly, Progress, transient};
use crate::{Delta, Error, Live, Part, Reply, Served, Stop, ToolCall, Usage, bounds, count, refusal};

/// Items of one reply; a server that counts further is broken, and would have us hold a gap for each missing one.
const ITEMS_MAX: usize = 1024;

/// A reply that is not whole yet.
pub(super) struct Assembling<'a> {
    served: &'a Served,
    live: &'a dyn Live,
    /// How many replies came before this one: makes the ids that a server leaves out.
    turn: usize,
    /// The items that are whole, each at its place.
    items: Vec<Option<Box<RawValue>>>,
    /// What people hear arrives in pieces.
    heard: Joint,
    end: Option<Response>,
}

/// The response as the last event tells it.
#[derive(Deserialize)]
struct Response {
    status: Option<String>,
    model: Option<String>,
    output: Option<Vec<Box<RawValue>>>,
    #[serde(default, deserialize_with = "count::told")]
    usage: Option<WireUsage>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct WireUsage {
    #[serde(default, deserialize_with = "count::tokens")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::told")]
    input_tokens_details: Option<InputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct InputDetails {
    #[serde(default, deserialize_with = "count::tokens")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count::tokens")]
    cache_write_tokens: Option<u64>,
}

impl<'a> Assembling<'a> {
    pub(super) fn new(served: &'a Served, live: &'a dyn Live, turn: usize) -> Self {
        Self { served, live, turn, items: Vec::new(), heard: Joint::default(), end: None }
    }

    /// The reply, when nothing of it is missing.
    pub(super) fn finish(mut self) -> Result<Reply, Error> {
        let broken = || transient(self.served.provider(), "the reply broke off before its end".to_owned());
        let mut end = self.end.take().ok_or_else(broken)?;
        let told = end.output.take().unwrap_or_default();
        let whole: Option<Vec<Box<RawValue>>> = std::mem::take(&mut self.items).into_iter().collect();
        // Some servers tell the items only one by one, others only at the end; where both do, they say the same.
        let items = match whole {
            Some(items) if items.len() >= told.len() => items,
            None if told.is_empty() => return Err(broken()),
            Some(_) | None => told,
        };
        let (stop, mut said) = (stop_of(&end), Said::default());
        let count = items.len();
        let items: Vec<Box<RawValue>> = items
            .into_iter()
            .enumerate()
            .map(|(n, item)| {
                let cut = stop == Stop::OutputLimit && n + 1 == count;
                said.take(item, &format!("call_{}_{n}", self.turn), cut)
            })
            .collect::<Result<_, _>>()
            .map_err(|what| self.protocol(what))?;
        let stop = if stop == Stop::Finished { said.stop() } else { stop };
        if stop == Stop::Refused {
            // What was held back may be cut anywhere, also within a call.
            said.calls.clear();
        }
        let model =
            end.model.filter(|model| !model.is_empty()).unwrap_or_else(|| self.served.model().to_owned());
        let mut usage = end.usage.map(WireUsage::split).unwrap_or_default();
        // What nobody has counted costs something all the same.
        if end.usage.is_some_and(|usage| usage.input_tokens.is_some() && usage.output_tokens.is_some()) {
            usage.usd = self.served.usd(&model, &usage);
        }
        let (origin, raw) = (self.served.origin(), list(&items));
        let reply = Reply { origin, raw, parts: said.parts, calls: said.calls, stop, usage, model };
        bounds::checked(self.served, reply)
    }

    fn keep(&mut self, index: Option<usize>, item: Option<Box<RawValue>>) -> Result<(), Error> {
        let (Some(index), Some(item)) = (index, item) else {
            return Err(self.protocol("an item ends without its place or its content"));
        };
        if index >= ITEMS_MAX {
            return Err(self.protocol("the reply has too many items"));
        }
        self.make_place(index);
        if let Some(place) = self.items.get_mut(index) {
            *place = Some(item);
        }
        Ok(())
    }

    /// Notes that there is an item at `index`, so that its end is missed when it does not come.
    fn make_place(&mut self, index: usize) {
        if index >= self.items.len() {
            self.items.resize_with(index + 1, || None);
        }
    }

    /// Lets people hear a piece. What it is a piece of comes whole in the end.
    fn hear(&mut self, event: &RawObject, of: fn(&str) -> Delta<'_>) {
        let text = event.raw("delta").and_then(|delta| self.heard.join(delta));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.live.hear(of(&text));
        }
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
        // The wire ends with an event of its own; servers that come from the older one add their last line.
        if data.trim() == "[DONE]" {
            return Ok(Progress::Whole);
        }
        let event: RawObject = serde_json::from_str(data)
            .map_err(|error| self.protocol(&format!("an event is no JSON object: {error}")))?;
        // The kind comes first: what an event of an unknown kind holds is nothing to us.
        match event.text("type").as_deref() {
            Some("response.output_item.added") => {
                let index: Option<usize> = self.field(&event, "output_index")?;
                let Some(index) = index.filter(|index| *index < ITEMS_MAX) else {
                    return Err(self.protocol("an item begins without its place, or too far on"));
                };
                self.make_place(index);
                self.live.hear(Delta::Unshown(0));
            }
            Some("response.output_item.done") => {
                self.keep(self.field(&event, "output_index")?, self.field(&event, "item")?)?;
            }
            Some("response.output_text.delta" | "response.refusal.delta") => {
                self.hear(&event, |text| Delta::Text(text));
            }
            Some("response.reasoning_summary_text.delta" | "response.reasoning_text.delta") => {
                self.hear(&event, |text| Delta::Thought(text));
            }
            Some("response.function_call_arguments.delta") => {
                self.hear(&event, |text| Delta::Unshown(text.len()));
            }
            Some("response.completed" | "response.incomplete") => {
                let Some(response) = self.field(&event, "response")? else {
                    return Err(self.protocol("the last event has no response"));
                };
                self.end = Some(response);
                return Ok(Progress::Whole);
            }
            Some("response.failed") => {
                let response: RawObject = self.field(&event, "response")?.unwrap_or_default();
                let error = response.raw("error").map_or("{}", RawValue::get);
                return Err(refusal::in_stream(self.served, &format!(r#"{{"error":{error}}}"#)));
            }
            Some("error") => return Err(refusal::in_stream(self.served, data)),
            // The beginning, which some servers say again as a sign of life.
            Some("response.created" | "response.queued" | "response.in_progress") => {
                return Ok(Progress::Same);
            }
            // What the items above hold as well.
            Some(other) if other.starts_with("response.") => {}
            // Signs of life, and what the API may add.
            Some(_) => return Ok(Progress::Same),
            None => {
                let error = refusal::in_body(self.served, data);
                return Err(error.unwrap_or_else(|| self.protocol("an event has no type")));
            }
        }
        Ok(Progress::More)
    }
}

/// What the items of a whole reply say and call, when it stopped like this.
///
/// # Errors
/// What is wrong with one.
pub(crate) fn said(
    items: Vec<Box<RawValue>>,
    stop: &Stop,
) -> Result<(Vec<Part>, Vec<ToolCall>), &'static str> {
    let (mut said, count) = (Said::default(), items.len());
    for (n, item) in items.into_iter().enumerate() {
        said.take(item, "", *stop == Stop::OutputLimit && n + 1 == count)?;
    }
    Ok((said.parts, said.calls))
}

/// What the items of a reply say.
#[derive(Default)]
struct Said {
    parts: Vec<Part>,
    calls: Vec<ToolCall>,
    refused: bool,
}

impl Said {
    /// Why a model stopped that has come to its end.
    fn stop(&self) -> Stop {
        if self.refused {
            Stop::Refused
        } else if self.calls.is_empty() {
            Stop::Finished
        } else {
            Stop::Tools
        }
    }

    /// Takes in one item, and gives it as it is sent back: unchanged, but for a call without an id, which gets `id`. A call
    /// that was `cut` before its first argument must not pass for one without arguments.
    ///
    /// # Errors
    /// What is wrong with it.
    fn take(&mut self, item: Box<RawValue>, id: &str, cut: bool) -> Result<Box<RawValue>, &'static str> {
        let Ok(mut object) = serde_json::from_str::<RawObject>(item.get()) else { return Ok(item) };
        match object.text("type").as_deref().unwrap_or_default() {
            "message" => {
                for (kind, text) in texts(object.raw("content")) {
                    self.refused |= kind == "refusal";
                    self.parts.push(Part::Text(text));
                }
            }
            "reasoning" => {
                let shown = [texts(object.raw("summary")), texts(object.raw("content"))];
                let shown = shown.into_iter().find(|texts| !texts.is_empty()).unwrap_or_default();
                self.parts.extend(shown.into_iter().map(|(_, text)| Part::Thought(text)));
            }
            "function_call" => {
                let given = object.text("call_id").filter(|id| !id.is_empty());
                let nameless = given.is_none();
                let call_id = given.or_else(|| object.text("id").filter(|id| !id.is_empty()));
                let call_id = call_id.unwrap_or_else(|| id.to_owned());
                let mut arguments = arguments(&object)?;
                if arguments.trim().is_empty() && !cut {
                    arguments = "{}".to_owned();
                }
                let name = object.text("name").unwrap_or_default();
                self.calls.push(ToolCall { id: call_id.clone(), name, arguments });
                if nameless {
                    object.set_text("call_id", call_id);
                    return Ok(object.to_raw());
                }
            }
            _ => {}
        }
        Ok(item)
    }
}

/// The arguments of a call; empty when there are none.
fn arguments(call: &RawObject) -> Result<String, &'static str> {
    let Some(given) = call.raw("arguments").filter(|given| given.get() != "null") else {
        return Ok(String::new());
    };
    // Some servers send the arguments as the object that they should be the text of.
    if given.get().starts_with('{') && matches!(mended(given.get()), Cow::Borrowed(_)) {
        return Ok(given.get().to_owned());
    }
    let mut arguments = Grown::default();
    arguments.grow(given).ok_or("the arguments of a call are no text")?;
    if !arguments.is_sound() {
        return Err("half a character stands alone in the arguments of a call");
    }
    Ok(arguments.text().into_owned())
}

/// The texts in a list of parts, each with its kind; blank ones are none.
fn texts(parts: Option<&RawValue>) -> Vec<(String, String)> {
    let parts: Vec<RawObject> =
        parts.and_then(|parts| serde_json::from_str(parts.get()).ok()).unwrap_or_default();
    let text = |part: RawObject| {
        let text = part.text("text").or_else(|| part.text("refusal"))?;
        (!text.trim().is_empty()).then(|| (part.text("type").unwrap_or_default(), text))
    };
    parts.into_iter().filter_map(text).collect()
}

/// The items as one list, byte for byte with commas between them, but for halves of characters that stand alone: nobody
/// takes those back.
fn list(items: &[Box<RawValue>]) -> Box<RawValue> {
    let items: Vec<_> = items.iter().map(|item| mended(item.get())).collect();
    raw(format!("[{}]", items.join(",")))
}

impl WireUsage {
    /// The wire counts cached tokens twice: as such, and in the sum.
    fn split(self) -> Usage {
        let details = self.input_tokens_details.unwrap_or_default();
        let cache_read = details.cached_tokens.unwrap_or(0);
        let cache_write = details.cache_write_tokens.unwrap_or(0);
        let input = self.input_tokens.unwrap_or(0).saturating_sub(cache_read).saturating_sub(cache_write);
        Usage { input, output: self.output_tokens.unwrap_or(0), cache_read, cache_write, usd: None }
    }
}

/// Why the model stopped, as far as the response itself tells.
fn stop_of(end: &Response) -> Stop {
    let reason = end.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
    match (end.status.as_deref(), reason) {
        // Without a reason it is cut short all the same.
        (_, Some("max_output_tokens")) | (Some("incomplete"), None) => Stop::OutputLimit,
        (_, Some("content_filter")) => Stop::Refused,
        (Some("completed") | None, None) => Stop::Finished,
        (_, Some(word)) | (Some(word), None) => Stop::recalled(word),
    }
}

#[cfg(test)]
mod tests;
