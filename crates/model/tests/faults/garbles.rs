//! Replies that come to their end with something wrong in them.

use fakes::model::{Fault, Garble};
use model::{Message, ToolResult, Unheard};

use crate::bench::{Bench, Server};
use crate::breaks::AGAIN;
use crate::case::{CALLS, Case, SAYS, WIRES, case, try_all};

/// Only Messages tells at the begin what the prompt comes to.
const ODD: [&str; 3] = [
    "asks again, or the next model at once; counts 81 tokens lost",
    "asks again, or the next model at once; estimates the tokens lost",
    "asks again, or the next model at once; estimates the tokens lost",
];

/// By its end a reply is counted.
const WHOLE_ODD: &str = "asks again, or the next model at once; counts 100 tokens lost";

/// A text with a character of two halves, and a call with one.
const SMILES: &str = r#"{"content":[{"type":"text","text":"I have found it 😀 at last."}],"usage":{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":30,"cache_creation_input_tokens":40}}"#;
const CALLS_SMILING: &str = r#"{"content":[{"type":"tool_use","id":"t1","name":"bash","input":{"command":"echo 'Well done 😀'"}}],"usage":{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":30,"cache_creation_input_tokens":40}}"#;

pub(crate) fn cases() -> Vec<Case> {
    let garbled = |what, garble, outcome| case(what, Fault::Garbled(garble), outcome);
    let counts = |count: serde_json::Value| Garble::Counts(count);
    vec![
        garbled("a piece of a text comes twice", Garble::Twice, "")
            .each([
                "takes the reply with the piece twice",
                "takes the reply; people see the piece twice until it is whole",
                "takes the reply with the piece twice",
            ])
            .of(SAYS),
        garbled("a piece of a tool call comes twice", Garble::Twice, "").each([
            "takes the reply; the call is not run: its arguments are no JSON",
            "takes the reply",
            "takes the reply; the call is not run: its arguments are no JSON",
        ]),
        garbled("bytes that are no UTF-8", Garble::NotUtf8, "").each(ODD),
        garbled("an event that is no JSON", Garble::NotJson, "").each(ODD),
        garbled("an event of 5 MB", Garble::Oversized, "").each(ODD),
        garbled("a comment of 5 MB", Garble::OversizedComment, "").each(ODD),
        garbled("an error in none of the wire's forms", Garble::BareError, "").each(AGAIN),
        garbled("does not say why the model stopped, after a text", Garble::NoReason, "")
            .each([AGAIN[0], AGAIN[1], "takes the reply"])
            .of(SAYS),
        garbled("does not say why the model stopped, after a tool call", Garble::NoReason, "").each([
            AGAIN[0],
            AGAIN[1],
            "asks again; counts 100 tokens lost",
        ]),
        garbled("events, fields and comments that nobody knows", Garble::Unknown, "takes the reply"),
        garbled("repeats an unknown string field", Garble::Repeats, "takes the reply"),
        garbled("cuts characters of a text into halves", Garble::Halves, "takes the reply").of(SMILES),
        garbled("cuts characters of a tool call into halves", Garble::Halves, "takes the reply")
            .of(CALLS_SMILING),
        garbled("leaves out the second half of a character of a text", Garble::HalfAlone, "")
            .each([
                "takes the reply with U+FFFD for it",
                "takes the reply; people see U+FFFD for it until it is whole",
                "takes the reply with U+FFFD for it",
            ])
            .of(SMILES),
        garbled("leaves out the second half of a character of a tool call", Garble::HalfAlone, "")
            .each([WHOLE_ODD, "takes the reply", WHOLE_ODD])
            .of(CALLS_SMILING),
        garbled("lines end in CR LF, and bytes come one by one", Garble::Crumbs, "takes the reply"),
        garbled(
            "counts no tokens",
            Garble::NoCounts,
            "takes the reply counting [0, 0, 0, 0] at an unknown cost",
        ),
        garbled(
            "counts below zero",
            counts((-5).into()),
            "takes the reply counting [0, 0, 0, 0] at an unknown cost",
        ),
        garbled(
            "counts in words",
            counts("many".into()),
            "takes the reply counting [0, 0, 0, 0] at an unknown cost",
        ),
        garbled("counts in fractions", counts(7.5.into()), "").each([
            "takes the reply counting [8, 8, 8, 8]",
            "takes the reply counting [0, 8, 8, 8]",
            "takes the reply counting [0, 8, 8, 8]",
        ]),
        garbled(
            "counts beyond all bounds",
            counts(u64::MAX.into()),
            "takes the reply counting [0, 0, 0, 0] at an unknown cost",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_a_wire_does_not_allow_is_never_taken_and_what_it_may_add_is_passed_over() {
    try_all(cases()).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_is_taken_back() {
    for garble in [Garble::Unknown, Garble::Repeats, Garble::Halves, Garble::Crumbs] {
        for (first, wire) in
            [SMILES, CALLS_SMILING, CALLS].into_iter().flat_map(|line| WIRES.map(|wire| (line, wire)))
        {
            let server = Server::Fails(vec![Fault::Garbled(garble.clone())]);
            let bench = Bench::new(wire, &format!("{first}\n{SAYS}"), &server).await;
            let (model, mut conversation) = (bench.model(), bench.conversation());
            let reply = model.reply(&conversation, None, &Unheard).await.unwrap();
            let results = reply.calls.iter().map(|call| ToolResult {
                call_id: call.id.clone(),
                text: "done".to_owned(),
                failed: false,
            });
            let results: Vec<ToolResult> = results.collect();
            conversation.push(Message::Assistant(reply));
            conversation.push(match results.is_empty() {
                true => Message::User("Go on.".to_owned()),
                false => Message::Results(results),
            });
            let next = model.reply(&conversation, None, &Unheard).await;
            assert!(next.is_ok(), "{garble:?} on {wire:?}: {next:?}");
        }
    }
}
