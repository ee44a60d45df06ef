//! A conversation as a request of the Messages API.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Settings;
use crate::foreign;
use crate::history::{Encoded, Placed};
use crate::raw_object::push_json_string;
use crate::{Conversation, Error, Message, Origin, Reply, Stop, Thinking, ToolResult};

/// What stands for a text of nothing: the API refuses blank texts.
const NOTHING: &str = "(nothing)";

/// Everything before the first message, in an order that never changes.
pub(super) fn head(model: &str, settings: Settings, conversation: &Conversation) -> String {
    let mark = settings.mark;
    let mut head = String::from("{\"model\":");
    push_json_string(&mut head, model);
    head.push_str(r#","stream":true"#);
    match settings.thinking {
        Thinking::Adaptive => head.push_str(r#","thinking":{"type":"adaptive","display":"summarized"}"#),
        Thinking::Budget(tokens) => {
            head.push_str(&format!(r#","thinking":{{"type":"enabled","budget_tokens":{tokens}}}"#));
        }
        Thinking::Unsaid | Thinking::Encrypted | Thinking::Summarized => {}
    }
    push_tools(&mut head, mark, conversation);
    if !is_blank(&conversation.system) {
        head.push_str(r#","system":["#);
        push_text_block(&mut head, &conversation.system);
        head.insert_str(head.len() - 1, mark);
        head.push(']');
    }
    head.push_str(r#","messages":["#);
    head
}

/// Everything after the last message. The limit of a reply changes with what is left of budgets; here nothing comes after it
/// that a provider could have kept.
pub(super) fn tail(settings: Settings) -> String {
    format!(r#"],"max_tokens":{}}}"#, settings.output_tokens)
}

/// A message as it stays for the rest of the conversation with `own`; none for a reply that cannot be sent back.
pub(super) fn message(placed: Placed<'_>, own: &Origin) -> Result<Vec<Encoded>, Error> {
    let mut json = String::from(r#"{"role":"user","content":["#);
    match placed.message {
        Message::Assistant(reply) if reply.origin == *own => return assistant(reply),
        Message::Assistant(reply) => return Ok(rewritten(reply, placed.replies)),
        Message::User(text) => push_text_block(&mut json, text),
        Message::Results(results) => {
            for (n, result) in results.iter().enumerate() {
                if n > 0 {
                    json.push(',');
                }
                push_result(&mut json, &placed.call_id(n, result, own), result);
            }
        }
    }
    // The mark goes into the last block, just before its closing brace.
    let mark_at = Some(json.len() - 1);
    json.push_str("]}");
    Ok(vec![Encoded { json, mark_at }])
}

fn push_tools(head: &mut String, mark: &str, conversation: &Conversation) {
    if conversation.tools.is_empty() {
        return;
    }
    head.push_str(r#","tools":["#);
    for (n, tool) in conversation.tools.iter().enumerate() {
        head.push_str(if n > 0 { r#",{"name":"# } else { r#"{"name":"# });
        push_json_string(head, &tool.name);
        head.push_str(r#","description":"#);
        push_json_string(head, &tool.description);
        head.push_str(r#","input_schema":"#);
        head.push_str(tool.parameters.get());
        if n + 1 == conversation.tools.len() {
            head.push_str(mark);
        }
        head.push('}');
    }
    head.push(']');
}

fn push_text_block(json: &mut String, text: &str) {
    json.push_str(r#"{"type":"text","text":"#);
    push_json_string(json, if is_blank(text) { NOTHING } else { text });
    json.push('}');
}

fn push_result(json: &mut String, call_id: &str, result: &ToolResult) {
    json.push_str(r#"{"type":"tool_result","tool_use_id":"#);
    push_json_string(json, call_id);
    json.push_str(r#","content":"#);
    push_json_string(json, if is_blank(&result.text) { NOTHING } else { &result.text });
    if result.failed {
        json.push_str(r#","is_error":true"#);
    }
    json.push('}');
}

/// The reply exactly as it came, without what the API refuses to take back: blank texts, which models send, and thoughts
/// that nothing follows ("The final block in an assistant message cannot be `thinking`": hermes-agent#13010,
/// forgecode#3073). Those are all that a reply without a word and a call has, and where it was cut in the middle of one,
/// that has no signature either. Before something else an unsigned thought goes back: servers that sign nothing want it
/// (DeepSeek's: oh-my-pi#908).
fn assistant(reply: &Reply) -> Result<Vec<Encoded>, Error> {
    // The provider asks for held-back replies to be left out; nothing answers the calls in them.
    if reply.stop == Stop::Refused {
        return Ok(Vec::new());
    }
    let spoiled = |_| Error::Config("the conversation holds a reply that is none of this wire".to_owned());
    let sent: Sent<'_> = serde_json::from_str(reply.raw.get()).map_err(spoiled)?;
    let kinds: Vec<Kind> = sent.content.iter().map(|block| Kind::of(block.get())).collect();
    let Some(last) = kinds.iter().rposition(|kind| *kind == Kind::Said) else { return Ok(Vec::new()) };
    let blocks = sent.content.iter().zip(kinds).take(last + 1);
    let kept: Vec<&str> =
        blocks.filter(|(_, kind)| *kind != Kind::Blank).map(|(block, _)| block.get()).collect();
    let json = if kept.len() == sent.content.len() {
        reply.raw.get().to_owned()
    } else {
        format!(r#"{{"role":"assistant","content":[{}]}}"#, kept.join(","))
    };
    Ok(vec![Encoded { json, mark_at: None }])
}

/// A reply that somebody else wrote, as this wire writes one; none when it says nothing.
fn rewritten(reply: &Reply, replies: usize) -> Vec<Encoded> {
    let text = foreign::text(reply);
    if reply.stop == Stop::Refused || (is_blank(&text) && reply.calls.is_empty()) {
        return Vec::new();
    }
    let mut json = String::from(r#"{"role":"assistant","content":["#);
    if !is_blank(&text) {
        push_text_block(&mut json, &text);
    }
    for (n, call) in reply.calls.iter().enumerate() {
        if n > 0 || !is_blank(&text) {
            json.push(',');
        }
        json.push_str(r#"{"type":"tool_use","id":"#);
        push_json_string(&mut json, &foreign::call_id(replies, n));
        json.push_str(r#","name":"#);
        push_json_string(&mut json, &foreign::name(call));
        json.push_str(r#","input":"#);
        json.push_str(&foreign::arguments(call));
        json.push('}');
    }
    json.push_str("]}");
    vec![Encoded { json, mark_at: None }]
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

/// What the API is particular about in a block of a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A text of nothing.
    Blank,
    /// A thought, open or sealed.
    Thought,
    /// Anything else.
    Said,
}

impl Kind {
    fn of(block: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Block {
            r#type: String,
            text: Option<String>,
        }
        let block: Block = serde_json::from_str(block).unwrap_or_default();
        match &*block.r#type {
            "text" if is_blank(block.text.as_deref().unwrap_or_default()) => Self::Blank,
            "thinking" | "redacted_thinking" => Self::Thought,
            _ => Self::Said,
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
