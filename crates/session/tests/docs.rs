//! What the documentation says of replays is what they do.
#![cfg(test)]

use std::path::Path;

const BEGIN: &str = "<!-- from session/src/replay/volatile.rs -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn what_is_not_compared_is_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recordings.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}{}{END}{after}", session::replay::not_compared());
    if update() {
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert!(
        there == made,
        "docs/recordings.md is old: UPDATE_DOCS=1 cargo test --release -p session --test docs"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says here that the documents shall be written"
)]
fn update() -> bool {
    std::env::var("UPDATE_DOCS").is_ok()
}
