//! Replies that do not come to their end.

use fakes::model::Fault;

use crate::case::{Case, SAYS, case, try_all};

/// Only Messages tells at the begin what the prompt comes to.
pub(crate) const AGAIN: [&str; 3] = [
    "asks again; counts 81 tokens lost",
    "asks again; estimates the tokens lost",
    "asks again; estimates the tokens lost",
];

/// Who has had ten minutes is asked once more, when there is nobody else.
const LATE: [&str; 3] = [
    "asks again, or the next model at once; counts 81 tokens lost",
    "asks again, or the next model at once; estimates the tokens lost",
    "asks again, or the next model at once; estimates the tokens lost",
];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("the line breaks before the first event", Fault::CutAtOnce, "asks again"),
        case("the line breaks within a text", Fault::Cut, "").each(AGAIN).of(SAYS),
        case("the line breaks within a tool call", Fault::Cut, "").each(AGAIN),
        case("the body ends within a text", Fault::EndEarly, "").each(AGAIN).of(SAYS),
        case("the body ends within a tool call", Fault::EndEarly, "").each(AGAIN),
        case("nothing more comes within a text", Fault::Stall, "").each(AGAIN).of(SAYS),
        case("nothing more comes within a tool call", Fault::Stall, "").each(AGAIN),
        case("only signs of life come within a text", Fault::SignsOfLife, "").each(LATE).of(SAYS),
        case("only signs of life come within a tool call", Fault::SignsOfLife, "").each(LATE),
        case("overloaded within a text", Fault::ErrorInStream, "").each(AGAIN).of(SAYS),
        case("overloaded within a tool call", Fault::ErrorInStream, "").each(AGAIN),
        case("overloaded within a tool call on and on", Fault::ErrorInStream, "")
            .each([
                "asks 8 times, then gives up, the next model after 3; counts 648 tokens lost",
                "asks 8 times, then gives up, the next model after 3; estimates the tokens lost 8 times",
                "asks 8 times, then gives up, the next model after 3; estimates the tokens lost 8 times",
            ])
            .on_and_on(),
    ]
}

#[tokio::test(start_paused = true)]
async fn half_a_reply_is_asked_for_again_and_nothing_of_it_is_kept() {
    try_all(cases()).await;
}
