//! `search`: text in files, or names of files.

use events::Shown;
use sandbox::{FileAnswer, FileTool};
use serde::Deserialize;

use super::{Done, Tool, Trouble, arguments};
use crate::Bench;

/// Matches given when the model asks for no number, and at most.
const MATCHES_MAX: u64 = 200;

/// What the model is told of a search that found nothing.
const NOTHING: &str = "Nothing was found.";
/// What it is told last when there is more than it asked for.
const MORE: &str = "[there are more: narrow the search down by path or glob]";

pub(super) const TOOL: Tool = Tool {
    name: "search",
    description: "Search file contents by regular expression (pattern, optionally limited by path and glob), or, \
                  without a pattern, file names by glob. .gitignore is honoured. Gives path:line:text.",
    parameters: r#"{"type":"object","properties":{"pattern":{"type":"string"},"glob":{"type":"string","description":"such as **/*.py"},"path":{"type":"string","description":"folder or file, relative to /work"},"limit":{"type":"integer","minimum":1,"maximum":200}},"required":[],"additionalProperties":false}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    pattern: Option<String>,
    glob: Option<String>,
    path: Option<String>,
    limit: Option<u64>,
}

pub(super) async fn run(text: &str, bench: &Bench<'_>) -> Result<Done, Trouble> {
    let (query, tool) = asked(text)?;
    told(query, bench.sandbox.file(&tool).await?)
}

/// What is looked for, and what the sandbox is asked.
pub(super) fn asked(text: &str) -> Result<(String, FileTool), Trouble> {
    let asked: Arguments = arguments(&TOOL, text)?;
    let path = asked.path.unwrap_or_default();
    let matches_max = asked.limit.unwrap_or(MATCHES_MAX).clamp(1, MATCHES_MAX);
    match (asked.pattern.filter(|p| !p.is_empty()), asked.glob.filter(|g| !g.is_empty())) {
        (Some(pattern), glob) => {
            let glob = glob.unwrap_or_default();
            Ok((pattern.clone(), FileTool::SearchText { pattern, path, glob, matches_max }))
        }
        (None, Some(glob)) => Ok((glob.clone(), FileTool::SearchNames { glob, path, matches_max })),
        (None, None) => Err(Trouble::Refused("Give a `pattern`, a `glob`, or both.".to_owned())),
    }
}

/// What the model is told of its answer.
pub(super) fn told(query: String, answer: FileAnswer) -> Result<Done, Trouble> {
    match answer {
        FileAnswer::Found { matches, more } => {
            let count = matches.len() as u64;
            let mut result = matches.join("\n");
            if matches.is_empty() {
                NOTHING.clone_into(&mut result);
            } else if more {
                result.push('\n');
                result.push_str(MORE);
            }
            Ok(Done::of(result, Shown::Search { query, matches: count }))
        }
        FileAnswer::Refused(why) => Err(Trouble::Refused(why)),
        other @ (FileAnswer::Read { .. }
        | FileAnswer::Folder { .. }
        | FileAnswer::Edited { .. }
        | FileAnswer::Written { .. }
        | FileAnswer::Kept { .. }) => Err(super::answered_amiss(&other)),
    }
}

/// The answer that the model was told as `result`, with so many matches.
pub(super) fn recalled(result: &str, matches: u64) -> FileAnswer {
    if matches == 0 {
        return FileAnswer::Found { matches: Vec::new(), more: false };
    }
    let mut lines: Vec<String> = result.split('\n').map(str::to_owned).collect();
    let more = lines.last().is_some_and(|last| last == MORE);
    if more {
        lines.pop();
    }
    FileAnswer::Found { matches: lines, more }
}

/// How many lines a result with so many matches has that ends like this.
pub(super) fn lines_told(matches: u64, end: &str) -> usize {
    let more = u64::from(end.ends_with(MORE));
    usize::try_from(matches + more).unwrap_or(usize::MAX)
}
