//! Replies that come to their end with something wrong in them.

use fakes::model::{Fault, Garble};

use crate::case::{Case, SAYS, case, try_all};

/// Only Messages tells at the begin what the prompt comes to.
const ODD: [&str; 3] = [
    "asks again, or the next model at once; counts 81 tokens lost",
    "asks again, or the next model at once",
    "asks again, or the next model at once",
];

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
        garbled("events, fields and comments that nobody knows", Garble::Unknown, "takes the reply"),
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
