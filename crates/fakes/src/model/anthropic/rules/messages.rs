//! What the Messages API refuses in the history.

use serde_json::Value;

use super::super::super::recording::{Recorded, Recording};
use super::super::super::refusal::Refusal;
use super::super::super::seal::{Broken, Prefix};
use super::check_fields;

/// Checks the history, takes it into `prefix`, and counts the replies in it.
pub(super) fn check(
    messages: &[Value],
    prefix: &mut Prefix,
    recording: &Recording,
    has_tools: bool,
) -> Result<usize, Refusal> {
    check_roles(messages)?;
    let last_reply = messages.iter().rposition(|message| role(message) == "assistant");
    let mut ids = Vec::new();
    let mut place = 0;
    for (n, message) in messages.iter().enumerate() {
        check_fields(message, &format!("messages.{n}"), &["role", "content"])?;
        let content = content(n, message)?;
        let tools_used = content.iter().any(|block| matches!(kind(block), "tool_use" | "tool_result"));
        if tools_used && !has_tools {
            return Err(Refusal::invalid(
                "Requests which include `tool_use` or `tool_result` blocks must define tools",
            ));
        }
        if role(message) == "assistant" {
            let reply =
                Reply { n, content, is_last: last_reply == Some(n), recorded: recording.reply(place) };
            reply.check(prefix, &mut ids)?;
            check_answered(n, &reply.calls(), messages.get(n + 1))?;
            place += 1;
        } else {
            let before = n.checked_sub(1).and_then(|before| messages.get(before));
            check_user(n, content, &calls_of(before))?;
            // Nothing of a reply of thoughts alone may stand here: a text right after a message of the same side tells of it.
            let is_silent = recording.reply(place).is_some_and(|reply| reply.comes_back().is_empty());
            let is_told = content.iter().all(|block| kind(block) == "text");
            let goes_on = before.is_some_and(|before| role(before) == "user");
            place += usize::from(is_silent && is_told && goes_on);
        }
        prefix.push(message);
    }
    Ok(place)
}

/// A turn, which lasts from a user's text over all tool calls, begins with thinking where thinking has a budget.
pub(super) fn check_turn_begins_with_thinking(messages: &[Value]) -> Result<(), Refusal> {
    let only_results = |message: &Value| {
        let blocks = message.get("content").and_then(Value::as_array);
        blocks.is_some_and(|blocks| blocks.iter().all(|block| kind(block) == "tool_result"))
    };
    let asked = messages.iter().rposition(|message| role(message) == "user" && !only_results(message));
    let begin = asked.map_or(0, |asked| asked + 1);
    let first = messages.get(begin).and_then(|reply| reply.get("content")).and_then(|blocks| blocks.get(0));
    match first.map_or("thinking", kind) {
        "thinking" | "redacted_thinking" => Ok(()),
        other => Err(thinking_expected(begin, other)),
    }
}

/// Checks a text that stands in a block.
pub(super) fn check_text(text: Option<&Value>, at: &str, whose: &str) -> Result<(), Refusal> {
    match text.and_then(Value::as_str) {
        None => Err(Refusal::invalid(format!("{at}: Input should be a valid string"))),
        Some("") => Err(Refusal::invalid(format!("{whose}: text content blocks must be non-empty"))),
        Some(text) if text.trim().is_empty() => {
            Err(Refusal::invalid(format!("{whose}: text content blocks must contain non-whitespace text")))
        }
        Some(_) => Ok(()),
    }
}

fn check_roles(messages: &[Value]) -> Result<(), Refusal> {
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
        return Err(Refusal::invalid("messages: at least one message is required"));
    };
    if let Some(other) = messages.iter().map(role).find(|role| !matches!(*role, "user" | "assistant")) {
        return Err(Refusal::invalid(format!(
            "messages: Unexpected role \"{other}\". Allowed roles are \"user\" or \"assistant\"."
        )));
    }
    if role(first) != "user" {
        return Err(Refusal::invalid("messages: first message must use the \"user\" role"));
    }
    if role(last) != "user" {
        return Err(Refusal::invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    Ok(())
}

/// The content blocks; a string stands for one text.
fn content(n: usize, message: &Value) -> Result<&[Value], Refusal> {
    match message.get("content") {
        Some(Value::Array(blocks)) if !blocks.is_empty() => Ok(blocks),
        Some(Value::String(text)) if !text.is_empty() => Ok(&[]),
        Some(Value::Array(_) | Value::String(_)) => Err(Refusal::invalid(format!(
            "messages.{n}: all messages must have non-empty content except for the optional final assistant message"
        ))),
        None => Err(Refusal::invalid(format!("messages.{n}.content: Field required"))),
        Some(_) => Err(Refusal::invalid(format!("messages.{n}.content: Input should be a valid list"))),
    }
}

/// Each call has one result, at the head of the very next message.
fn check_answered(n: usize, calls: &[&str], next: Option<&Value>) -> Result<(), Refusal> {
    let blocks = next.and_then(|next| next.get("content")).and_then(Value::as_array);
    let results = blocks.into_iter().flatten().take_while(|block| kind(block) == "tool_result");
    let answered: Vec<&str> = results.map(|block| text(block, "tool_use_id")).collect();
    let missing: Vec<&str> = calls.iter().copied().filter(|id| !answered.contains(id)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "messages.{n}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
         block must have a corresponding `tool_result` block in the next message.",
        missing.join(", ")
    )))
}

fn check_user(n: usize, content: &[Value], calls: &[&str]) -> Result<(), Refusal> {
    let mut answered = Vec::new();
    for (b, block) in content.iter().enumerate() {
        let at = format!("messages.{n}.content.{b}");
        match kind(block) {
            "text" => {
                check_fields(block, &format!("{at}.text"), &["type", "text", "cache_control", "citations"])?;
                check_text(block.get("text"), &format!("{at}.text.text"), "messages")?;
            }
            "tool_result" => {
                check_result(block, &at)?;
                let id = text(block, "tool_use_id");
                if !calls.contains(&id) {
                    return Err(Refusal::invalid(format!(
                        "{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block \
                         must have a corresponding `tool_use` block in the previous message."
                    )));
                }
                if answered.contains(&id) {
                    return Err(Refusal::invalid(format!(
                        "{at}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
                    )));
                }
                answered.push(id);
            }
            "image" | "document" | "search_result" => {}
            other => {
                return Err(Refusal::invalid(format!(
                    "{at}: Input tag '{other}' found using 'type' does not match any of the expected tags"
                )));
            }
        }
    }
    Ok(())
}

fn check_result(block: &Value, at: &str) -> Result<(), Refusal> {
    let at = format!("{at}.tool_result");
    check_fields(block, &at, &["type", "tool_use_id", "content", "is_error", "cache_control"])?;
    let empty = match block.get("content") {
        None => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(parts)) => {
            for (n, part) in parts.iter().enumerate().filter(|(_, part)| kind(part) == "text") {
                check_text(part.get("text"), &format!("{at}.content.{n}.text.text"), "messages")?;
            }
            parts.is_empty()
        }
        Some(_) => return Err(Refusal::invalid(format!("{at}.content: Input should be a valid string"))),
    };
    let failed = match block.get("is_error") {
        None => false,
        Some(failed) => failed
            .as_bool()
            .ok_or_else(|| Refusal::invalid(format!("{at}.is_error: Input should be a valid boolean")))?,
    };
    if failed && empty {
        return Err(Refusal::invalid(format!("{at}: content cannot be empty if `is_error` is true")));
    }
    Ok(())
}

/// A reply in the history.
struct Reply<'a> {
    n: usize,
    content: &'a [Value],
    is_last: bool,
    recorded: Option<&'a Recorded>,
}

impl<'a> Reply<'a> {
    fn calls(&self) -> Vec<&'a str> {
        self.content.iter().filter(|block| kind(block) == "tool_use").map(|block| text(block, "id")).collect()
    }

    fn check(&self, prefix: &Prefix, ids: &mut Vec<&'a str>) -> Result<(), Refusal> {
        if let Some(last @ ("thinking" | "redacted_thinking")) = self.content.last().map(kind) {
            return Err(Refusal::invalid(format!(
                "messages.{}: The final block in an assistant message cannot be `{last}`.",
                self.n
            )));
        }
        self.check_thought_kept()?;
        for (b, block) in self.content.iter().enumerate() {
            let at = format!("messages.{}.content.{b}", self.n);
            match kind(block) {
                "text" => {
                    check_fields(
                        block,
                        &format!("{at}.text"),
                        &["type", "text", "cache_control", "citations"],
                    )?;
                    check_text(block.get("text"), &format!("{at}.text.text"), "messages")?;
                }
                "tool_use" => check_call(block, &at, ids)?,
                "thinking" => {
                    check_fields(block, &format!("{at}.thinking"), &["type", "thinking", "signature"])?;
                    self.check_thought(prefix, block, &at)?;
                }
                "redacted_thinking" => {
                    check_fields(block, &format!("{at}.redacted_thinking"), &["type", "data"])?;
                    self.check_thought(prefix, block, &at)?;
                }
                // What only the model can have said has to come back as it was.
                other
                    if !self
                        .recorded
                        .is_some_and(|reply| reply.content.iter().any(|known| known.value == *block)) =>
                {
                    return Err(Refusal::invalid(format!(
                        "{at}: Input tag '{other}' found using 'type' does not match any of the expected tags"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The last reply must still have what the model thought in it before it said or called something.
    fn check_thought_kept(&self) -> Result<(), Refusal> {
        // A reply that was taken over from elsewhere, and has lost its thoughts there, stands under other ids.
        let same = self.recorded.filter(|reply| reply.call_ids().eq(self.calls()));
        let recorded =
            same.map_or(0, |reply| reply.comes_back().iter().filter(|block| block.is_thought()).count());
        let is_thought = |block: &&Value| matches!(kind(block), "thinking" | "redacted_thinking");
        let kept = self.content.iter().filter(is_thought).count();
        if !self.is_last || kept >= recorded {
            return Ok(());
        }
        Err(thinking_expected(self.n, self.content.first().map_or("nothing", kind)))
    }

    fn check_thought(&self, prefix: &Prefix, block: &Value, at: &str) -> Result<(), Refusal> {
        let kind = kind(block);
        let (field, thinking) = match kind {
            "thinking" => ("signature", text(block, "thinking")),
            _ => ("data", ""),
        };
        let Some(signature) = block.get(field).and_then(Value::as_str) else {
            return Err(Refusal::invalid(format!("{at}.{kind}.{field}: Field required")));
        };
        match prefix.check(signature, thinking) {
            Ok(()) => Ok(()),
            Err(Broken::Altered) if self.is_last => Err(Refusal::invalid(format!(
                "{at}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. \
                 These blocks must remain as they were in the original response."
            ))),
            Err(Broken::Altered) => {
                Err(Refusal::invalid(format!("{at}: Invalid `signature` in `{kind}` block")))
            }
            Err(Broken::Moved) => Err(Refusal::invalid(format!(
                "{at}: Invalid `signature` in `{kind}` block. The block is bound to a different conversation. Remove \
                 the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\"."
            ))),
        }
    }
}

fn thinking_expected(n: usize, found: &str) -> Refusal {
    Refusal::invalid(format!(
        "messages.{n}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is \
         enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` \
         and `tool_result` blocks)."
    ))
}

fn check_call<'a>(block: &'a Value, at: &str, ids: &mut Vec<&'a str>) -> Result<(), Refusal> {
    let tag = format!("{at}.tool_use");
    check_fields(block, &tag, &["type", "id", "name", "input", "cache_control", "caller"])?;
    let id = text(block, "id");
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(Refusal::invalid(format!("{tag}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")));
    }
    if ids.contains(&id) {
        return Err(Refusal::invalid(format!("{at}: `tool_use` ids must be unique")));
    }
    ids.push(id);
    if text(block, "name").is_empty() {
        return Err(Refusal::invalid(format!("{tag}.name: Field required")));
    }
    if !block.get("input").is_some_and(Value::is_object) {
        return Err(Refusal::invalid(format!("{tag}.input: Input should be a valid dictionary")));
    }
    Ok(())
}

/// The calls of a message, when it is a reply.
fn calls_of(message: Option<&Value>) -> Vec<&str> {
    let Some(message) = message.filter(|message| role(message) == "assistant") else { return Vec::new() };
    let blocks = message.get("content").and_then(Value::as_array);
    blocks
        .into_iter()
        .flatten()
        .filter(|block| kind(block) == "tool_use")
        .map(|block| text(block, "id"))
        .collect()
}

fn role(message: &Value) -> &str {
    text(message, "role")
}

fn kind(block: &Value) -> &str {
    text(block, "type")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
