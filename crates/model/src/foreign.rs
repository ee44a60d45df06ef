//! Replies that somebody else wrote, as any wire can take them: what was said, and the calls.
//!
//! Thoughts are left out: they are signed for the model that had them, or mean nothing to another one. Calls get ids and
//! names that every wire takes; an id follows from the call's place alone, so that its result finds it again.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::raw_object::RawObject;
use crate::{Part, Reply, ToolCall};

/// Where arguments stand that are no JSON object: no wire but the one that they came by takes them as they are.
pub(crate) const INVALID_JSON: &str = "INVALID_JSON";
/// The longest name of a tool that all wires take.
const NAME_BYTES_MAX: usize = 64;
/// What a call without a name is called.
const NAMELESS: &str = "unnamed";

/// What was said in `reply`, without its thoughts; empty when nothing was.
pub(crate) fn text(reply: &Reply) -> String {
    let said = reply.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Thought(_) => None,
    });
    said.collect::<Vec<_>>().join("\n\n")
}

/// The id of call `n` of a reply that has `replies` others before it: nine letters and digits, which is what the
/// narrowest servers take (Mistral's), and like no id that a provider makes.
pub(crate) fn call_id(replies: usize, n: usize) -> String {
    format!("x{replies:05}{n:03}")
}

/// The name of the tool that is called, of letters, digits, `_` and `-`.
pub(crate) fn name(call: &ToolCall) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = call.name.chars().take(NAME_BYTES_MAX).map(allowed).collect();
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

/// The arguments as a JSON object, whatever the model wrote.
pub(crate) fn arguments(call: &ToolCall) -> Cow<'_, str> {
    if is_object(&call.arguments) {
        return Cow::Borrowed(&call.arguments);
    }
    Cow::Owned(wrapped(call.arguments.clone()).to_raw().get().to_owned())
}

/// Whether arguments are a JSON object. Whoever takes them reads them in full: one that is none but at its surface is
/// refused, and never run.
pub(crate) fn is_object(arguments: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(arguments).is_ok()
}

/// Text that is no JSON object, in one.
pub(crate) fn wrapped(text: String) -> RawObject {
    let mut object = RawObject::default();
    object.set_text(INVALID_JSON, text);
    object
}
