//! A conversation as a request of the Responses API.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::foreign;
use crate::history::{Encoded, Placed};
use crate::raw_object::push_json_string;
use crate::{Conversation, Error, Message, Origin, Reply, Served, Stop, Thinking};

/// What stands for a text of nothing: an empty one tells a model less.
const NOTHING: &str = "(nothing)";

/// Everything before the first item of the history, in an order that never changes.
pub(super) fn head(served: &Served, thinking: Thinking, conversation: &Conversation) -> String {
    let mut head = String::from("{\"model\":");
    push_json_string(&mut head, served.model());
    head.push_str(r#","stream":true,"store":false"#);
    match thinking {
        Thinking::Encrypted => head.push_str(r#","include":["reasoning.encrypted_content"]"#),
        Thinking::Summarized => {
            head.push_str(r#","include":["reasoning.encrypted_content"],"reasoning":{"summary":"auto"}"#)
        }
        // The other vendors' ways are none of this wire, and models that do not think refuse all of it.
        Thinking::Unsaid | Thinking::Adaptive | Thinking::Budget(_) => {}
    }
    if let Some(key) = served.sent_cache_key() {
        head.push_str(r#","prompt_cache_key":"#);
        push_json_string(&mut head, key);
    }
    if !is_blank(&conversation.system) {
        head.push_str(r#","instructions":"#);
        push_json_string(&mut head, &conversation.system);
    }
    push_tools(&mut head, conversation);
    head.push_str(r#","input":["#);
    head
}

/// Everything after the last item. The limit of a reply changes with what is left of budgets; here nothing comes after it
/// that a provider could have kept.
pub(super) fn tail(output_tokens_max: Option<u32>) -> String {
    match output_tokens_max {
        Some(tokens) => format!(r#"],"max_output_tokens":{tokens}}}"#),
        None => "]}".to_owned(),
    }
}

/// A message as it stays for the rest of the conversation with `own`; none for a reply that cannot be sent back.
pub(super) fn message(placed: Placed<'_>, own: &Origin) -> Result<Vec<Encoded>, Error> {
    match placed.message {
        Message::User(text) => {
            let mut json =
                String::from(r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"#);
            push_json_string(&mut json, or_nothing(text));
            json.push_str("}]}");
            Ok(vec![item(json)])
        }
        // Nothing answers the calls of a reply that was held back.
        Message::Assistant(reply) if reply.stop == Stop::Refused => Ok(Vec::new()),
        Message::Assistant(reply) if reply.origin == *own => assistant(reply),
        Message::Assistant(reply) => Ok(rewritten(reply, placed.replies)),
        Message::Results(results) => Ok(results
            .iter()
            .enumerate()
            .map(|(n, result)| {
                let mut json = String::from(r#"{"type":"function_call_output","call_id":"#);
                push_json_string(&mut json, &placed.call_id(n, result, own));
                json.push_str(r#","output":"#);
                push_json_string(&mut json, or_nothing(&result.text));
                json.push('}');
                item(json)
            })
            .collect()),
    }
}

/// Tools whose schemas need not be of the strict kind, which is what the API takes them for otherwise.
fn push_tools(head: &mut String, conversation: &Conversation) {
    if conversation.tools.is_empty() {
        return;
    }
    head.push_str(r#","tools":["#);
    for (n, tool) in conversation.tools.iter().enumerate() {
        if n > 0 {
            head.push(',');
        }
        head.push_str(r#"{"type":"function","name":"#);
        push_json_string(head, &tool.name);
        head.push_str(r#","description":"#);
        push_json_string(head, &tool.description);
        head.push_str(r#","parameters":"#);
        head.push_str(tool.parameters.get());
        head.push_str(r#","strict":false}"#);
    }
    head.push(']');
}

/// The items of a reply exactly as they came, but for thoughts that nobody can use: those without their content, which is
/// not stored anywhere, and those that nothing follows, as when the reply was cut in the middle of them.
fn assistant(reply: &Reply) -> Result<Vec<Encoded>, Error> {
    let spoiled = |_| Error::Config("the conversation holds a reply that is none of this wire".to_owned());
    let items: Vec<&RawValue> = serde_json::from_str(reply.raw.get()).map_err(spoiled)?;
    let kinds: Vec<Item> =
        items.iter().map(|item| serde_json::from_str(item.get()).unwrap_or_default()).collect();
    let last = kinds.iter().rposition(|kind| !kind.is_thought());
    let kept = items.iter().zip(&kinds).enumerate().filter(|(n, (_, kind))| {
        !kind.is_thought() || (kind.has_content() && last.is_some_and(|last| *n < last))
    });
    Ok(kept.map(|(_, (raw, _))| item(raw.get().to_owned())).collect())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    r#type: String,
    encrypted_content: Option<String>,
    content: Option<Box<RawValue>>,
}

impl Item {
    fn is_thought(&self) -> bool {
        self.r#type == "reasoning"
    }

    fn has_content(&self) -> bool {
        let open = self.content.as_ref().is_some_and(|content| !matches!(content.get(), "null" | "[]"));
        open || self.encrypted_content.as_ref().is_some_and(|text| !text.is_empty())
    }
}

/// A reply that somebody else wrote, as items of this wire; none when it says nothing.
fn rewritten(reply: &Reply, replies: usize) -> Vec<Encoded> {
    let mut items = Vec::new();
    let text = foreign::text(reply);
    if !is_blank(&text) {
        let mut json = String::from(r#"{"type":"message","role":"assistant","content":"#);
        push_json_string(&mut json, &text);
        json.push('}');
        items.push(item(json));
    }
    for (n, call) in reply.calls.iter().enumerate() {
        let mut json = String::from(r#"{"type":"function_call","call_id":"#);
        push_json_string(&mut json, &foreign::call_id(replies, n));
        json.push_str(r#","name":"#);
        push_json_string(&mut json, &foreign::name(call));
        json.push_str(r#","arguments":"#);
        push_json_string(&mut json, &foreign::arguments(call));
        json.push('}');
        items.push(item(json));
    }
    items
}

fn item(json: String) -> Encoded {
    Encoded { json, mark_at: None }
}

fn or_nothing(text: &str) -> &str {
    if is_blank(text) { NOTHING } else { text }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
