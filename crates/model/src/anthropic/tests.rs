//! Requests: what stands in them, where the marks are, and that the past never changes.

use secrecy::SecretString;
use serde_json::Value;

use super::*;
use crate::raw_object::raw;
use crate::vendors::tests::ours;
use crate::{Message, Stop, ToolResult, ToolSpec, Usage, Vendors};

fn model(name: &str) -> Anthropic {
    Anthropic::new(&served(name)).unwrap()
}

fn served(model: &str) -> Served {
    ours("anthropic", model)
}

fn conversation() -> Conversation {
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: "Does \"it\".".to_owned(),
        parameters: raw(r#"{"type":"object","properties":{"n":{"minimum":1.0}}}"#.to_owned()),
    };
    Conversation::new("Be brief.".to_owned(), vec![tool("read"), tool("bash")])
}

fn reply(content: &str, stop: Stop) -> Message {
    let raw = raw(format!(r#"{{"role":"assistant","content":{content}}}"#));
    let usage = Usage::default();
    let origin = served("claude-opus-5-5").origin();
    let (parts, calls, model) = (Vec::new(), Vec::new(), String::new());
    Message::Assistant(Reply { origin, raw, parts, calls, stop, usage, model })
}

fn result(id: &str, text: &str, failed: bool) -> ToolResult {
    ToolResult { call_id: id.to_owned(), text: text.to_owned(), failed }
}

fn encoded(model: &Anthropic, conversation: &Conversation) -> String {
    String::from_utf8(model.encode(conversation, None).unwrap()).unwrap()
}

#[test]
fn a_request_holds_what_the_wire_wants() {
    let mut conversation = conversation();
    conversation.push(Message::User("Fix \u{1F600}\u{7}".to_owned()));
    let body: Value = serde_json::from_str(&encoded(&model("claude-opus-5-5"), &conversation)).unwrap();
    assert_eq!(
        (&body["model"], &body["max_tokens"], &body["stream"]),
        (&"claude-opus-5-5".into(), &32_000.into(), &true.into())
    );
    assert_eq!(body["thinking"].to_string(), r#"{"display":"summarized","type":"adaptive"}"#);
    assert_eq!(body["tools"][0]["cache_control"], Value::Null);
    assert_eq!(body["tools"][1]["cache_control"]["type"], "ephemeral");
    assert_eq!(body["tools"][1]["input_schema"]["properties"]["n"]["minimum"], 1.0);
    assert_eq!(body["system"][0]["text"], "Be brief.");
    assert_eq!(body["messages"][0]["content"][0]["text"], "Fix \u{1F600}\u{7}");
}

#[test]
fn the_past_never_changes_apart_from_the_marks() {
    let model = model("claude-opus-5-5");
    let mut conversation = conversation();
    conversation.push(Message::User("Begin.".to_owned()));
    let mut before = String::new();
    for turn in 0..30 {
        let body = encoded(&model, &conversation);
        let value: Value = serde_json::from_str(&body).unwrap();
        let marks = body.matches(MARK).count();
        assert_eq!(marks, if turn == 0 { 3 } else { 4 });
        let last = value["messages"].as_array().unwrap().last().unwrap();
        let last = last["content"].as_array().unwrap().last().unwrap();
        assert_eq!(last["cache_control"]["type"], "ephemeral");
        // The limit of a reply changes from request to request, and stands behind everything that is kept.
        let limited = String::from_utf8(model.encode(&conversation, Some(30_000 - turn)).unwrap()).unwrap();
        let plain = limited.replace(MARK, "");
        let open = plain.strip_suffix(&format!(r#"],"max_tokens":{}}}"#, 30_000 - turn)).unwrap();
        assert!(open.starts_with(&before), "turn {turn} changed the past");
        before = open.to_owned();
        let thinking =
            format!(r#"[{{"type":"thinking","signature":"s{turn}", "thinking":"é"}},{{"type":"x"}}]"#);
        conversation.push(reply(&thinking, Stop::Tools));
        conversation.push(Message::Results(vec![result("a", "1", false), result("b", "", true)]));
        if turn % 7 == 3 {
            conversation.push(Message::User("By the way.".to_owned()));
        }
    }
    assert!(before.contains(r#"{"role":"assistant","content":[{"type":"thinking","signature":"s7", "thinking":"é"},{"type":"x"}]}"#));
    assert!(
        before.contains(r#"{"type":"tool_result","tool_use_id":"b","content":"(nothing)","is_error":true}"#)
    );
}

#[test]
fn a_mark_stands_where_the_request_before_ended() {
    let model = model("claude-opus-5-5");
    let mut conversation = conversation();
    conversation.push(Message::User("one".to_owned()));
    conversation.push(reply(r#"[{"type":"text","text":"r"}]"#, Stop::Finished));
    conversation.push(Message::Results(vec![result("a", "two", false)]));
    conversation.push(Message::User("three".to_owned()));
    conversation.push(reply(r#"[{"type":"text","text":"r"}]"#, Stop::Finished));
    conversation.push(Message::User("four".to_owned()));
    let body: Value = serde_json::from_str(&encoded(&model, &conversation)).unwrap();
    let marked: Vec<usize> =
        (0..6).filter(|n| body["messages"][n]["content"][0].get("cache_control").is_some()).collect();
    assert_eq!(marked, [3, 5]);
}

#[test]
fn replies_that_the_api_would_not_take_back_are_left_out() {
    let model = model("claude-opus-5-5");
    let mut conversation = conversation();
    conversation.push(Message::User("one".to_owned()));
    conversation.push(reply("[]", Stop::Finished));
    conversation.push(reply(r#"[{"type":"text","text":" \n"}]"#, Stop::Finished));
    conversation.push(reply(r#"[{"type":"tool_use","id":"t","name":"n","input":{}}]"#, Stop::Refused));
    conversation.push(reply(r#"[{"type":"text","text":""},{"type":"x", "y":1.0}]"#, Stop::Finished));
    let body = encoded(&model, &conversation);
    let (_, messages) = body.split_once(r#""messages":["#).unwrap();
    let messages = messages.replace(MARK, "");
    let user = r#"{"role":"user","content":[{"type":"text","text":"one"}]}"#;
    let kept = r#"{"role":"assistant","content":[{"type":"x", "y":1.0}]}"#;
    assert_eq!(messages, format!(r#"{user},{kept}],"max_tokens":32000}}"#));
}

#[test]
fn thoughts_that_nothing_follows_are_left_out_once_and_for_all() {
    let model = model("claude-opus-5-5");
    let signed = r#"{"type":"thinking","thinking":"Hm. ","signature":"s"}"#;
    let cut = r#"{"type":"thinking","thinking":"Hm","signature":""}"#;
    let unsigned = r#"{"type":"thinking","thinking":"Hm"}"#;
    let sealed = r#"{"type":"redacted_thinking","data":"x"}"#;
    let (text, blank) = (r#"{"type":"text", "text":"So."}"#, r#"{"type":"text","text":" \n"}"#);
    let call = r#"{"type":"tool_use","id":"t","name":"bash","input":{}}"#;
    let mut conversation = conversation();
    conversation.push(Message::User("one".to_owned()));
    let user = r#"{"role":"user","content":[{"type":"text","text":"one"}]}"#;
    let mut past = encoded(&model, &conversation).replace(MARK, "").replace(r#"],"max_tokens":32000}"#, "");
    assert!(past.ends_with(user));
    for (content, kept) in [
        (vec![signed], vec![]),
        (vec![signed, blank], vec![]),
        (vec![cut], vec![]),
        (vec![unsigned], vec![]),
        (vec![sealed, signed], vec![]),
        (vec![signed, text, cut], vec![signed, text]),
        (vec![signed, text, blank, sealed], vec![signed, text]),
        (vec![signed, blank, call], vec![signed, call]),
        (vec![unsigned, call], vec![unsigned, call]),
        (vec![signed, text, sealed, text], vec![signed, text, sealed, text]),
    ] {
        conversation.push(reply(&format!("[{}]", content.join(",")), Stop::OutputLimit));
        conversation.push(Message::User("one".to_owned()));
        let body = encoded(&model, &conversation).replace(MARK, "").replace(r#"],"max_tokens":32000}"#, "");
        let sent = format!(r#"{{"role":"assistant","content":[{}]}},"#, kept.join(","));
        let sent = if kept.is_empty() { "" } else { &sent };
        assert_eq!(body, format!("{past},{sent}{user}"), "{content:?}");
        past = body;
    }
}

#[test]
fn another_conversation_is_encoded_from_its_start() {
    let model = model("claude-opus-5-5");
    for text in ["one", "two"] {
        let mut conversation = conversation();
        conversation.push(Message::User(text.to_owned()));
        let body: Value = serde_json::from_str(&encoded(&model, &conversation)).unwrap();
        assert_eq!(body["messages"].as_array().unwrap().len(), 1);
        assert_eq!(body["messages"][0]["content"][0]["text"], text);
    }
}

#[test]
fn settings_suit_the_model_and_the_limit_of_the_request() {
    let of = |model: &str, tokens: Option<u32>| {
        let settings = Settings::of(&served(model).facts(), tokens);
        (settings.output_tokens, settings.thinking)
    };
    assert_eq!(of("claude-sonnet-5", None), (32_000, Thinking::Adaptive));
    assert_eq!(of("claude-haiku-4-5-20251001", None), (32_000, Thinking::Budget(10_000)));
    assert_eq!(of("claude-haiku-4-5", Some(4000)), (4000, Thinking::Budget(2000)));
    assert_eq!(of("claude-haiku-4-5", Some(2000)), (2000, Thinking::Unsaid));
    assert_eq!(of("claude-3-5-haiku-20241022", None), (8192, Thinking::Unsaid));
    assert_eq!(of("claude-3-5-haiku-20241022", Some(9000)), (8192, Thinking::Unsaid));
    assert_eq!(of("kimi-k3", None), (32_000, Thinking::Unsaid));
    let openai = Facts { thinking: Thinking::Summarized, ..Facts::UNKNOWN };
    assert_eq!(Settings::of(&openai, None).thinking, Thinking::Unsaid);
}

#[test]
fn keys_and_addresses_that_cannot_work_are_refused_without_being_told() {
    let vendors = Vendors::built_in();
    let key = |key: &str| Served::new(vendors.get("anthropic").unwrap(), SecretString::from(key), "m");
    for served in [key("sk-secret\nx"), served("m").at("https://user:sk-secret@host"), served("m").at("host")]
    {
        let error = open(&served).err().unwrap();
        assert!(matches!(error, Error::Config(_)) && !error.to_string().contains("sk-secret"), "{error}");
    }
    assert!(!format!("{:?}", served("m")).contains("sk-secret"));
}
