//! The table in the documentation is made of the cases that the tests try.

use std::path::Path;

use crate::case::Case;
use crate::{breaks, contents, garbles, heads, lines};

const BEGIN: &str = "<!-- from model/tests/faults -->\n";
const END: &str = "<!-- end -->\n";

fn table() -> String {
    let mut table =
        "| the provider … | Messages | Responses | Chat Completions |\n|---|---|---|---|\n".to_owned();
    for Case { what, outcome: [messages, responses, chat], .. } in
        [lines::cases(), heads::cases(), breaks::cases(), garbles::cases(), contents::cases()]
            .into_iter()
            .flatten()
    {
        table += &format!("| {what} | {messages} | {responses} | {chat} |\n");
    }
    table
}

#[test]
fn every_fault_is_listed_with_what_comes_of_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/models.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}{}{END}{after}", table());
    if update() {
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert!(
        there == made,
        "docs/models.md is old: UPDATE_DOCS=1 cargo test --release -p model --test faults"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says here that the documents shall be written"
)]
fn update() -> bool {
    std::env::var("UPDATE_DOCS").is_ok()
}
