//! Providers that fail before there is an answer at all.

use crate::bench::Server;
use crate::case::{CALLS, Case, try_all};

pub(crate) fn cases() -> Vec<Case> {
    let case = |what, server, outcome| Case { what, reply: CALLS.to_owned(), server, outcome: [outcome; 3] };
    vec![
        case("takes no connection", Server::Gone, "asks 8 times, then gives up, the next model after 3"),
        case(
            "lets connecting take for ever",
            Server::Deaf,
            "asks 8 times, then gives up, the next model after 3",
        ),
        case(
            "takes the request and is silent",
            Server::Mute,
            "asks 5 times, then gives up, the next model after 3",
        ),
        case(
            "hangs up without an answer",
            Server::HangsUp,
            "asks 8 times, then gives up, the next model after 3",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_be_reached_is_asked_again_and_then_given_up() {
    try_all(cases()).await;
}
