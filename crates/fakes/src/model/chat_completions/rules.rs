//! What the Chat Completions API refuses, in its words.

use serde_json::{Map, Value};

use super::super::anthropic::is_name;
use super::super::recording::{Recorded, Recording};
use super::super::refusal::Refusal;
use super::makers::{Maker, Told};

/// The longest reply that any model gives, in tokens.
const OUTPUT_TOKENS_MAX: u64 = 128_000;
const FIELDS: [&str; 18] = [
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "n",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning_effort",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
];
const REPLY_FIELDS: [&str; 8] =
    ["audio", "content", "function_call", "name", "reasoning_content", "refusal", "role", "tool_calls"];

/// A request that is in order.
pub(super) struct Asked<'a> {
    pub(super) model: &'a str,
    pub(super) maker: Maker,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// How many replies the conversation has.
    pub(super) place: usize,
}

/// Checks everything but the headers.
pub(super) fn check<'a>(
    request: &'a Map<String, Value>,
    recording: &Recording,
) -> Result<Asked<'a>, Refusal> {
    if let Some(field) = request.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(Refusal::invalid(format!("Unrecognized request argument supplied: {field}")));
    }
    let model = request.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Refusal::invalid("you must provide a model parameter"))?;
    check_limits(request)?;
    let stream = flag(request, "stream")?;
    let include_usage = check_stream_options(request, stream)?;
    check_tools(request.get("tools"))?;
    let Some(messages) = request.get("messages") else {
        return Err(Refusal::at("messages", "Missing required parameter: 'messages'."));
    };
    let messages = messages.as_array().ok_or_else(|| wrong_type("messages", "an array", messages))?;
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(Refusal::at("messages", message));
    }
    let maker = Maker::of(model);
    maker.check_order(messages)?;
    let place = check_messages(messages, recording, maker)?;
    Ok(Asked { model, maker, stream, include_usage, place })
}

fn check_limits(request: &Map<String, Value>) -> Result<(), Refusal> {
    if request.contains_key("max_tokens") && request.contains_key("max_completion_tokens") {
        return Err(Refusal::invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        ));
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(limit) = request.get(name) else { continue };
        match limit.as_u64() {
            None => return Err(wrong_type(name, "an integer", limit)),
            Some(1..=OUTPUT_TOKENS_MAX) => {}
            Some(tokens) => {
                let message = format!(
                    "{name} is out of range: {tokens}. This model supports at most {OUTPUT_TOKENS_MAX} completion tokens."
                );
                return Err(Refusal::at(name, message));
            }
        }
    }
    Ok(())
}

fn check_stream_options(request: &Map<String, Value>, stream: bool) -> Result<bool, Refusal> {
    let Some(options) = request.get("stream_options") else { return Ok(false) };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::at("stream_options", message));
    }
    let options = options.as_object().ok_or_else(|| wrong_type("stream_options", "an object", options))?;
    if let Some(field) =
        options.keys().find(|field| !matches!(field.as_str(), "include_usage" | "include_obfuscation"))
    {
        let param = format!("stream_options.{field}");
        return Err(Refusal::at(param.clone(), format!("Unknown parameter: '{param}'.")));
    }
    flag(options, "include_usage")
}

fn check_tools(tools: Option<&Value>) -> Result<(), Refusal> {
    let Some(tools) = tools else { return Ok(()) };
    let list = tools.as_array().ok_or_else(|| wrong_type("tools", "an array", tools))?;
    if list.is_empty() {
        let message = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(Refusal::at("tools", message));
    }
    for (n, tool) in list.iter().enumerate() {
        let at = format!("tools[{n}]");
        known_fields(tool, &at, &["type", "function"])?;
        if text(tool, "type") != "function" {
            return Err(Refusal::at(
                format!("{at}.type"),
                format!("Invalid value: '{}'.", text(tool, "type")),
            ));
        }
        let function = tool.get("function").unwrap_or(&Value::Null);
        let at = format!("{at}.function");
        known_fields(function, &at, &["name", "description", "parameters", "strict"])?;
        if !is_name(text(function, "name")) {
            let at = format!("{at}.name");
            let message = format!(
                "Invalid '{at}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            );
            return Err(Refusal::at(at, message));
        }
        if let Some(parameters) = function.get("parameters").filter(|parameters| !parameters.is_object()) {
            return Err(wrong_type(&format!("{at}.parameters"), "an object", parameters));
        }
    }
    Ok(())
}

/// Checks the history, and counts the replies in it.
fn check_messages(messages: &[Value], recording: &Recording, maker: Maker) -> Result<usize, Refusal> {
    let mut place = 0;
    let last_word = messages.iter().rposition(|message| text(message, "role") == "user");
    // The calls that still wait for their results.
    let mut waiting: Vec<&str> = Vec::new();
    for (n, message) in messages.iter().enumerate() {
        let at = format!("messages[{n}]");
        let role = text(message, "role");
        if role != "tool" && !waiting.is_empty() {
            return Err(unanswered(n, &waiting));
        }
        match role {
            "system" | "developer" | "user" => {
                known_fields(message, &at, &["role", "content", "name"])?;
                check_content(message, &at)?;
            }
            "assistant" => {
                waiting = check_reply(message, &at, maker)?;
                if maker.is_stand_in(message) {
                    continue;
                }
                let told = Told { reply: message, n, place };
                let thought = recording.reply(place).map(Recorded::thought).unwrap_or_default();
                check_thought(message, &at, &thought, maker)?;
                maker.check_content(told, &thought)?;
                maker.check_reply(told, last_word < Some(n))?;
                place += 1;
            }
            "tool" => {
                known_fields(message, &at, &["role", "content", "tool_call_id"])?;
                check_content(message, &at)?;
                let id = text(message, "tool_call_id");
                let Some(answered) = waiting.iter().position(|call| *call == id) else {
                    let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
                    return Err(Refusal::at(format!("messages.[{n}].role"), message));
                };
                waiting.remove(answered);
            }
            other => {
                let message = format!(
                    "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
                );
                return Err(Refusal::at(format!("{at}.role"), message));
            }
        }
    }
    if waiting.is_empty() { Ok(place) } else { Err(unanswered(messages.len(), &waiting)) }
}

/// Checks a reply in the history, and gives its calls.
fn check_reply<'a>(message: &'a Value, at: &str, maker: Maker) -> Result<Vec<&'a str>, Refusal> {
    known_fields(message, at, &REPLY_FIELDS)?;
    let calls = match message.get("tool_calls") {
        None => &[],
        Some(calls) => calls
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| wrong_type(&format!("{at}.tool_calls"), "an array", calls))?,
    };
    let content = message.get("content").filter(|content| !content.is_null());
    if let Some(content) = content {
        if !content.is_string() && !content.is_array() {
            return Err(wrong_type(&format!("{at}.content"), "a string or array", content));
        }
    } else if calls.is_empty() {
        let message = format!("Invalid value for 'content': expected a string, got null. ({at})");
        return Err(Refusal::at(format!("{at}.content"), message));
    }
    let mut ids = Vec::new();
    for (n, call) in calls.iter().enumerate() {
        let at = format!("{at}.tool_calls[{n}]");
        known_fields(call, &at, maker.call_fields())?;
        let function = call.get("function").unwrap_or(&Value::Null);
        known_fields(function, &format!("{at}.function"), &["name", "arguments"])?;
        let arguments = function.get("arguments").unwrap_or(&Value::Null);
        if !arguments.is_string() {
            return Err(wrong_type(&format!("{at}.function.arguments"), "a string", arguments));
        }
        let id = text(call, "id");
        if text(call, "type") != "function"
            || id.is_empty()
            || ids.contains(&id)
            || !is_name(text(function, "name"))
        {
            return Err(Refusal::at(at.clone(), format!("Invalid value for '{at}'.")));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Servers that show their thoughts in this field want them back as they were.
fn check_thought(message: &Value, at: &str, recorded: &str, maker: Maker) -> Result<(), Refusal> {
    let Some(thought) = message.get("reasoning_content") else { return Ok(()) };
    if maker.takes_thought(thought) || thought.as_str() == Some(recorded) {
        return Ok(());
    }
    let at = format!("{at}.reasoning_content");
    Err(Refusal::at(at.clone(), format!("'{at}' is not what the model answered.")))
}

fn check_content(message: &Value, at: &str) -> Result<(), Refusal> {
    let at = format!("{at}.content");
    match message.get("content") {
        None => Err(Refusal::at(at.clone(), format!("Missing required parameter: '{at}'."))),
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(parts)) if !parts.is_empty() => Ok(()),
        Some(other) => Err(wrong_type(&at, "a string or an array of objects", other)),
    }
}

fn unanswered(n: usize, ids: &[&str]) -> Refusal {
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The \
         following tool_call_ids did not have response messages: {}",
        ids.join(", ")
    );
    Refusal::at(format!("messages.[{n}].role"), message)
}

pub(in crate::model) fn known_fields(object: &Value, at: &str, known: &[&str]) -> Result<(), Refusal> {
    let fields = object.as_object().ok_or_else(|| wrong_type(at, "an object", object))?;
    match fields.keys().find(|field| !known.contains(&field.as_str())) {
        Some(field) => {
            let param = format!("{at}.{field}");
            Err(Refusal::at(param.clone(), format!("Unknown parameter: '{param}'.")))
        }
        None => Ok(()),
    }
}

pub(in crate::model) fn flag(object: &Map<String, Value>, name: &str) -> Result<bool, Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong_type(name, "a boolean", value)),
    }
}

pub(in crate::model) fn wrong_type(param: &str, expected: &str, got: &Value) -> Refusal {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Refusal::at(param, format!("Invalid type for '{param}': expected {expected}, but got {got} instead."))
}

pub(in crate::model) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
