//! Histories in which several models had their say: every wire writes them so that its strict stand-in takes them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fakes::model::{Fake, Recording, Running};
use model::{
    Config, Conversation, Message, Origin, Part, Protocol, Reply, Served, Stop, ToolCall, ToolResult,
    ToolSpec, Unheard, Usage, Vendors, Wire,
};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

/// The most replies in a history.
const REPLIES_MAX: usize = 8;

/// Thinks as it likes, so that no turn has to begin with thinking.
const CLAUDE: &str = "claude-opus-5-5";
/// Thinks within a budget.
const BUDGETED: &str = "claude-haiku-4-5";

/// Who may have written a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Anthropic,
    Responses,
    ChatCompletions,
    /// Somebody whose form no wire knows.
    Other,
}

impl Writer {
    fn origin(self) -> Origin {
        let (wire, provider, model) = match self {
            Self::Anthropic => (Wire::Anthropic, "anthropic", CLAUDE),
            Self::Responses => (Wire::Responses, "openai", "gpt-5"),
            Self::ChatCompletions => (Wire::ChatCompletions, "openai", "gpt-5"),
            Self::Other => (Wire::Scripted, "scripted", "story"),
        };
        Origin { wire, provider: provider.to_owned(), model: model.to_owned() }
    }

    /// The reply in the writer's form. Its own wire gets it back as it is, so that it has to be in order.
    fn raw(self, text: &str, calls: &[ToolCall]) -> Box<RawValue> {
        let message = match self {
            Self::Anthropic => {
                let said = json!({"type": "text", "text": text});
                let calls = calls.iter().map(|call| {
                    json!({"type": "tool_use", "id": call.id, "name": "bash", "input": {"command": "ls"}})
                });
                let content: Vec<_> = [said].into_iter().chain(calls).collect();
                json!({"role": "assistant", "content": content})
            }
            Self::ChatCompletions => {
                let calls: Vec<_> = calls
                    .iter()
                    .map(|call| json!({"id": call.id, "type": "function", "function": {"name": "bash", "arguments": call.arguments}}))
                    .collect();
                let mut message = json!({"role": "assistant", "content": text});
                if !calls.is_empty() {
                    message["tool_calls"] = json!(calls);
                }
                message
            }
            Self::Responses => {
                let said = json!({"type": "message", "role": "assistant", "content": text});
                let calls = calls.iter().map(|call| {
                    json!({"type": "function_call", "call_id": call.id, "name": "bash", "arguments": call.arguments})
                });
                [said].into_iter().chain(calls).collect()
            }
            Self::Other => json!("in a form of its own"),
        };
        RawValue::from_string(message.to_string()).unwrap()
    }
}

/// What a generated reply is made of.
#[derive(Debug, Clone)]
struct Turn {
    writer: Writer,
    parts: Vec<Part>,
    /// Id, name and arguments of each call.
    calls: Vec<(String, String, String)>,
    stop: Stop,
    /// What the user says after it.
    told: Option<String>,
}

fn turn() -> impl Strategy<Value = Turn> {
    let writer = prop_oneof![
        Just(Writer::Anthropic),
        Just(Writer::Responses),
        Just(Writer::ChatCompletions),
        Just(Writer::Other)
    ];
    let text = prop_oneof!["[ \n]{0,2}", "\\PC{0,12}", Just("He said \"\u{0}\".".to_owned())];
    let part = (any::<bool>(), text)
        .prop_map(|(thought, text)| if thought { Part::Thought(text) } else { Part::Text(text) });
    let arguments = prop_oneof![
        Just("{\"command\": \"ls\", \"n\": 1.50}".to_owned()),
        Just(String::new()),
        Just("{\"command\": \"unfin".to_owned()),
        Just("[1]".to_owned()),
        Just("{\"a\":\"\\ud800\"}".to_owned()),
        "\\PC{0,10}",
    ];
    let name = prop_oneof![Just("bash".to_owned()), "\\PC{0,80}"];
    // Ids that some servers give again with every reply, and such as no other one takes.
    let id = prop_oneof![Just("call_0".to_owned()), Just(String::new()), "\\PC{1,80}"];
    let calls = prop::collection::vec((id, name, arguments), 0..4);
    let stop = prop_oneof![
        4 => Just(Stop::Tools),
        1 => Just(Stop::Refused),
        1 => Just(Stop::OutputLimit),
        1 => Just(Stop::Other("odd".to_owned()))
    ];
    let told = prop_oneof![3 => Just(None), 1 => "\\PC{0,8}".prop_map(Some)];
    (writer, prop::collection::vec(part, 0..4), calls, stop, told)
        .prop_map(|(writer, parts, calls, stop, told)| Turn { writer, parts, calls, stop, told })
}

fn conversation(turns: Vec<Turn>) -> Conversation {
    let tool = ToolSpec {
        name: "bash".to_owned(),
        description: "Runs a command.".to_owned(),
        parameters: serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap(),
    };
    let mut conversation = Conversation::new("You are careful.".to_owned(), vec![tool]);
    conversation.push(Message::User("Do it.".to_owned()));
    for (n, turn) in turns.into_iter().enumerate() {
        let own = |c: usize, id: String| match turn.writer {
            Writer::Anthropic | Writer::Responses | Writer::ChatCompletions => format!("own_{n}_{c}"),
            Writer::Other => id,
        };
        let calls = turn.calls.into_iter().enumerate().map(|(c, (id, name, arguments))| ToolCall {
            id: own(c, id),
            name,
            arguments,
        });
        // Nothing answers the calls of a reply that was held back.
        let calls: Vec<ToolCall> = calls.filter(|_| turn.stop != Stop::Refused).collect();
        let results: Vec<ToolResult> = calls
            .iter()
            .map(|call| ToolResult { call_id: call.id.clone(), text: "done".to_owned(), failed: true })
            .collect();
        let told = turn.told.or_else(|| calls.is_empty().then(|| "Go on.".to_owned()));
        conversation.push(Message::Assistant(Reply {
            origin: turn.writer.origin(),
            raw: turn.writer.raw("Said.", &calls),
            parts: turn.parts,
            calls,
            stop: turn.stop,
            usage: Usage::default(),
            model: "m".to_owned(),
        }));
        if !results.is_empty() {
            conversation.push(Message::Results(results));
        }
        if let Some(told) = told {
            conversation.push(Message::User(told));
        }
    }
    conversation
}

/// A stand-in that has a reply for every place, and the models that reach it.
struct Bench {
    runtime: Runtime,
    fake: Fake,
    running: Running,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let reply = "{\"content\":[{\"type\":\"text\",\"text\":\"Done.\"}]}\n";
        let fake = Fake::new(Recording::parse(&reply.repeat(REPLIES_MAX + 1)).unwrap());
        let running = runtime.block_on(fake.start()).unwrap();
        Self { runtime, fake, running }
    }

    fn claude(&self, model: &str) -> Config {
        Config::Served(served("anthropic", model).at(self.running.anthropic_url()))
    }

    fn gpt(&self, protocol: Protocol) -> Config {
        Config::Served(served("openai", "gpt-5").speaking(protocol).at(self.running.openai_url()))
    }

    /// A model behind each wire.
    fn everybody(&self, claude: &str) -> [Config; 3] {
        [self.claude(claude), self.gpt(Protocol::Responses), self.gpt(Protocol::ChatCompletions)]
    }

    /// Models of Chat Completions whose makers refuse what others take.
    fn particular(&self) -> [Config; 3] {
        [("gemini", "gemini-4-hydrogen"), ("mistral", "mistral-large-4"), ("openai-compatible", "kimi-k3")]
            .map(|(vendor, model)| Config::Served(served(vendor, model).at(self.running.openai_url())))
    }

    /// Asks with `conversation`; the stand-in must take it.
    fn ask(&self, config: &Config, conversation: &Conversation) {
        let model = model::open(config).unwrap();
        let reply = self.runtime.block_on(model.reply(conversation, None, &Unheard));
        let sent = self.fake.asked().pop().unwrap().body;
        assert_eq!(reply.unwrap().parts, [Part::Text("Done.".to_owned())], "{sent}");
    }
}

fn served(vendor: &str, model: &str) -> Served {
    Served::new(Vendors::built_in().get(vendor).unwrap(), SecretString::from("sk-key"), model)
}

#[test]
fn any_history_is_taken_by_every_wire() {
    let bench = Bench::new();
    proptest!(ProptestConfig::with_cases(96), |(turns in prop::collection::vec(turn(), 0..REPLIES_MAX))| {
        let conversation = conversation(turns);
        for config in bench.everybody(CLAUDE).into_iter().chain(bench.particular()) {
            bench.ask(&config, &conversation);
        }
    });
}

#[test]
fn what_was_said_and_done_is_kept_and_what_was_thought_is_not() {
    let bench = Bench::new();
    let calls = [("call:1", "no such", "{\"a\": 1.0}"), ("call:1", "bash", "{\"a")];
    let turn = Turn {
        writer: Writer::Other,
        parts: vec![Part::Text("I look.".to_owned()), Part::Thought("Hm.".to_owned())],
        calls: calls
            .map(|(id, name, arguments)| (id.to_owned(), name.to_owned(), arguments.to_owned()))
            .into(),
        stop: Stop::Tools,
        told: None,
    };
    let mut conversation = conversation(vec![turn]);
    for config in bench.everybody(BUDGETED) {
        bench.ask(&config, &conversation);
    }
    let sent: Vec<String> = bench.fake.asked().into_iter().map(|asked| asked.body).collect();
    let anthropic = concat!(
        r#"{"role":"assistant","content":[{"type":"text","text":"I look."},"#,
        r#"{"type":"tool_use","id":"x00000000","name":"no_such","input":{"a": 1.0}},"#,
        r#"{"type":"tool_use","id":"x00000001","name":"bash","input":{"INVALID_JSON":"{\"a"}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"x00000000","content":"done","is_error":true},"#,
        r#"{"type":"tool_result","tool_use_id":"x00000001","content":"done","is_error":true"#
    );
    assert!(sent[0].contains(anthropic), "{}", sent[0]);
    let chat = concat!(
        r#"{"role":"assistant","content":"I look.","tool_calls":["#,
        r#"{"id":"x00000000","type":"function","function":{"name":"no_such","arguments":"{\"a\": 1.0}"}},"#,
        r#"{"id":"x00000001","type":"function","function":{"name":"bash","arguments":"{\"INVALID_JSON\":\"{\\\"a\"}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"x00000000","content":"done"},{"role":"tool","tool_call_id":"x00000001","content":"done"}"#
    );
    assert!(sent[2].contains(chat), "{}", sent[2]);
    let items = concat!(
        r#"{"type":"message","role":"assistant","content":"I look."},"#,
        r#"{"type":"function_call","call_id":"x00000000","name":"no_such","arguments":"{\"a\": 1.0}"},"#,
        r#"{"type":"function_call","call_id":"x00000001","name":"bash","arguments":"{\"INVALID_JSON\":\"{\\\"a\"}"},"#,
        r#"{"type":"function_call_output","call_id":"x00000000","output":"done"},{"type":"function_call_output","call_id":"x00000001","output":"done"}"#
    );
    assert!(sent[1].contains(items), "{}", sent[1]);
    assert!(sent.iter().all(|body| !body.contains("Hm.")));

    // A budget for thinking is refused in a turn that did not begin with thinking; the next turn has it again.
    let thinks = |body: &str| body.contains(r#""thinking":{"type":"enabled""#);
    assert!(!thinks(&sent[0]));
    conversation.push(Message::User("Go on.".to_owned()));
    bench.ask(&bench.claude(BUDGETED), &conversation);
    assert!(thinks(&bench.fake.asked().pop().unwrap().body));
}
