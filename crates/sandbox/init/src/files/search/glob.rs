//! Globs as people write them: without a slash they mean names, with one they mean paths.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::super::{Refusal, refuse};
use crate::protocol::WORK;

/// Which paths a search takes.
pub(super) struct Glob {
    /// None takes all.
    matcher: Option<GlobMatcher>,
    names_only: bool,
    start: PathBuf,
}

impl Glob {
    /// Reads a glob for a search that begins at `start`; an empty one takes all.
    pub(super) fn parse(text: &str, start: &Path) -> Result<Self, Refusal> {
        if text.starts_with('!') {
            return refuse(format!("The glob {text} cannot exclude: say what to take, or give a path."));
        }
        let relative = text.strip_prefix(WORK).filter(|rest| rest.starts_with('/')).unwrap_or(text);
        let relative = relative.trim_start_matches("./").trim_start_matches('/');
        let names_only = !relative.contains('/');
        let matcher = if relative.is_empty() {
            None
        } else {
            // A folder means what is in it.
            let in_folder = if relative.ends_with('/') { "**" } else { "" };
            let glob = GlobBuilder::new(&format!("{relative}{in_folder}"))
                .literal_separator(true)
                .backslash_escape(true)
                .build();
            Some(
                glob.map_err(|error| Refusal(format!("The glob is not understood: {error}.")))?
                    .compile_matcher(),
            )
        };
        Ok(Self { matcher, names_only, start: start.to_owned() })
    }

    /// Whether a path of the work tree is taken: seen from the work tree, or from where the search begins.
    pub(super) fn takes(&self, path: &Path) -> bool {
        let Some(matcher) = &self.matcher else { return true };
        if self.names_only {
            return path.file_name().is_some_and(|name| matcher.is_match(name));
        }
        matcher.is_match(path) || matcher.is_match(super::below(path, &self.start))
    }
}
