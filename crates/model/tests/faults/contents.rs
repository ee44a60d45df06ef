//! Replies that are whole, of a model that does something odd.

use crate::bench::Server;
use crate::case::{Case, try_all};

pub(crate) fn cases() -> Vec<Case> {
    let case = |what, content: &str, stop: &str, outcome| {
        let usage = r#"{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":30,"cache_creation_input_tokens":40}"#;
        let reply = format!(r#"{{"content":[{content}],"stop":"{stop}","usage":{usage}}}"#);
        Case { what, reply, server: Server::Fails(Vec::new()), outcome: [outcome; 3] }
    };
    let call = |input: &str| format!(r#"{{"type":"tool_use","id":"t1","name":"bash","input":{input}}}"#);
    let long = format!(r#"{{"content":"{}"}}"#, "x".repeat(1_000_000));
    let text = r#"{"type":"text","text":"Well."}"#;
    let odd = r#"{"type":"brand_new_block","z":1.50}"#;
    vec![
        case("an empty reply", "", "end_turn", "takes an empty reply"),
        case(
            "arguments that are no JSON",
            &call(r#"{"INVALID_JSON":"{\"command\": \"ls"}"#),
            "tool_use",
            "takes the reply; the call is not run: its arguments are no JSON",
        ),
        case("arguments of a megabyte", &call(&long), "tool_use", "takes the reply"),
        case(
            "a tool that there is not",
            &call("{}").replace("bash", "no_such_tool"),
            "tool_use",
            "takes the reply",
        ),
        case("a block of an unknown kind", &format!("{odd},{text}"), "end_turn", "takes the reply"),
        case("an unknown reason to stop", text, "brand_new", "takes the reply as `brand_new`"),
        case(
            "the limit of the output within a tool call",
            &call(r#"{"INVALID_JSON":"{\"command\": \"l"}"#),
            "max_tokens",
            "takes the reply as cut short; the call is not run: its arguments are no JSON",
        ),
        case(
            "a reply that is held back",
            &format!("{text},{}", call("{}")),
            "refusal",
            "takes the reply as held back, without its calls",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_whole_reply_is_taken_however_odd_it_is() {
    try_all(cases()).await;
}
