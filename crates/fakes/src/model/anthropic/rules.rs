//! What the Messages API refuses, in its words.

mod messages;

use serde_json::{Map, Value, json};

use super::super::recording::Recording;
use super::super::refusal::Refusal;
use super::super::seal::Prefix;

/// The longest reply that any model gives, in tokens.
const OUTPUT_TOKENS_MAX: u64 = 128_000;
/// The least that may be thought, in tokens.
const THINKING_TOKENS_MIN: u64 = 1024;
/// The most cache marks in a request.
const MARKS_MAX: usize = 4;
const FIELDS: [&str; 17] = [
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
/// Settings that the models before 4.7 took, and that are refused here as the newer ones do.
const SAMPLING: [&str; 3] = ["temperature", "top_k", "top_p"];
/// Models that want a budget for thinking.
const BUDGETED: [&str; 3] = ["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"];

/// A request that is in order.
pub(super) struct Asked<'a> {
    pub(super) model: &'a str,
    pub(super) stream: bool,
    /// How many replies the conversation has.
    pub(super) place: usize,
    /// What was said before the reply that is due.
    pub(super) prefix: Prefix,
}

/// Checks everything but the headers.
pub(super) fn check<'a>(
    request: &'a Map<String, Value>,
    recording: &Recording,
) -> Result<Asked<'a>, Refusal> {
    for field in request.keys() {
        if SAMPLING.contains(&field.as_str()) {
            return Err(Refusal::invalid(format!("`{field}` is deprecated for this model.")));
        }
        if !FIELDS.contains(&field.as_str()) {
            return Err(Refusal::invalid(format!("{field}: Extra inputs are not permitted")));
        }
    }
    let model = required(request, "model")?.as_str().filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Refusal::invalid("model: Input should be a valid string"))?;
    let max_tokens = check_max_tokens(required(request, "max_tokens")?, model)?;
    let stream = match request.get("stream") {
        None => false,
        Some(stream) => {
            stream.as_bool().ok_or_else(|| Refusal::invalid("stream: Input should be a valid boolean"))?
        }
    };
    check_thinking(request.get("thinking"), model, max_tokens)?;
    check_system(request.get("system"))?;
    check_tools(request.get("tools"))?;
    check_marks(request)?;
    let mut prefix = Prefix::default();
    prefix.push(&json!([request.get("system"), request.get("tools")]));
    let messages = required(request, "messages")?.as_array();
    let messages = messages.ok_or_else(|| Refusal::invalid("messages: Input should be a valid list"))?;
    let place = messages::check(messages, &mut prefix, recording, request.contains_key("tools"))?;
    if request.get("thinking").is_some_and(|thinking| thinking["type"] == "enabled") {
        messages::check_turn_begins_with_thinking(messages)?;
    }
    Ok(Asked { model, stream, place, prefix })
}

fn required<'a>(request: &'a Map<String, Value>, field: &str) -> Result<&'a Value, Refusal> {
    request.get(field).ok_or_else(|| Refusal::invalid(format!("{field}: Field required")))
}

fn check_max_tokens(max_tokens: &Value, model: &str) -> Result<u64, Refusal> {
    match max_tokens.as_u64() {
        None => Err(Refusal::invalid("max_tokens: Input should be a valid integer")),
        Some(0) => Err(Refusal::invalid("max_tokens: must be greater than or equal to 1")),
        Some(tokens) if tokens > OUTPUT_TOKENS_MAX => Err(Refusal::invalid(format!(
            "max_tokens: {tokens} > {OUTPUT_TOKENS_MAX}, which is the maximum allowed number of output tokens for {model}"
        ))),
        Some(tokens) => Ok(tokens),
    }
}

fn check_thinking(thinking: Option<&Value>, model: &str, max_tokens: u64) -> Result<(), Refusal> {
    let Some(thinking) = thinking else { return Ok(()) };
    let fields =
        thinking.as_object().ok_or_else(|| Refusal::invalid("thinking: Input should be an object"))?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    let known: &[&str] = match kind {
        "enabled" => &["type", "budget_tokens", "display"],
        "adaptive" => &["type", "display"],
        "disabled" => &["type"],
        _ => {
            return Err(Refusal::invalid(
                "thinking.type: Input should be 'enabled', 'disabled' or 'adaptive'",
            ));
        }
    };
    if let Some(field) = fields.keys().find(|field| !known.contains(&field.as_str())) {
        return Err(Refusal::invalid(format!("thinking.{kind}.{field}: Extra inputs are not permitted")));
    }
    let display = fields.get("display").map(|display| display.as_str().unwrap_or_default());
    if display.is_some_and(|display| !matches!(display, "summarized" | "omitted")) {
        return Err(Refusal::invalid(format!(
            "thinking.{kind}.display: Input should be 'summarized' or 'omitted'"
        )));
    }
    let budgeted = BUDGETED.iter().any(|family| model.starts_with(family));
    if kind == "adaptive" && budgeted {
        return Err(Refusal::invalid("adaptive thinking is not supported on this model"));
    }
    if kind != "enabled" {
        return Ok(());
    }
    if !budgeted && model.starts_with("claude-") {
        return Err(Refusal::invalid(
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior.",
        ));
    }
    match fields.get("budget_tokens").and_then(Value::as_u64) {
        None => Err(Refusal::invalid("thinking.enabled.budget_tokens: Field required")),
        Some(tokens) if tokens < THINKING_TOKENS_MIN => Err(Refusal::invalid(format!(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to {THINKING_TOKENS_MIN}"
        ))),
        Some(tokens) if tokens >= max_tokens => {
            Err(Refusal::invalid("`max_tokens` must be greater than `thinking.budget_tokens`"))
        }
        Some(_) => Ok(()),
    }
}

fn check_system(system: Option<&Value>) -> Result<(), Refusal> {
    match system {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => blocks.iter().enumerate().try_for_each(|(n, block)| {
            check_fields(block, &format!("system.{n}"), &["type", "text", "cache_control", "citations"])?;
            if block.get("type").and_then(Value::as_str) != Some("text") {
                return Err(Refusal::invalid(format!("system.{n}.type: Input should be 'text'")));
            }
            messages::check_text(block.get("text"), &format!("system.{n}.text"), "system")
        }),
        Some(_) => Err(Refusal::invalid("system: Input should be a valid string or a valid list")),
    }
}

fn check_tools(tools: Option<&Value>) -> Result<(), Refusal> {
    let Some(tools) = tools else { return Ok(()) };
    let tools = tools.as_array().ok_or_else(|| Refusal::invalid("tools: Input should be a valid list"))?;
    let known =
        ["name", "description", "input_schema", "cache_control", "type", "strict", "eager_input_streaming"];
    let mut names = Vec::new();
    for (n, tool) in tools.iter().enumerate() {
        let at = format!("tools.{n}.custom");
        check_fields(tool, &at, &known)?;
        let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
        if !is_name(name) {
            return Err(Refusal::invalid(format!(
                "{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
            )));
        }
        if names.contains(&name) {
            return Err(Refusal::invalid("tools: Tool names must be unique."));
        }
        names.push(name);
        match tool.get("input_schema").and_then(Value::as_object) {
            None => return Err(Refusal::invalid(format!("{at}.input_schema: Field required"))),
            Some(schema) if schema.get("type").and_then(Value::as_str) != Some("object") => {
                return Err(Refusal::invalid(format!("{at}.input_schema.type: Input should be 'object'")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Counts the cache marks, wherever the API allows them; elsewhere they are unknown fields.
fn check_marks(request: &Map<String, Value>) -> Result<(), Refusal> {
    let said = items(request.get("messages")).iter().flat_map(|message| items(message.get("content")));
    let blocks = items(request.get("tools")).iter().chain(items(request.get("system"))).chain(said);
    let marks: Vec<&Value> = blocks.filter_map(|block| block.get("cache_control")).collect();
    let count = marks.len() + usize::from(request.contains_key("cache_control"));
    if count > MARKS_MAX {
        let message =
            format!("A maximum of {MARKS_MAX} blocks with cache_control may be provided. Found {count}.");
        return Err(Refusal::invalid(message));
    }
    for mark in marks {
        let ttl = mark.get("ttl").map(|ttl| ttl.as_str().unwrap_or_default());
        let known = mark.get("type").and_then(Value::as_str) == Some("ephemeral");
        if !known || ttl.is_some_and(|ttl| !matches!(ttl, "5m" | "1h")) {
            return Err(Refusal::invalid("cache_control: Input should be {\"type\": \"ephemeral\"}"));
        }
    }
    Ok(())
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn check_fields(object: &Value, at: &str, known: &[&str]) -> Result<(), Refusal> {
    let object =
        object.as_object().ok_or_else(|| Refusal::invalid(format!("{at}: Input should be an object")))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Refusal::invalid(format!("{at}.{key}: Extra inputs are not permitted"))),
        None => Ok(()),
    }
}

/// `^[a-zA-Z0-9_-]{1,64}$`
pub(in super::super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
