//! Our clients against servers that nobody here wrote: a stand-in's idea of a wire is its author's, as ours is.
//!
//! `./dev e2e models` installs the servers, runs this, and shows the table.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "e2e/server.rs"]
mod server;
#[path = "e2e/session.rs"]
mod session;

use model::Protocol;

use server::{Aimock, LiteLlm};
use session::{Asked, outcome};

/// The wires, in the order of the table.
const WIRES: [Protocol; 3] = [Protocol::Anthropic, Protocol::Responses, Protocol::ChatCompletions];

/// What to ask a server for, and what has to come of it on each wire.
struct Row {
    what: &'static str,
    asked: Asked,
    outcome: [&'static str; 3],
}

fn row(what: &'static str, asked: Asked, outcome: [&'static str; 3]) -> Row {
    Row { what, asked, outcome }
}

/// Thinks, calls two tools, and ends.
const LOOP: &str = r#"thinks Look first., says I look., calls bash {"command":"ls -la"}, calls bash {}, 10 + 20 tokens → says Done., 10 + 20 tokens"#;
/// What a server cannot do on a wire is not asked of it.
const NOT_ASKED: &str = "-";

/// A stand-in for both vendors.
fn of_aimock() -> Vec<Row> {
    let asked = |task| Asked { task, ..Asked::default() };
    vec![
        row("thinks, calls two tools, ends", asked("work"), [LOOP; 3]),
        row("is limited", asked("limited"), ["busy"; 3]),
        row("refuses the request", asked("refused"), ["refused"; 3]),
        row("breaks off within a reply", asked("cut"), ["broke off"; 3]),
        row(
            "stops at its limit",
            asked("long"),
            ["says And so on, and so, stops: output_limit, 10 + 20 tokens"; 3],
        ),
        row("does not know the key", Asked { key: "sk-wrong", ..asked("work") }, ["key refused"; 3]),
    ]
}

/// A gateway: with answers of its own, which it streams on Chat Completions alone, and with the stand-in behind it.
fn of_litellm() -> Vec<Row> {
    let asked = |model| Asked { model, ..Asked::default() };
    vec![
        row("says something", asked("says"), [NOT_ASKED, NOT_ASKED, "says Done., 16 + 2 tokens"]),
        row("is limited", asked("limited"), ["busy", NOT_ASKED, "busy"]),
        row("cannot hold the conversation", asked("full"), ["context full", NOT_ASKED, "context full"]),
        row("fails", asked("broken"), ["busy"; 3]),
        row("does not know the key", Asked { key: "sk-wrong", ..asked("says") }, ["key refused"; 3]),
        row("does not know the model", asked("no-such-model"), ["model unknown"; 3]),
        row("leads to OpenAI: two tools", asked("openai-behind"), [LOOP; 3]),
        row("leads to Anthropic: two tools", asked("anthropic-behind"), [LOOP; 3]),
        row("leads to OpenAI: limited", Asked { task: "limited", ..asked("openai-behind") }, ["busy"; 3]),
        row(
            "leads to Anthropic: limited",
            Asked { task: "limited", ..asked("anthropic-behind") },
            ["busy"; 3],
        ),
        row("leads to OpenAI: breaks off", Asked { task: "cut", ..asked("openai-behind") }, ["busy"; 3]),
        row(
            "leads to Anthropic: breaks off",
            Asked { task: "cut", ..asked("anthropic-behind") },
            ["busy"; 3],
        ),
    ]
}

#[tokio::test]
#[ignore = "it needs servers that `./dev e2e models` installs"]
async fn they_get_along() {
    let aimock = Aimock::start().await;
    let litellm = LiteLlm::start(aimock.port()).await;
    let mut table = format!("{:<9} {:<31} {:<16} outcome\n", "server", "what it does", "wire");
    let mut wrong = Vec::new();
    for (server, vendor, port, rows) in [
        ("aimock", None, aimock.port(), of_aimock()),
        ("LiteLLM", Some("litellm"), litellm.port(), of_litellm()),
    ] {
        for Row { what, asked, outcome: expected } in rows {
            for (wire, expected) in WIRES.into_iter().zip(expected) {
                if expected == NOT_ASKED {
                    continue;
                }
                let came = outcome(vendor, wire, port, &asked).await;
                let line = format!("{server:<9} {what:<31} {:<16} {came}\n", format!("{wire:?}"));
                table += &line;
                if came != expected {
                    wrong.push(format!("{line}  expected: {expected}"));
                }
            }
        }
    }
    server::show(&table);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
