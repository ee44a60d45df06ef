//! A recorded reply as the items that the Responses API answers with.

use serde_json::{Value, json};

use super::super::recording::{Block, Recorded};
use super::super::seal::Prefix;

/// What a request may see of the model's thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) summary: Summary,
    pub(super) encrypted: Encrypted,
}

/// Whether a summary of thoughts is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Summary {
    /// It was asked for.
    Told,
    /// It was not.
    Kept,
}

/// Whether thoughts come encrypted, so that they can be sent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encrypted {
    /// They were asked for.
    Told,
    /// They were not.
    Kept,
}

/// One item of a reply.
pub(super) struct Item<'a> {
    pub(super) block: &'a Block,
    /// Its id; one of a kind that nobody knows has none that we gave it.
    pub(super) id: String,
    value: Value,
}

impl Item<'_> {
    /// The item.
    pub(super) fn value(&self) -> Value {
        self.value.clone()
    }

    /// The item as it is sent: one of a kind that nobody knows just as it was written.
    pub(super) fn json(&self) -> String {
        match self.block.kind() {
            "text" | "thinking" | "redacted_thinking" | "tool_use" => self.value.to_string(),
            _ => self.block.raw.get().to_owned(),
        }
    }
}

/// The items of `reply`, the `place`th of its conversation.
pub(super) fn of(reply: &Recorded, place: usize, shown: Shown) -> Vec<Item<'_>> {
    let item = |(n, block): (usize, &'_ Block)| {
        let id = format!("{}_fake{place:04}{n:02}", prefix(block.kind()));
        let value = value(block, &id, shown, ending(reply, n));
        (id, value)
    };
    let made = reply.content.iter().enumerate().map(item);
    reply.content.iter().zip(made).map(|(block, (id, value))| Item { block, id, value }).collect()
}

/// Whether item `n` was cut with its reply.
fn ending(reply: &Recorded, n: usize) -> &'static str {
    let cut = reply.stop() == "max_tokens" && n + 1 == reply.content.len();
    if cut { "incomplete" } else { "completed" }
}

fn prefix(kind: &str) -> &'static str {
    match kind {
        "text" => "msg",
        "thinking" | "redacted_thinking" => "rs",
        "tool_use" => "fc",
        _ => "item",
    }
}

fn value(block: &Block, id: &str, shown: Shown, status: &str) -> Value {
    match block.kind() {
        "text" => {
            let part = json!({ "type": "output_text", "text": block.text("text"), "annotations": [], "logprobs": [] });
            json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": [part] })
        }
        "thinking" => {
            let summary = match shown.summary {
                Summary::Told => json!([{ "type": "summary_text", "text": block.text("thinking") }]),
                Summary::Kept => json!([]),
            };
            thought(id, summary, &encrypted(block.text("signature"), block.text("thinking")), shown)
        }
        "redacted_thinking" => thought(id, json!([]), &encrypted(block.text("data"), ""), shown),
        "tool_use" => json!({
            "id": id, "type": "function_call", "status": status, "call_id": block.text("id"),
            "name": block.text("name"), "arguments": block.arguments(),
        }),
        _ => block.value.clone(),
    }
}

fn thought(id: &str, summary: Value, encrypted: &str, shown: Shown) -> Value {
    let mut item = json!({ "id": id, "type": "reasoning", "summary": summary });
    if shown.encrypted == Encrypted::Told {
        item["encrypted_content"] = encrypted.into();
    }
    item
}

/// Thoughts as the client gets them. Unlike Anthropic's signatures they hold in any conversation.
fn encrypted(recorded: &str, text: &str) -> String {
    Prefix::default().seal(recorded, text)
}
