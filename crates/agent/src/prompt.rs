//! What the model is told at the start.

use std::fmt::Write as _;

use model::Conversation;

use crate::tools;

/// The rules, in one text, the same for every session: what stands first is what a provider caches.
const SYSTEM: &str = include_str!("prompts/system.md");

/// What the agent is told of its task.
#[derive(Debug, Clone, Default)]
pub struct Brief {
    /// What was asked for, in the words of whoever asked.
    pub task: String,
    /// The repository's address.
    pub repository: String,
    /// The branch that the work starts from.
    pub base: String,
    /// The names at the top of the repository, folders with a trailing `/`; bounded by the caller.
    pub top_level: Vec<String>,
    /// How the project was set up before, when it was; bounded by the caller.
    pub setup: Option<String>,
    /// The hosts that commands reach, by https only.
    pub reaches: Vec<String>,
    /// What the repository tells agents, from its base branch.
    pub instructions: Option<Instructions>,
}

/// A file in which the repository tells agents how it is built.
#[derive(Debug, Clone)]
pub struct Instructions {
    /// Its name, such as `AGENTS.md`.
    pub path: String,
    /// Its text; bounded by the caller.
    pub text: String,
}

/// A conversation for `brief`, and its first message.
pub(crate) fn begin(brief: &Brief) -> (Conversation, String) {
    (Conversation::new(SYSTEM.to_owned(), tools::specs()), task(brief))
}

/// How many bytes of ours every first request holds before the repository's own text.
pub fn prefix_bytes() -> usize {
    let specs = tools::specs();
    let tools: usize =
        specs.iter().map(|t| t.name.len() + t.description.len() + t.parameters.get().len()).sum();
    SYSTEM.len() + tools + task(&Brief::default()).len()
}

/// The first message.
fn task(brief: &Brief) -> String {
    let mut text = format!("<task>\n{}\n</task>\n\n", brief.task);
    let _ =
        writeln!(text, "Repository: {} (branch {}), at /work. Its top level:", brief.repository, brief.base);
    let _ = writeln!(text, "{}", brief.top_level.join("  "));
    if !brief.reaches.is_empty() {
        let hosts = brief.reaches.join(" ");
        let _ = writeln!(
            text,
            "\nCommands reach these hosts, by https through the proxy that is set, and no other: {hosts}"
        );
    }
    if let Some(setup) = &brief.setup {
        let _ = write!(text, "\n<setup>\n{setup}</setup>\n");
    }
    if let Some(Instructions { path, text: quoted }) = &brief.instructions {
        let _ = write!(
            text,
            "\nWhat the repository's authors tell agents, from {path} of the base branch:\n\
             <repository-instructions>\n{quoted}\n</repository-instructions>\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_prefix_stays_small() {
        assert!(prefix_bytes() <= 8 * 1024, "{} bytes", prefix_bytes());
    }

    #[test]
    fn the_agent_knows_what_it_reaches() {
        let reaches = vec!["a.example".to_owned(), "b.example".to_owned()];
        let text = task(&Brief { reaches, ..Brief::default() });
        assert!(text.ends_with("and no other: a.example b.example\n"), "{text}");
        assert!(!task(&Brief::default()).contains("reach"));
    }

    #[test]
    fn the_repository_s_words_are_marked_as_its_own() {
        let brief = Brief {
            task: "Fix it".into(),
            instructions: Some(Instructions { path: "AGENTS.md".into(), text: "Use tabs.".into() }),
            ..Brief::default()
        };
        let text = task(&brief);
        assert!(text.starts_with("<task>\nFix it\n</task>"));
        assert!(text.contains("from AGENTS.md of the base branch:\n<repository-instructions>\nUse tabs.\n"));
    }
}
