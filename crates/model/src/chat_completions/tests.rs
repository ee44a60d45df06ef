//! Requests: what stands in them, and that the past never changes.

use serde_json::Value;

use super::*;
use crate::raw_object::raw;
use crate::vendors::tests::ours;
use crate::{Message, Protocol, Stop, ToolCall, ToolResult, ToolSpec, Usage};

fn model(vendor: &str) -> ChatCompletions {
    ChatCompletions::new(&served(vendor)).unwrap()
}

fn served(vendor: &str) -> Served {
    ours(vendor, "gpt-5").speaking(Protocol::ChatCompletions).with_cache_key("session-7")
}

fn litellm() -> Served {
    ours("litellm", "claude-opus-4-8").at("http://litellm.example:4000")
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
    limited(model, conversation, None)
}

fn limited(model: &ChatCompletions, conversation: &Conversation, tokens: Option<u32>) -> String {
    String::from_utf8(model.encode(conversation, tokens).unwrap()).unwrap()
}

#[test]
fn a_request_holds_what_the_wire_wants() {
    let body = limited(&model("openai"), &conversation(), Some(99));
    let expected = concat!(
        r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true},"prompt_cache_key":"session-7","#,
        r#""tools":[{"type":"function","function":{"name":"read","description":"Reads.","parameters":{"type":"object","x":1.0}}}],"#,
        r#""messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Begin."}],"max_completion_tokens":99}"#
    );
    assert_eq!(body, expected);
    let body = limited(&model("ollama"), &conversation(), Some(99));
    let (head, _) = body.split_once(r#","tools""#).unwrap();
    assert_eq!(head, r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true}"#);
    assert!(body.ends_with(r#""content":"Begin."}],"max_tokens":99}"#), "{body}");
    let body = encoded(&model("mistral"), &conversation());
    let (head, _) = body.split_once(r#","tools""#).unwrap();
    assert_eq!(head, r#"{"model":"gpt-5","stream":true,"prompt_cache_key":"session-7""#);
}

#[test]
fn the_past_never_changes() {
    let model = model("openai");
    let mut conversation = conversation();
    let mut before = String::new();
    let said = r#"{"role":"assistant","reasoning_content":"h","content":null, "tool_calls":[{"id":"c"}]}"#;
    for turn in 0..20 {
        let body = limited(&model, &conversation, Some(9_000 - turn));
        serde_json::from_str::<Value>(&body).unwrap();
        // The limit of a reply changes from request to request, and stands behind everything that is kept.
        let open = body.strip_suffix(&format!(r#"],"max_completion_tokens":{}}}"#, 9_000 - turn)).unwrap();
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
    let model = model("openai");
    let mut conversation = conversation();
    let before = encoded(&model, &conversation);
    conversation.push(reply(r#"{"role":"assistant","content":null}"#, 0, Stop::Finished));
    conversation.push(reply(r#"{"role":"assistant","content":""}"#, 0, Stop::Finished));
    let thought = r#"[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]}]"#;
    conversation.push(reply(&format!(r#"{{"role":"assistant","content":{thought}}}"#), 0, Stop::Finished));
    conversation.push(reply(r#"{"role":"assistant","content":"x","tool_calls":[{}]}"#, 0, Stop::Refused));
    assert_eq!(encoded(&model, &conversation), before);
}

#[test]
fn a_reply_goes_back_without_the_fields_that_its_server_refuses() {
    let said = |fields: &str, call: &str| {
        format!(
            r#"{{"role":"assistant"{fields},"content":"x", "tool_calls":[{{"id":"c","type":"function","function":{{"name":"n","arguments":"{{}}","y":1.0}}{call}}}]}}"#
        )
    };
    let sent = |served: &Served, came: String| {
        let mut conversation = conversation();
        let Message::Assistant(reply) = reply(&came, 1, Stop::Tools) else { unreachable!() };
        conversation.push(Message::Assistant(Reply { origin: served.origin(), ..reply }));
        encoded(&ChatCompletions::new(served).unwrap(), &conversation)
    };
    let thoughts = r#","reasoning_content":"h","reasoning":"h","reasoning_details":[1.0],"extra_content":{"google":1.0}"#;
    let signed = r#","extra_content":{"google":{"thought_signature":"s=="}}"#;
    // What is documented goes back as the bytes that came.
    let whole = said(thoughts, signed);
    assert!(sent(&served("openai"), whole.clone()).contains(&whole));
    // Groq's gpt-oss says its channel, MiniMax its name; LiteLLM wants the signed thoughts of Claude back.
    let blocks = r#","thinking_blocks":[{"type":"thinking"}]"#;
    let came = said(&format!(r#"{thoughts},"channel":"final","name":"MiniMax AI"{blocks}"#), r#","index":0"#);
    let (plain, of_litellm) = (said(thoughts, ""), said(&format!("{thoughts}{blocks}"), ""));
    let compact = |text: &str| text.replace(", \"tool_calls\"", ",\"tool_calls\"");
    assert!(sent(&served("openai"), came.clone()).contains(&compact(&plain)));
    assert!(sent(&litellm(), came).contains(&compact(&of_litellm)));
    let only_call = said("", r#","index":0"#);
    assert!(sent(&served("openai"), only_call).contains(&compact(&said("", ""))));
}

#[test]
fn caches_that_want_to_be_asked_are_asked() {
    let claude = |vendor| ChatCompletions::new(&ours(vendor, "anthropic/claude-opus-4.8")).unwrap();
    let body: Value = serde_json::from_str(&encoded(&claude("openrouter"), &conversation())).unwrap();
    let mark = serde_json::json!({"type": "ephemeral"});
    assert_eq!(body["cache_control"], mark);
    let system = serde_json::json!([{"type": "text", "text": "Be brief.", "cache_control": mark}]);
    assert_eq!(body["messages"][0]["content"], system);
    assert_eq!(body["messages"][1], serde_json::json!({"role": "user", "content": "Begin."}));

    let litellm = ChatCompletions::new(&litellm()).unwrap();
    let body: Value = serde_json::from_str(&encoded(&litellm, &conversation())).unwrap();
    assert_eq!(body["cache_control"], Value::Null);
    assert_eq!(body["messages"][0]["content"], system);
    let begin = serde_json::json!([{"type": "text", "text": "Begin.", "cache_control": mark}]);
    assert_eq!(body["messages"][1]["content"], begin);

    let gpt = ChatCompletions::new(&ours("openrouter", "openai/gpt-5")).unwrap();
    assert!(!encoded(&gpt, &conversation()).contains("cache_control"));
}

#[test]
fn marks_move_on_and_nothing_else_changes() {
    let served = litellm();
    let model = ChatCompletions::new(&served).unwrap();
    let mut conversation = conversation();
    let mut before = String::new();
    for turn in 0..20 {
        let body = encoded(&model, &conversation);
        let value: Value = serde_json::from_str(&body).unwrap();
        // One for tools and system prompt; of the history the last two places that can have one.
        assert_eq!(body.matches(MARK).count(), if turn == 0 { 2 } else { 3 });
        if turn > 0 {
            let last = value["messages"].as_array().unwrap().last().unwrap();
            assert_eq!(last["cache_control"]["type"], "ephemeral");
        }
        let plain = body.replace(MARK, "");
        let open = plain.strip_suffix("]}").unwrap();
        assert!(open.starts_with(&before), "turn {turn} changed the past");
        before = open.to_owned();
        let said = r#"{"role":"assistant","content":null, "tool_calls":[{"id":"c"}]}"#;
        let Message::Assistant(mut reply) = reply(said, 1, Stop::Tools) else { unreachable!() };
        reply.origin = served.origin();
        conversation.push(Message::Assistant(reply));
        let result = ToolResult { call_id: "c".to_owned(), text: "done".to_owned(), failed: false };
        conversation.push(Message::Results(vec![result]));
    }
}
