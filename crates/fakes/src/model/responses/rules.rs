//! What the Responses API refuses, in its words.

mod input;

use serde_json::{Map, Value};

use super::super::Fake;
use super::super::anthropic::is_name;
use super::super::refusal::Refusal;
use super::super::{Organization, chat_completions};
use super::items::{Encrypted, Shown, Summary};
use chat_completions::{flag, text, wrong_type};

/// The longest reply that any model gives, in tokens.
const OUTPUT_TOKENS: std::ops::RangeInclusive<u64> = 16..=128_000;
/// The longest `prompt_cache_key`, in characters.
const CACHE_KEY_CHARS_MAX: usize = 64;
const FIELDS: [&str; 24] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];
const INCLUDABLE: [&str; 6] = [
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
];

/// A request that is in order.
pub(super) struct Asked<'a> {
    pub(super) model: &'a str,
    pub(super) stream: bool,
    pub(super) shown: Shown,
    /// How many replies the conversation has.
    pub(super) place: usize,
}

/// Checks everything but the headers.
pub(super) fn check<'a>(request: &'a Map<String, Value>, fake: &Fake) -> Result<Asked<'a>, Refusal> {
    if let Some(field) = request.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(Refusal::at(field.clone(), format!("Unknown parameter: '{field}'.")));
    }
    let model = request.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Refusal::at("model", "Missing required parameter: 'model'."))?;
    check_values(request)?;
    if flag(request, "store")? || request.contains_key("previous_response_id") {
        let message = "This stand-in stores nothing: send 'store': false and the whole conversation.";
        return Err(Refusal::at("store", message));
    }
    let shown = check_thoughts(request, model, fake)?;
    check_tools(request.get("tools"))?;
    let place = match request.get("input") {
        None => return Err(Refusal::at("input", "Missing required parameter: 'input'.")),
        Some(Value::String(_)) => 0,
        Some(Value::Array(items)) => input::check(items, fake.recording(), shown)?,
        Some(other) => return Err(wrong_type("input", "one of a list or a string", other)),
    };
    Ok(Asked { model, stream: flag(request, "stream")?, shown, place })
}

fn check_values(request: &Map<String, Value>) -> Result<(), Refusal> {
    if let Some(tokens) = request.get("max_output_tokens") {
        match tokens.as_u64() {
            None => return Err(wrong_type("max_output_tokens", "an integer", tokens)),
            Some(tokens) if !OUTPUT_TOKENS.contains(&tokens) => {
                let (min, max) = (OUTPUT_TOKENS.start(), OUTPUT_TOKENS.end());
                let message =
                    format!("Invalid 'max_output_tokens': {tokens} is not between {min} and {max}.");
                return Err(Refusal::at("max_output_tokens", message));
            }
            Some(_) => {}
        }
    }
    for name in ["instructions", "prompt_cache_key"] {
        let Some(value) = request.get(name).filter(|value| !value.is_null()) else { continue };
        let text = value.as_str().ok_or_else(|| wrong_type(name, "a string", value))?;
        if name == "prompt_cache_key" && text.chars().count() > CACHE_KEY_CHARS_MAX {
            let message = format!(
                "Invalid '{name}': string too long. Expected a string with maximum length {CACHE_KEY_CHARS_MAX}, but got a string with length {} instead.",
                text.chars().count()
            );
            return Err(Refusal::at(name, message));
        }
    }
    Ok(())
}

/// What may be seen of the model's thoughts.
fn check_thoughts(request: &Map<String, Value>, model: &str, fake: &Fake) -> Result<Shown, Refusal> {
    let thinks = !model.starts_with("gpt-4");
    let none = Vec::new();
    let include = match request.get("include") {
        None | Some(Value::Null) => &none,
        Some(list) => list.as_array().ok_or_else(|| wrong_type("include", "an array", list))?,
    };
    if let Some(other) =
        include.iter().find(|name| !name.as_str().is_some_and(|name| INCLUDABLE.contains(&name)))
    {
        return Err(Refusal::at(
            "include[0]",
            format!("Invalid value: '{}'.", other.as_str().unwrap_or_default()),
        ));
    }
    let encrypted = include.iter().any(|name| name == "reasoning.encrypted_content");
    if encrypted && !thinks {
        return Err(Refusal::at("include", "Encrypted content is not supported with this model."));
    }
    let mut summary = Summary::Kept;
    if let Some(reasoning) = request.get("reasoning").filter(|reasoning| !reasoning.is_null()) {
        known_fields(reasoning, "reasoning", &["effort", "summary"])?;
        for name in ["effort", "summary"] {
            let param = format!("reasoning.{name}");
            let Some(value) = reasoning.get(name).filter(|value| !value.is_null()) else { continue };
            if !thinks {
                let message =
                    format!("Unsupported parameter: '{param}' is not supported with the '{model}' model.");
                return Err(Refusal::at(param, message));
            }
            let known: &[&str] = match name {
                "effort" => &["minimal", "low", "medium", "high", "xhigh", "max"],
                _ => &["auto", "concise", "detailed"],
            };
            if !value.as_str().is_some_and(|value| known.contains(&value)) {
                return Err(Refusal::at(param, format!("Invalid value: {value}.")));
            }
        }
        if reasoning.get("summary").is_some_and(Value::is_string) {
            if fake.organization() == Organization::Unverified {
                let message = "Your organization must be verified to generate reasoning summaries. Please go to: \
                               https://platform.openai.com/settings/organization/general and click on Verify Organization.";
                return Err(Refusal::at("reasoning.summary", message));
            }
            summary = Summary::Told;
        }
    }
    Ok(Shown { summary, encrypted: if encrypted { Encrypted::Told } else { Encrypted::Kept } })
}

fn check_tools(tools: Option<&Value>) -> Result<(), Refusal> {
    let Some(tools) = tools else { return Ok(()) };
    let list = tools.as_array().ok_or_else(|| wrong_type("tools", "an array", tools))?;
    for (n, tool) in list.iter().enumerate() {
        let at = format!("tools[{n}]");
        known_fields(tool, &at, &["type", "name", "description", "parameters", "strict"])?;
        if text(tool, "type") != "function" {
            return Err(Refusal::at(
                format!("{at}.type"),
                format!("Invalid value: '{}'.", text(tool, "type")),
            ));
        }
        let name = text(tool, "name");
        if !is_name(name) {
            let at = format!("{at}.name");
            let message = format!(
                "Invalid '{at}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            );
            return Err(Refusal::at(at, message));
        }
        let parameters = tool.get("parameters").unwrap_or(&Value::Null);
        if !parameters.is_object() {
            return Err(wrong_type(&format!("{at}.parameters"), "an object", parameters));
        }
        // Strict is what holds unless a request says otherwise.
        let strict = tool.get("strict").is_none_or(|strict| strict == &Value::Bool(true));
        if strict && parameters.get("additionalProperties") != Some(&Value::Bool(false)) {
            let message = format!(
                "Invalid schema for function '{name}': In context=(), 'additionalProperties' is required to be supplied and to be false."
            );
            return Err(Refusal::at(format!("{at}.parameters"), message));
        }
    }
    Ok(())
}

fn known_fields(object: &Value, at: &str, known: &[&str]) -> Result<(), Refusal> {
    chat_completions::known_fields(object, at, known)
}
