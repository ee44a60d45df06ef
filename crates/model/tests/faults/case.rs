//! What a provider does, and what comes of it on each wire.

use fakes::model::Fault;
use model::Protocol;

use crate::bench::{Bench, Server};
use crate::outcome;

/// The wires, in the order of the table.
pub(crate) const WIRES: [Protocol; 3] = [Protocol::Anthropic, Protocol::Responses, Protocol::ChatCompletions];

/// A reply that says something and calls a tool, as a line of a recording: what a provider would have answered.
pub(crate) const CALLS: &str = r#"{"content":[{"type":"text","text":"I look into it, and tell you."},{"type":"tool_use","id":"t1","name":"bash","input":{"command":"ls -la && cat README.md"}}],"usage":{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":30,"cache_creation_input_tokens":40}}"#;
/// One that only says something.
pub(crate) const SAYS: &str = r#"{"content":[{"type":"text","text":"I have looked into it, and this is what I found."}],"usage":{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":30,"cache_creation_input_tokens":40}}"#;

/// One row of the table.
pub(crate) struct Case {
    /// What the provider does, in words.
    pub(crate) what: &'static str,
    /// What it would have answered.
    pub(crate) reply: String,
    /// How it comes to that.
    pub(crate) server: Server,
    /// What comes of it on each wire, in the words of `outcome`.
    pub(crate) outcome: [&'static str; 3],
}

/// What the provider does to the next request, and what comes of it on every wire.
pub(crate) fn case(what: &'static str, fault: Fault, outcome: &'static str) -> Case {
    Case { what, reply: CALLS.to_owned(), server: Server::Fails(vec![fault]), outcome: [outcome; 3] }
}

impl Case {
    /// The same where the wires differ.
    pub(crate) fn each(self, outcome: [&'static str; 3]) -> Self {
        Self { outcome, ..self }
    }

    /// The same with another reply.
    pub(crate) fn of(self, reply: &str) -> Self {
        Self { reply: reply.to_owned(), ..self }
    }

    /// The same for as long as it is asked.
    pub(crate) fn on_and_on(self) -> Self {
        let server = match self.server {
            Server::Fails(faults) => Server::Fails(faults.into_iter().cycle().take(20).collect()),
            server @ (Server::Gone | Server::Deaf | Server::Mute | Server::HangsUp) => server,
        };
        Self { server, ..self }
    }
}

/// Tries each case on each wire.
pub(crate) async fn try_all(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for case in cases {
        for (wire, expected) in WIRES.into_iter().zip(case.outcome) {
            let bench = Bench::new(wire, &case.reply, &case.server).await;
            let came = outcome::of(&bench).await;
            if came != expected {
                wrong.push(format!("{} on {wire:?}\n  expected: {expected}\n  came:     {came}", case.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
