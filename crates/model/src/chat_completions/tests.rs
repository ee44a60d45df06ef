//! Requests: what stands in them, and that the past never changes.

use serde_json::Value;

use super::*;
use crate::raw_object::raw;
use crate::vendors::tests::ours;
use crate::{Message, Protocol, Stop, ToolCall, ToolResult, ToolSpec, Usage};

fn model(vendor: &str, output_tokens_max: Option<u32>) -> ChatCompletions {
    let served = served(vendor);
    ChatCompletions::new(&match output_tokens_max {
        Some(tokens) => served.with_output_tokens_max(tokens),
        None => served,
    })
    .unwrap()
}

fn served(vendor: &str) -> Served {
    ours(vendor, "gpt-5").speaking(Protocol::ChatCompletions).with_cache_key("session-7")
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

fn reply(raw_reply: &str, calls: usize, stop: Stop) -> Message {
    let call = ToolCall { id: "c".to_owned(), name: "read".to_owned(), arguments: "{}".to_owned() };
    let (parts, usage) = (Vec::new(), Usage::default());
    let raw = raw(raw_reply.to_owned());
    let (origin, calls) = (served("openai").origin(), vec![call; calls]);
    Message::Assistant(Reply { origin, raw, parts, calls, stop, usage, model: String::new() })
}

fn encoded(model: &ChatCompletions, conversation: &Conversation) -> String {
    String::from_utf8(model.encode(conversation).unwrap()).unwrap()
}

#[test]
fn a_request_holds_what_the_wire_wants() {
    let body = encoded(&model("openai", Some(99)), &conversation());
    let expected = concat!(
        r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":99,"prompt_cache_key":"session-7","#,
        r#""tools":[{"type":"function","function":{"name":"read","description":"Reads.","parameters":{"type":"object","x":1.0}}}],"#,
        r#""messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Begin."}]}"#
    );
    assert_eq!(body, expected);
    let body = encoded(&model("ollama", Some(99)), &conversation());
    let (head, _) = body.split_once(r#","tools""#).unwrap();
    assert_eq!(
        head,
        r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true},"max_tokens":99"#
    );
    let body = encoded(&model("mistral", None), &conversation());
    let (head, _) = body.split_once(r#","tools""#).unwrap();
    assert_eq!(head, r#"{"model":"gpt-5","stream":true,"prompt_cache_key":"session-7""#);
}

#[test]
fn the_past_never_changes() {
    let model = model("openai", None);
    let mut conversation = conversation();
    let mut before = String::new();
    let said = r#"{"role":"assistant","reasoning_content":"h","content":null, "tool_calls":[{"id":"c"}]}"#;
    for turn in 0..20 {
        let body = encoded(&model, &conversation);
        serde_json::from_str::<Value>(&body).unwrap();
        let open = body.strip_suffix("]}").unwrap();
        assert!(open.starts_with(&before), "turn {turn} changed the past");
        before = open.to_owned();
        conversation.push(reply(said, 1, Stop::Tools));
        let result = ToolResult { call_id: "c".to_owned(), text: String::new(), failed: true };
        conversation.push(Message::Results(vec![result]));
    }
    assert!(before.contains(said));
    assert!(before.contains(r#"{"role":"tool","tool_call_id":"c","content":"(nothing)"}"#));
}

#[test]
fn replies_that_servers_would_not_take_back_are_left_out() {
    let model = model("openai", None);
    let mut conversation = conversation();
    let before = encoded(&model, &conversation);
    conversation.push(reply(r#"{"role":"assistant","content":null}"#, 0, Stop::Finished));
    conversation.push(reply(r#"{"role":"assistant","content":""}"#, 0, Stop::Finished));
    conversation.push(reply(r#"{"role":"assistant","content":"x","tool_calls":[{}]}"#, 0, Stop::Refused));
    assert_eq!(encoded(&model, &conversation), before);
}
