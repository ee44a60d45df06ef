//! The replies to give: a recording in the format of `model`'s scripted provider, one JSON object a line.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::cache::Split;

/// Where arguments stand that are no JSON object; the stand-in sends their text as the model would have written it.
const INVALID_JSON: &str = "INVALID_JSON";

/// Recorded replies in their order.
#[derive(Debug, Clone)]
pub struct Recording {
    replies: Vec<Recorded>,
}

/// A line of a recording is no reply.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the recording is no reply")]
pub struct RecordingError {
    line: usize,
    #[source]
    source: serde_json::Error,
}

/// One reply.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    pub(super) content: Vec<Block>,
    stop: Option<String>,
    #[serde(default)]
    pub(super) usage: Usage,
    pub(super) model: Option<String>,
    #[serde(default)]
    delay_ms: u64,
}

/// What a reply is said to have used.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Usage {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cache_read_input_tokens: u64,
    pub(super) cache_creation_input_tokens: u64,
    /// What the reply cost; no wire tells it.
    #[serde(rename = "usd")]
    _usd: f64,
}

/// A content block: as a value, and as it was written.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Box<RawValue>")]
pub(super) struct Block {
    pub(super) value: Value,
    pub(super) raw: Box<RawValue>,
    input: Option<Box<RawValue>>,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`RecordingError`] names the first line that is no reply.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let reply =
            |(n, line)| serde_json::from_str(line).map_err(|source| RecordingError { line: n + 1, source });
        Ok(Self { replies: lines.map(reply).collect::<Result<_, _>>()? })
    }

    /// The reply that is due after `place` others.
    pub(super) fn reply(&self, place: usize) -> Option<&Recorded> {
        self.replies.get(place)
    }

    /// How many replies there are.
    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    /// The models that are said to have answered, each once.
    pub(super) fn models(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.replies.iter().filter_map(|reply| reply.model.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Recorded {
    /// The same reply to a prompt of such tokens.
    pub(super) fn after(&self, prompt: Split) -> Self {
        let mut reply = self.clone();
        reply.usage.input_tokens = prompt.plain;
        reply.usage.cache_read_input_tokens = prompt.read;
        reply.usage.cache_creation_input_tokens = prompt.written;
        reply
    }

    /// Why the model stopped, in Anthropic's word.
    pub(super) fn stop(&self) -> &str {
        let calls = self.content.iter().any(|block| block.kind() == "tool_use");
        self.stop.as_deref().unwrap_or(if calls { "tool_use" } else { "end_turn" })
    }

    /// What was thought, as servers tell it that show thoughts.
    pub(super) fn thought(&self) -> String {
        self.content
            .iter()
            .filter(|block| block.kind() == "thinking")
            .map(|block| block.text("thinking"))
            .collect()
    }

    /// The ids of its calls.
    pub(super) fn call_ids(&self) -> impl Iterator<Item = &str> {
        self.content.iter().filter(|block| block.kind() == "tool_use").map(|block| block.text("id"))
    }

    /// What of it may come back: the Messages API refuses blank texts, and thoughts at the end of a reply. Nothing of a
    /// reply that has nothing else.
    pub(super) fn comes_back(&self) -> &[Block] {
        let last = self.content.iter().rposition(|block| !block.is_thought() && !block.is_blank_text());
        &self.content[..last.map_or(0, |last| last + 1)]
    }

    /// Whether it was cut in its last block.
    pub(super) fn is_cut(&self) -> bool {
        self.stop() == "max_tokens"
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

impl Block {
    pub(super) fn kind(&self) -> &str {
        self.text("type")
    }

    pub(super) fn is_thought(&self) -> bool {
        matches!(self.kind(), "thinking" | "redacted_thinking")
    }

    fn is_blank_text(&self) -> bool {
        self.kind() == "text" && self.text("text").trim().is_empty()
    }

    /// A field that is a string; empty when it is none.
    pub(super) fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The arguments of a call as the model wrote them.
    pub(super) fn arguments(&self) -> &str {
        let invalid = self.value.pointer(&format!("/input/{INVALID_JSON}")).and_then(Value::as_str);
        invalid.or(self.input.as_deref().map(RawValue::get)).unwrap_or("{}")
    }
}

impl TryFrom<Box<RawValue>> for Block {
    type Error = serde_json::Error;

    fn try_from(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Input {
            input: Option<Box<RawValue>>,
        }
        let input = serde_json::from_str::<Input>(raw.get())?.input;
        Ok(Self { value: serde_json::from_str(raw.get())?, raw, input })
    }
}
