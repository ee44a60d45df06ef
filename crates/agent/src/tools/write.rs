//! `write`: a whole file.

use events::{FileEdited, Shown};
use sandbox::{FileAnswer, FileTool};
use serde::Deserialize;

use super::{Done, Tool, Trouble, arguments};
use crate::Bench;

pub(super) const TOOL: Tool = Tool {
    name: "write",
    description: "Write a whole file, over what is there; missing folders are made. For new files.",
    parameters: r#"{"type":"object","properties":{"path":{"type":"string"},"content":{"type":"string"}},"required":["path","content"],"additionalProperties":false}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    path: String,
    content: String,
}

pub(super) async fn run(text: &str, bench: &Bench<'_>) -> Result<Done, Trouble> {
    let (arguments, tool) = asked(text)?;
    told(arguments, bench.sandbox.file(&tool).await?)
}

/// What is written, and what the sandbox is asked.
pub(super) fn asked(text: &str) -> Result<(Arguments, FileTool), Trouble> {
    let asked: Arguments = arguments(&TOOL, text)?;
    let tool = FileTool::Write { path: asked.path.clone(), bytes: asked.content.clone().into_bytes() };
    Ok((asked, tool))
}

/// What the model is told of its answer.
pub(super) fn told(asked: Arguments, answer: FileAnswer) -> Result<Done, Trouble> {
    let Arguments { path, content } = asked;
    match answer {
        FileAnswer::Written { created, before } => {
            let result =
                format!("{} {path} ({} bytes).", if created { "Created" } else { "Replaced" }, content.len());
            // A file whose former content is not text (or too long) is shown as written, not as replaced.
            let (old, matched) = match before {
                Some(before) if !created => (before, "exact"),
                Some(_) | None => (String::new(), "created"),
            };
            let edits = vec![FileEdited { path, old, new: content, matched: matched.to_owned() }];
            Ok(Done { edits, changed_files: true, ..Done::of(result, Shown::Nothing) })
        }
        FileAnswer::Refused(why) => Err(Trouble::Refused(why)),
        other @ (FileAnswer::Read { .. }
        | FileAnswer::Folder { .. }
        | FileAnswer::Found { .. }
        | FileAnswer::Edited { .. }
        | FileAnswer::Kept { .. }) => Err(super::answered_amiss(&other)),
    }
}

/// The answer that made `result` and this edit.
pub(super) fn recalled(result: &str, edit: &FileEdited) -> FileAnswer {
    let created = result.starts_with("Created ");
    FileAnswer::Written { created, before: (edit.matched == "exact").then(|| edit.old.clone()) }
}
