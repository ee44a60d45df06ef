//! `edit`: replaces exact passages of a file, all of them or none.

use std::fmt::Write as _;

use events::{FileEdited, Shown};
use sandbox::{Applied, FileAnswer, FileTool, Passage, Tier};
use serde::Deserialize;

use super::{Done, Tool, Trouble, arguments};
use crate::Bench;

pub(super) const TOOL: Tool = Tool {
    name: "edit",
    description: "Replace a passage of a file: old_str must stand there exactly once (copy it from `read`, without \
                  the line numbers), with enough lines around it to be unique, or with near_line or replace_all. \
                  Give several passages of one file in `edits`; all are applied, or none. An empty old_str creates a \
                  missing file.",
    parameters: r#"{"type":"object","properties":{"path":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"replace_all":{"type":"boolean"},"near_line":{"type":"integer","minimum":1},"edits":{"type":"array","items":{"type":"object","properties":{"old_str":{"type":"string"},"new_str":{"type":"string"},"replace_all":{"type":"boolean"},"near_line":{"type":"integer","minimum":1}},"required":["old_str","new_str"],"additionalProperties":false}}},"required":["path"],"additionalProperties":false}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    old_str: Option<String>,
    new_str: Option<String>,
    replace_all: Option<bool>,
    near_line: Option<u64>,
    edits: Option<Vec<Edit>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    old_str: String,
    new_str: String,
    replace_all: Option<bool>,
    near_line: Option<u64>,
}

pub(super) async fn run(text: &str, bench: &Bench<'_>) -> Result<Done, Trouble> {
    let (path, tool) = asked(text)?;
    told(path, bench.sandbox.file(&tool).await?)
}

/// The file, and what the sandbox is asked.
pub(super) fn asked(text: &str) -> Result<(String, FileTool), Trouble> {
    let asked: Arguments = arguments(&TOOL, text)?;
    let path = asked.path.clone();
    Ok((path.clone(), FileTool::Edit { path, passages: passages(asked)? }))
}

/// What the model is told of its answer.
pub(super) fn told(path: String, answer: FileAnswer) -> Result<Done, Trouble> {
    match answer {
        FileAnswer::Edited { applied } => {
            let mut result = format!("Edited {path}:");
            for Applied { line, tier, new, .. } in &applied {
                let _ = write!(result, " line {line}{}", found(new, *tier));
            }
            let edits = applied.into_iter().map(|a| FileEdited {
                path: path.clone(),
                old: a.old,
                new: a.new,
                matched: a.tier.as_str().to_owned(),
            });
            let edits = edits.collect();
            Ok(Done { edits, changed_files: true, ..Done::of(result, Shown::Nothing) })
        }
        FileAnswer::Refused(why) => Err(Trouble::Refused(why)),
        other @ (FileAnswer::Read { .. }
        | FileAnswer::Folder { .. }
        | FileAnswer::Found { .. }
        | FileAnswer::Written { .. }
        | FileAnswer::Kept { .. }) => Err(super::answered_amiss(&other)),
    }
}

/// The answer that made `result` and these edits of `path`; nothing when it made others.
pub(super) fn recalled(result: &str, path: &str, edits: &[FileEdited]) -> Option<FileAnswer> {
    let mut rest = result.strip_prefix("Edited ")?.strip_prefix(path)?.strip_prefix(':')?;
    let mut applied = Vec::with_capacity(edits.len());
    for edit in edits {
        let tier = Tier::parse(&edit.matched)?;
        let (line, after) = rest.strip_prefix(" line ")?.split_once(' ')?;
        rest = after.strip_prefix(found(&edit.new, tier).trim_start())?;
        applied.push(Applied {
            old: edit.old.clone(),
            new: edit.new.clone(),
            line: line.parse().ok()?,
            tier,
        });
    }
    rest.is_empty().then_some(FileAnswer::Edited { applied })
}

/// How large a passage is now and how it was found, for the model.
fn found(new: &str, tier: Tier) -> String {
    format!(" ({} new lines, found {})", new.lines().count(), how(tier))
}

/// The passages in either of the two forms that models write.
fn passages(asked: Arguments) -> Result<Vec<Passage>, Trouble> {
    let edits = match (asked.edits, asked.old_str, asked.new_str) {
        (Some(edits), None, None) if !edits.is_empty() => edits,
        (None, Some(old_str), Some(new_str)) => {
            vec![Edit { old_str, new_str, replace_all: asked.replace_all, near_line: asked.near_line }]
        }
        _ => {
            let why =
                "Give either `old_str` and `new_str`, or a non-empty list of `edits`. Nothing was done.";
            return Err(Trouble::Refused(why.to_owned()));
        }
    };
    Ok(edits
        .into_iter()
        .map(|edit| Passage {
            old: edit.old_str,
            new: edit.new_str,
            every: edit.replace_all.unwrap_or(false),
            near_line: edit.near_line,
        })
        .collect())
}

/// How a passage was found, for the model.
fn how(tier: Tier) -> &'static str {
    match tier {
        Tier::Exact => "exactly",
        Tier::LineEndings => "but for line endings",
        Tier::TrailingSpace => "but for trailing space",
        Tier::Indent => "but for the indentation, which was shifted in the new text too",
        Tier::Punctuation => "but for typographic characters",
        Tier::Created => "as a new file",
    }
}
