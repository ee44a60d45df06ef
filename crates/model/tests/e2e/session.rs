//! A small session: asks, answers calls, and tells what came.

use model::{
    Config, Conversation, Error, Message, Part, Protocol, Reply, Served, Stop, ToolResult, ToolSpec, Unheard,
    Vendors,
};
use secrecy::SecretString;

use crate::server::KEY;

/// A session that asks more often goes in circles.
const REPLIES_MAX: usize = 4;

/// What a server is asked for.
pub(crate) struct Asked {
    pub(crate) task: &'static str,
    pub(crate) model: &'static str,
    pub(crate) key: &'static str,
}

impl Default for Asked {
    fn default() -> Self {
        Self { task: "work", model: "", key: KEY }
    }
}

/// What comes of a session at `port`; without a `vendor` the server passes for the one whose wire it is.
pub(crate) async fn outcome(vendor: Option<&str>, wire: Protocol, port: u16, asked: &Asked) -> String {
    let (own, model) = match wire {
        Protocol::Anthropic => ("anthropic", "claude-opus-5-5"),
        Protocol::Responses | Protocol::ChatCompletions => ("openai", "gpt-5"),
    };
    let model = if asked.model.is_empty() { model } else { asked.model };
    let url = match wire {
        Protocol::Anthropic => format!("http://127.0.0.1:{port}"),
        Protocol::Responses | Protocol::ChatCompletions => format!("http://127.0.0.1:{port}/v1"),
    };
    let vendor = Vendors::built_in().get(vendor.unwrap_or(own)).unwrap();
    let served = Served::new(vendor, SecretString::from(asked.key), model).speaking(wire).at(&url);
    let model = model::open(&Config::Served(served)).unwrap();
    let parameters = r#"{"type":"object","properties":{"command":{"type":"string"}}}"#;
    let tool = ToolSpec {
        name: "bash".to_owned(),
        description: "Runs a command.".to_owned(),
        parameters: serde_json::from_str(parameters).unwrap(),
    };
    let mut conversation = Conversation::new("You are careful.".to_owned(), vec![tool]);
    conversation.push(Message::User(asked.task.to_owned()));
    let mut words = Vec::new();
    for _ in 0..REPLIES_MAX {
        let reply = match model.reply(&conversation, None, &Unheard).await {
            Ok(reply) => reply,
            Err(error) => {
                words.push(class(&error));
                break;
            }
        };
        words.push(told(&reply));
        let result =
            |id: &str| ToolResult { call_id: id.to_owned(), text: "README.md".to_owned(), failed: false };
        let results: Vec<ToolResult> = reply.calls.iter().map(|call| result(&call.id)).collect();
        conversation.push(Message::Assistant(reply));
        if results.is_empty() {
            break;
        }
        conversation.push(Message::Results(results));
    }
    words.join(" → ")
}

fn told(reply: &Reply) -> String {
    let part = |part: &Part| match part {
        Part::Thought(text) => format!("thinks {text}"),
        Part::Text(text) => format!("says {text}"),
    };
    let mut words: Vec<String> = reply.parts.iter().map(part).collect();
    words.extend(reply.calls.iter().map(|call| format!("calls {} {}", call.name, call.arguments)));
    match &reply.stop {
        Stop::Finished | Stop::Tools => {}
        other @ (Stop::OutputLimit | Stop::Refused | Stop::Other(_)) => {
            words.push(format!("stops: {}", other.as_str()));
        }
    }
    words.push(format!("{} + {} tokens", reply.usage.input, reply.usage.output));
    words.join(", ")
}

/// The class alone: the words are another matter with each version of a server.
fn class(error: &Error) -> String {
    let class = match error {
        Error::Key { .. } => "key refused",
        Error::Quota { .. } => "quota spent",
        Error::NotFound { .. } => "model unknown",
        Error::ContextFull { .. } => "context full",
        Error::Refused { .. } => "refused",
        Error::Transient { message, .. } if message.contains("broke off") => "broke off",
        Error::Transient { .. } => "busy",
        Error::Protocol { .. } => "no protocol",
        Error::Beyond { .. } | Error::Config(_) => panic!("{error}"),
    };
    class.to_owned()
}
