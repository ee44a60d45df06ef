//! `search`: text in files, or names of files.

use events::Shown;
use sandbox::{FileAnswer, FileTool};
use serde::Deserialize;

use super::{Done, Tool, Trouble, arguments};
use crate::Bench;

/// Matches given when the model asks for no number, and at most.
const MATCHES_MAX: u64 = 200;

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
    let asked: Arguments = arguments(&TOOL, text)?;
    let path = asked.path.unwrap_or_default();
    let matches_max = asked.limit.unwrap_or(MATCHES_MAX).clamp(1, MATCHES_MAX);
    let (query, tool) = match (asked.pattern.filter(|p| !p.is_empty()), asked.glob.filter(|g| !g.is_empty()))
    {
        (Some(pattern), glob) => {
            let glob = glob.unwrap_or_default();
            (pattern.clone(), FileTool::SearchText { pattern, path, glob, matches_max })
        }
        (None, Some(glob)) => (glob.clone(), FileTool::SearchNames { glob, path, matches_max }),
        (None, None) => return Err(Trouble::Refused("Give a `pattern`, a `glob`, or both.".to_owned())),
    };
    match bench.sandbox.file(&tool).await? {
        FileAnswer::Found { matches, more } => {
            let count = matches.len() as u64;
            let mut result = matches.join("\n");
            if matches.is_empty() {
                "Nothing was found.".clone_into(&mut result);
            } else if more {
                result.push_str("\n[there are more: narrow the search down by path or glob]");
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
