//! `finish`: the agent's last word.

use events::Shown;
use serde::Deserialize;

use super::{Done, Tool, Trouble, arguments};
use crate::Finish;

/// What forges show of a title; longer ones are cut later, at a word.
const TITLE_CHARS_MAX: usize = 200;

pub(super) const TOOL: Tool = Tool {
    name: "finish",
    description: "Say that the task is done. The service then commits and opens the pull request.",
    parameters: r#"{"type":"object","properties":{"title":{"type":"string","description":"one line, imperative"},"summary":{"type":"string","description":"Markdown: what and why, how it was checked"}},"required":["title","summary"],"additionalProperties":false}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    title: String,
    summary: String,
}

pub(super) fn run(text: &str) -> Result<Done, Trouble> {
    let Arguments { title, summary } = arguments(&TOOL, text)?;
    let title: String = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() || title.chars().count() > TITLE_CHARS_MAX || summary.trim().is_empty() {
        let why = format!(
            "`finish` takes a title of 1 to {TITLE_CHARS_MAX} characters and a summary. Call it again."
        );
        return Err(Trouble::Refused(why));
    }
    let shown = Shown::Nothing;
    Ok(Done { finish: Some(Finish { title, summary }), ..Done::of("Finished.".to_owned(), shown) })
}
