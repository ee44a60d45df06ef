//! What the makers of models want beyond what every server of Chat Completions does, and refuse in their words.

use serde_json::{Map, Value, json};

use super::super::refusal::Refusal;
use super::rules::text;

/// What clients say in the place of a reply, where one has to stand and the model gave none: no reply of the recording.
const STAND_IN: &str = "Noted.";
/// What Google takes for the signature of a call that has none: ai.google.dev/gemini-api/docs/thought-signatures.
const UNSIGNED: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

/// Who made a model, and so who checks what it is asked, whoever serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// Its calls are signed.
    Google,
    /// Results are followed by a reply, and thoughts are parts of the content.
    Mistral,
    /// Replies that call tools go back with their thoughts. Moonshot's Kimi is the same.
    DeepSeek,
    Other,
}

/// A reply of the history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) reply: &'a Value,
    /// Which of the messages it is.
    pub(super) n: usize,
    /// How many replies came before it.
    pub(super) place: usize,
}

impl Maker {
    /// The maker of the model of that name, which may begin with its server's or its maker's.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
        let is_one_of = |families: &[&str]| families.iter().any(|family| name.starts_with(family));
        if is_one_of(&["gemini"]) {
            Self::Google
        } else if is_one_of(&["mistral", "devstral", "codestral", "magistral", "ministral"]) {
            Self::Mistral
        } else if is_one_of(&["deepseek", "kimi"]) {
            Self::DeepSeek
        } else {
            Self::Other
        }
    }

    /// The fields of a call.
    pub(super) fn call_fields(self) -> &'static [&'static str] {
        match self {
            Self::Google => &["id", "type", "function", "extra_content"],
            Self::Mistral | Self::DeepSeek | Self::Other => &["id", "type", "function"],
        }
    }

    /// What stands beside the function of call `n` of the reply that is due after `place` others.
    pub(super) fn beside(self, n: usize, place: usize) -> Map<String, Value> {
        let mut fields = Map::new();
        // Of parallel calls only the first one is signed.
        if self == Self::Google && n == 0 {
            let google = json!({ "google": { "thought_signature": signature(place) } });
            fields.insert("extra_content".to_owned(), google);
        }
        fields
    }

    /// A piece of a thought as it is streamed.
    pub(super) fn thought(self, piece: &str) -> Value {
        match self {
            Self::Mistral => json!({ "content": [think_chunk(piece)] }),
            Self::Google | Self::DeepSeek | Self::Other => json!({ "reasoning_content": piece }),
        }
    }

    /// Puts the whole of a thought into a reply.
    pub(super) fn put_thought(self, message: &mut Value, thought: &str) {
        if self != Self::Mistral {
            message["reasoning_content"] = thought.into();
            return;
        }
        let text = message["content"].as_str().map(|text| json!({ "type": "text", "text": text }));
        message["content"] = [think_chunk(thought)].into_iter().chain(text).collect();
    }

    /// Whether this is what a client says in the place of a reply.
    pub(super) fn is_stand_in(self, reply: &Value) -> bool {
        self == Self::Mistral && text(reply, "content") == STAND_IN
    }

    /// Whether `thought` may stand where the reply had another one, or none.
    pub(super) fn takes_thought(self, thought: &Value) -> bool {
        self == Self::DeepSeek && thought.as_str() == Some(" ")
    }

    /// Checks the order of messages, by their roles.
    pub(super) fn check_order(self, messages: &[Value]) -> Result<(), Refusal> {
        if self != Self::Mistral {
            return Ok(());
        }
        let follows = |pair: &[Value]| text(&pair[0], "role") == "tool" && text(&pair[1], "role") == "user";
        if messages.windows(2).any(follows) {
            let message = "Unexpected role 'user' after role 'tool'";
            return Err(Refusal::new(400, "invalid_request_message_order", message).coded("3230"));
        }
        Ok(())
    }

    /// Checks the thought that stands in the content of a reply against the one that was `recorded`.
    pub(super) fn check_content(self, told: Told<'_>, recorded: &str) -> Result<(), Refusal> {
        if self != Self::Mistral {
            return Ok(());
        }
        if told.reply.get("reasoning_content").is_some() {
            return Err(Refusal::new(422, "invalid_request_error", "Extra inputs are not permitted"));
        }
        let parts = told.reply["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let thoughts: Vec<&Value> = parts.iter().filter(|part| text(part, "type") == "thinking").collect();
        if thoughts.len() > 1 {
            let message = format!("Expected at most one leading ThinkChunk, got {}", thoughts.len());
            return Err(Refusal::invalid(message));
        }
        match thoughts.first() {
            Some(thought) if **thought != think_chunk(recorded) => {
                Err(Refusal::invalid("'content' is not what the model answered."))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Checks a reply; `since_user` when it is of the turn that the user's last word began.
    pub(super) fn check_reply(self, told: Told<'_>, since_user: bool) -> Result<(), Refusal> {
        let Some(call) = told.reply.pointer("/tool_calls/0") else { return Ok(()) };
        match self {
            Self::Google if since_user => check_signature(call, told),
            Self::DeepSeek if text(told.reply, "reasoning_content").is_empty() => {
                Err(Refusal::invalid(format!(
                    "Missing `reasoning_content` field in the assistant message at message index {}. For more information, \
                     please refer to https://api-docs.deepseek.com/guides/thinking_mode#tool-calls",
                    told.n
                ))
                .coded("invalid_request_error"))
            }
            Self::Google | Self::Mistral | Self::DeepSeek | Self::Other => Ok(()),
        }
    }
}

/// What Mistral calls a `ThinkChunk`.
fn think_chunk(thought: &str) -> Value {
    json!({ "type": "thinking", "thinking": [{ "type": "text", "text": thought }] })
}

fn check_signature(call: &Value, told: Told<'_>) -> Result<(), Refusal> {
    let signed = call.pointer("/extra_content/google/thought_signature").and_then(Value::as_str);
    match signed {
        None => {
            let name = call.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
            Err(Refusal::invalid(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work \
                 correctly, and missing thought_signature may lead to degraded model performance. Additional data, function \
                 call `default_api:{name}` , position {}. Please refer to \
                 https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                told.n
            )))
        }
        Some(text) if UNSIGNED.contains(&text) || text == signature(told.place) => Ok(()),
        Some(_) => Err(Refusal::invalid("Corrupted thought signature.")),
    }
}

/// The real ones are secret; this one need only tell a test that it came back.
fn signature(place: usize) -> String {
    format!("c2lnbmVk{place:04}")
}
