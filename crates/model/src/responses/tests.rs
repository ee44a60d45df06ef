//! Requests: what stands in them, what of a reply goes back, and that the past never changes.

use serde_json::Value;

use super::*;
use crate::raw_object::raw;
use crate::vendors::tests::ours;
use crate::{Message, Stop, ToolCall, ToolResult, ToolSpec, Usage};

fn served(model: &str) -> Served {
    ours("openai", model).with_cache_key("session-7")
}

fn model(name: &str) -> Responses {
    Responses::new(&served(name)).unwrap()
}

fn conversation() -> Conversation {
    let tool = ToolSpec {
        name: "read".to_owned(),
        description: "Reads.".to_owned(),
        parameters: raw(r#"{"type":"object","x":1.0}"#.to_owned()),
    };
    let mut conversation = Conversation::new("Be brief.".to_owned(), vec![tool]);
    conversation.push(Message::User("Begin.".to_owned()));
    conversation
}

fn reply(items: &str, calls: usize, stop: Stop) -> Message {
    let call = ToolCall { id: "c".to_owned(), name: "read".to_owned(), arguments: "{}".to_owned() };
    let (parts, usage) = (Vec::new(), Usage::default());
    let (origin, raw, calls) = (served("gpt-5").origin(), raw(items.to_owned()), vec![call; calls]);
    Message::Assistant(Reply { origin, raw, parts, calls, stop, usage, model: String::new() })
}

fn encoded(model: &Responses, conversation: &Conversation) -> String {
    limited(model, conversation, None)
}

fn limited(model: &Responses, conversation: &Conversation, tokens: Option<u32>) -> String {
    String::from_utf8(model.encode(conversation, tokens).unwrap()).unwrap()
}

/// The input of a request after `items`.
fn input(items: &[Message]) -> String {
    let mut conversation = conversation();
    items.iter().for_each(|message| conversation.push(message.clone()));
    let body = encoded(&model("gpt-5"), &conversation);
    let (_, input) = body.split_once(r#""input":["#).unwrap();
    let begin = r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"Begin."}]}"#;
    input.strip_prefix(begin).unwrap().strip_suffix("]}").unwrap().to_owned()
}

#[test]
fn a_request_holds_what_the_wire_wants() {
    let expected = concat!(
        r#"{"model":"gpt-5","stream":true,"store":false,"include":["reasoning.encrypted_content"],"#,
        r#""reasoning":{"summary":"auto"},"prompt_cache_key":"session-7","instructions":"Be brief.","#,
        r#""tools":[{"type":"function","name":"read","description":"Reads.","parameters":{"type":"object","x":1.0},"strict":false}],"#,
        r#""input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Begin."}]}]}"#
    );
    assert_eq!(encoded(&model("gpt-5"), &conversation()), expected);
    let body = limited(&model("gpt-4.1"), &conversation(), Some(99));
    let head = r#"{"model":"gpt-4.1","stream":true,"store":false,"prompt_cache_key":"session-7","#;
    assert!(body.starts_with(head) && body.ends_with(r#"],"max_output_tokens":99}"#), "{body}");
    assert!(!body.contains("reasoning"), "{body}");
    let azure = Responses::new(&ours("azure", "mine").at("https://r.openai.azure.com/openai/v1")).unwrap();
    let body = encoded(&azure, &conversation());
    assert!(body.contains("reasoning.encrypted_content") && !body.contains("summary"), "{body}");
}

#[test]
fn the_past_never_changes() {
    let model = model("gpt-5");
    let mut conversation = conversation();
    let mut before = String::new();
    let items = concat!(
        r#"{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAA=","z":1.50},"#,
        r#"{"type":"an_item_of_the_future", "a":[ ]},{"id":"fc_1","type":"function_call","call_id":"c"}"#
    );
    for turn in 0..20 {
        let body = limited(&model, &conversation, Some(9_000 - turn));
        serde_json::from_str::<Value>(&body).unwrap();
        // The limit of a reply changes from request to request, and stands behind everything that is kept.
        let open = body.strip_suffix(&format!(r#"],"max_output_tokens":{}}}"#, 9_000 - turn)).unwrap();
        assert!(open.starts_with(&before), "turn {turn} changed the past");
        before = open.to_owned();
        conversation.push(reply(&format!("[{items}]"), 1, Stop::Tools));
        let result = ToolResult { call_id: "c".to_owned(), text: String::new(), failed: true };
        conversation.push(Message::Results(vec![result]));
    }
    assert!(before.contains(items));
    assert!(before.contains(r#"{"type":"function_call_output","call_id":"c","output":"(nothing)"}"#));
}

#[test]
fn thoughts_that_nobody_can_use_stay_here() {
    let thought = r#"{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAA="}"#;
    let open =
        r#"{"id":"rs_2","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]}"#;
    let lost = r#"{"id":"rs_3","type":"reasoning","summary":[],"encrypted_content":null,"content":[]}"#;
    let said = r#"{"id":"msg_1","type":"message","role":"assistant","content":[]}"#;
    for (items, kept) in [
        (vec![thought, said], vec![thought, said]),
        (vec![thought, open, said], vec![thought, open, said]),
        (vec![lost, said], vec![said]),
        (vec![said, thought], vec![said]),
        (vec![thought, lost], vec![]),
        (vec![], vec![]),
    ] {
        let sent = input(&[reply(&format!("[{}]", items.join(",")), 0, Stop::OutputLimit)]);
        assert_eq!(sent, kept.iter().map(|item| format!(",{item}")).collect::<String>(), "{items:?}");
    }
    assert_eq!(input(&[reply(&format!("[{said}]"), 0, Stop::Refused)]), "");
}

#[test]
fn a_refusal_to_show_summaries_is_told_from_others() {
    let refused =
        |message: &str| Error::Refused { provider: String::new(), status: 400, message: message.to_owned() };
    let verified =
        "Your organization must be verified to generate reasoning summaries. Please go to: https://…";
    assert!(refuses_summaries(&refused(verified)));
    assert!(refuses_summaries(&refused("Unsupported parameter: 'reasoning.summary' is not supported.")));
    assert!(!refuses_summaries(&refused("Unsupported parameter: 'reasoning.effort' is not supported.")));
}
