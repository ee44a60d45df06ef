//! A conversation as a request of the Chat Completions API.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::content;
use crate::foreign;
use crate::history::{Before, Encoded, MARK, Placed};
use crate::raw_object::{RawObject, push_json_string, raw};
use crate::vendors::{Telling, Turns, UsageTold};
use crate::{Caches, Conversation, Error, Message, Origin, Part, Reply, Served, Stop};

/// What stands for a text of nothing: some servers refuse empty texts.
const NOTHING: &str = "(nothing)";
/// What a model is said to have answered where it was not asked, or said nothing, and a reply has to stand. Empty ones are
/// refused by those who want it (Mistral: "Assistant message must have either content or tool_calls").
const NOTED: &str = "Noted.";
/// The fields of a reply that its server takes back: those of the wire, and thoughts under the names that DeepSeek, Kimi,
/// OpenRouter and Gemini document. Servers send others (`channel`, `name`, `annotations`), and Groq, OpenAI and Mistral
/// refuse those with the next request.
const TAKEN_BACK: [&str; 8] = [
    "role",
    "content",
    "refusal",
    "tool_calls",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "extra_content",
];
/// The same of a call; Gemini's signature of a thought stands in the last one.
const TAKEN_BACK_OF_CALLS: [&str; 4] = ["id", "type", "function", "extra_content"];

/// Everything before the first message of the history, in an order that never changes.
pub(super) fn head(served: &Served, caches: Caches, conversation: &Conversation) -> String {
    let mut head = String::from("{\"model\":");
    push_json_string(&mut head, served.model());
    head.push_str(r#","stream":true"#);
    match served.manners.usage {
        UsageTold::OnRequest => head.push_str(r#","stream_options":{"include_usage":true}"#),
        UsageTold::Unasked => {}
    }
    if let Some(key) = served.sent_cache_key() {
        head.push_str(r#","prompt_cache_key":"#);
        push_json_string(&mut head, key);
    }
    if caches == Caches::OnRequest {
        head.push_str(MARK);
    }
    push_tools(&mut head, conversation);
    head.push_str(r#","messages":["#);
    if !is_blank(&conversation.system) {
        match caches {
            Caches::No | Caches::Automatic => push_message(&mut head, "system", &conversation.system),
            // The tools come before the system prompt in what is kept, so that one mark is for both.
            Caches::OnRequest | Caches::Marks => {
                let mark_at = push_parts(&mut head, "system", &conversation.system);
                head.insert_str(mark_at, MARK);
            }
        }
        // A request without any further message is refused by the server, comma or not.
        if !conversation.messages().is_empty() {
            head.push(',');
        }
    }
    head
}

/// Everything after the last message. The limit of a reply changes with what is left of budgets; here nothing comes after it
/// that a provider could have kept.
pub(super) fn tail(served: &Served, output_tokens_max: Option<u32>) -> String {
    match output_tokens_max {
        Some(tokens) => format!(r#"],"{}":{tokens}}}"#, served.manners.output_limit.as_str()),
        None => "]}".to_owned(),
    }
}

/// A message as it stays for the rest of the conversation with `own`; none for a reply that cannot be sent back.
pub(super) fn message(
    placed: Placed<'_>,
    caches: Caches,
    own: &Origin,
    served: &Served,
    telling: &Telling,
) -> Result<Vec<Encoded>, Error> {
    let marked = caches == Caches::Marks;
    match placed.message {
        Message::User(text) => {
            let mut json = String::new();
            let mut mark_at = None;
            if marked {
                mark_at = Some(push_parts(&mut json, "user", text));
            } else {
                push_message(&mut json, "user", text);
            }
            let between = stands_between(placed.before, telling);
            Ok(between.into_iter().chain([Encoded { json, mark_at }]).collect())
        }
        Message::Assistant(reply) if reply.origin == *own => assistant(reply, served),
        Message::Assistant(reply) => Ok(rewritten(reply, placed.replies, telling)),
        Message::Results(results) => Ok(results
            .iter()
            .enumerate()
            .map(|(n, result)| {
                let mut json = String::from(r#"{"role":"tool","tool_call_id":"#);
                push_json_string(&mut json, &placed.call_id(n, result, own));
                json.push_str(r#","content":"#);
                push_json_string(&mut json, or_nothing(&result.text));
                // Gateways look for the mark of a result beside its text, not in it.
                let mark_at = marked.then_some(json.len());
                json.push('}');
                Encoded { json, mark_at }
            })
            .collect()),
    }
}

fn push_tools(head: &mut String, conversation: &Conversation) {
    if conversation.tools.is_empty() {
        return;
    }
    head.push_str(r#","tools":["#);
    for (n, tool) in conversation.tools.iter().enumerate() {
        if n > 0 {
            head.push(',');
        }
        head.push_str(r#"{"type":"function","function":{"name":"#);
        push_json_string(head, &tool.name);
        head.push_str(r#","description":"#);
        push_json_string(head, &tool.description);
        head.push_str(r#","parameters":"#);
        head.push_str(tool.parameters.get());
        head.push_str("}}");
    }
    head.push(']');
}

fn push_message(json: &mut String, role: &str, text: &str) {
    json.push_str(r#"{"role":"#);
    push_json_string(json, role);
    json.push_str(r#","content":"#);
    push_json_string(json, or_nothing(text));
    json.push('}');
}

/// A message whose text is a part of its own; gives where a mark may be put into that part.
fn push_parts(json: &mut String, role: &str, text: &str) -> usize {
    json.push_str(r#"{"role":"#);
    push_json_string(json, role);
    json.push_str(r#","content":[{"type":"text","text":"#);
    push_json_string(json, or_nothing(text));
    let mark_at = json.len();
    json.push_str("}]}");
    mark_at
}

/// The reply that has to stand between what stands `before` and what a user says; none where none has to.
fn stands_between(before: Before, telling: &Telling) -> Option<Encoded> {
    match (telling.turns, before) {
        (Turns::Free, _) | (Turns::Alternating, Before::Nothing | Before::Reply) => None,
        (Turns::Alternating, Before::Told) => {
            let mut json = String::new();
            push_message(&mut json, "assistant", NOTED);
            json.insert_str(json.len() - 1, telling.reply.as_str());
            Some(Encoded { json, mark_at: None })
        }
    }
}

/// The reply as it came, as far as its server takes it back; left out when it says nothing, which servers refuse.
fn assistant(reply: &Reply, served: &Served) -> Result<Vec<Encoded>, Error> {
    // Nothing answers the calls of a reply that was held back.
    if reply.stop == Stop::Refused {
        return Ok(Vec::new());
    }
    let spoiled = |_| Error::Config("the conversation holds a reply that is none of this wire".to_owned());
    let message: RawObject = serde_json::from_str(reply.raw.get()).map_err(spoiled)?;
    if reply.calls.is_empty() && message.raw("content").is_none_or(says_nothing) {
        return Ok(Vec::new());
    }
    let json = taken_back(&reply.raw, &TAKEN_BACK, served).map_err(spoiled)?;
    let Some(calls) = message.raw("tool_calls").filter(|calls| calls.get().starts_with('[')) else {
        return Ok(vec![Encoded { json: json.get().to_owned(), mark_at: None }]);
    };
    let calls: Vec<&RawValue> = serde_json::from_str(calls.get()).map_err(spoiled)?;
    let calls: Vec<Cow<'_, RawValue>> = calls
        .into_iter()
        .map(|call| taken_back(call, &TAKEN_BACK_OF_CALLS, served))
        .collect::<Result<_, _>>()
        .map_err(spoiled)?;
    let json = match calls.iter().all(|call| matches!(call, Cow::Borrowed(_))) {
        true => json.get().to_owned(),
        false => {
            let mut message: RawObject = serde_json::from_str(json.get()).map_err(spoiled)?;
            let calls: Vec<&str> = calls.iter().map(|call| call.get()).collect();
            message.set("tool_calls", raw(format!("[{}]", calls.join(","))));
            message.to_raw().get().to_owned()
        }
    };
    Ok(vec![Encoded { json, mark_at: None }])
}

/// `object` without the fields that the server does not take back; the very same bytes where it has none of those.
fn taken_back<'o>(
    object: &'o RawValue,
    usual: &[&str],
    served: &Served,
) -> Result<Cow<'o, RawValue>, serde_json::Error> {
    let fields: RawObject = serde_json::from_str(object.get())?;
    let is_taken = |field: &str| usual.contains(&field) || served.takes_back(field);
    if fields.keys().all(is_taken) {
        return Ok(Cow::Borrowed(object));
    }
    let mut taken = RawObject::default();
    for (field, value) in fields.into_raw_fields().filter(|(field, _)| is_taken(field)) {
        taken.set(&field, value);
    }
    Ok(Cow::Owned(taken.to_raw()))
}

/// A reply that somebody else wrote, as this wire writes one, with what its server misses in such; none when it says nothing.
fn rewritten(reply: &Reply, replies: usize, telling: &Telling) -> Vec<Encoded> {
    let text = foreign::text(reply);
    if reply.stop == Stop::Refused || (is_blank(&text) && reply.calls.is_empty()) {
        return Vec::new();
    }
    let mut json = String::from(r#"{"role":"assistant","content":"#);
    if is_blank(&text) {
        json.push_str("null");
    } else {
        push_json_string(&mut json, &text);
    }
    for (n, call) in reply.calls.iter().enumerate() {
        json.push_str(if n > 0 { r#",{"id":"# } else { r#","tool_calls":[{"id":"# });
        push_json_string(&mut json, &foreign::call_id(replies, n));
        json.push_str(r#","type":"function","function":{"name":"#);
        push_json_string(&mut json, &foreign::name(call));
        json.push_str(r#","arguments":"#);
        push_json_string(&mut json, &foreign::arguments(call));
        json.push('}');
        if n == 0 {
            json.push_str(telling.call.as_str());
        }
        json.push('}');
    }
    if !reply.calls.is_empty() {
        json.push(']');
    }
    json.push_str(telling.reply.as_str());
    json.push('}');
    vec![Encoded { json, mark_at: None }]
}

/// Whether nothing is said in a content; what is only thought there is not said.
fn says_nothing(content: &RawValue) -> bool {
    !content::parts(content).iter().any(|part| matches!(part, Part::Text(_)))
}

fn or_nothing(text: &str) -> &str {
    if is_blank(text) { NOTHING } else { text }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
