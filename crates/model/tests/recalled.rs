//! A reply that came over a wire is the same when it is read back from what a log keeps of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fakes::model::{Fake, Recording};
use model::{
    Config, Conversation, Kept, Message, Model, Protocol, Reply, ScriptedConfig, Served, ToolResult,
    ToolSpec, Unheard, Vendors,
};
use secrecy::SecretString;

/// Thinking, parallel calls, arguments that are no JSON, a block of an unknown kind, no call at all.
const REPLIES: &str = r#"{"content":[{"type":"thinking","thinking":"Look first. 😀","signature":"c2lnbmF0dXJl"},{"type":"text","text":"I look."},{"type":"tool_use","id":"t1","name":"bash","input":{"command": "ls -la","n":1.0}}],"usage":{"input_tokens":10,"output_tokens":20},"model":"claude-opus-5-5"}
{"content":[{"type":"tool_use","id":"t2","name":"bash","input":{"command":"a"}},{"type":"tool_use","id":"t3","name":"read","input":{}}]}
{"content":[{"type":"tool_use","id":"t4","name":"bash","input":{"INVALID_JSON":"{\"command\": \"unfin"}}]}
{"content":[{"type":"brand_new_block","z":1.50,"a":[ ]},{"type":"text","text":"Odd."},{"type":"tool_use","id":"t5","name":"no_such_tool","input":{"x":[1,2]}}]}
{"content":[{"type":"text","text":"Done."}],"stop":"end_turn"}
"#;

fn served(vendor: &str, model: &str, protocol: Protocol, base_url: &str) -> Config {
    let served = Served::new(Vendors::built_in().get(vendor).unwrap(), SecretString::from("sk-key"), model);
    Config::Served(served.speaking(protocol).at(base_url))
}

/// All replies, each after the results of the calls before it.
async fn replies(model: &dyn Model) -> Vec<Reply> {
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: format!("Does {name}."),
        parameters: serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap(),
    };
    let tools = vec![tool("bash"), tool("read")];
    let mut conversation = Conversation::new("You are careful.".to_owned(), tools);
    conversation.push(Message::User("Do it.".to_owned()));
    let mut replies = Vec::new();
    for _ in 0..REPLIES.lines().count() {
        let reply = model.reply(&conversation, None, &Unheard).await.unwrap();
        let result =
            |id: &str| ToolResult { call_id: id.to_owned(), text: "Done.".to_owned(), failed: false };
        let results: Vec<ToolResult> = reply.calls.iter().map(|call| result(&call.id)).collect();
        conversation.push(Message::Assistant(reply.clone()));
        if !results.is_empty() {
            conversation.push(Message::Results(results));
        }
        replies.push(reply);
    }
    replies
}

#[tokio::test]
async fn a_reply_is_recalled_from_what_a_log_keeps_of_it() {
    let fake = Fake::new(Recording::parse(REPLIES).unwrap()).start().await.unwrap();
    let (anthropic, openai) = (fake.anthropic_url(), fake.openai_url());
    let script = ScriptedConfig { name: "script".to_owned(), text: REPLIES.to_owned() };
    for config in [
        served("anthropic", "claude-opus-5-5", Protocol::Anthropic, &anthropic),
        served("openai", "gpt-5", Protocol::Responses, &openai),
        served("openai", "gpt-5", Protocol::ChatCompletions, &openai),
        Config::Scripted(script),
    ] {
        for reply in replies(&*model::open(&config).unwrap()).await {
            let Reply { origin, raw, stop, usage, model, .. } = reply.clone();
            let kept = Kept { origin, raw, stop: stop.as_str().to_owned(), usage, model };
            let recalled = Reply::recalled(kept).unwrap();
            assert_eq!(format!("{recalled:?}"), format!("{reply:?}"));
        }
    }
}
