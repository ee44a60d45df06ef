//! The documents that are checked in are those that the code makes.
#![cfg(test)]

use std::path::Path;

fn same(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if update() {
        std::fs::write(&path, made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "docs/{name} is old: UPDATE_DOCS=1 cargo test --release -p server --test docs");
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says here that the documents shall be written"
)]
fn update() -> bool {
    std::env::var("UPDATE_DOCS").is_ok()
}

#[test]
fn openapi_json() {
    same("openapi.json", &server::docs::openapi_json());
}

#[test]
fn events_md() {
    same("events.md", &server::docs::events_markdown());
}

#[test]
fn errors_md() {
    same("errors.md", &server::docs::errors_markdown());
}
