//! What the agent finds prepared: the tree, where its programs are, and what it is told of it.

use std::fmt::Write as _;

use events::SetupRan;
use repo::Prepared;
use sandbox::Tree;

use super::Checkout;
use crate::setup::Recipe;

/// Of a failed command's output the agent is told the end.
const TOLD_CHARS_MAX: usize = 2_000;
/// Programs of a Python environment, which stand before the system's of the same names, as who activates one expects: where
/// they are in a prepared tree, and where they stand inside.
const VENV: (&str, &str) = ("work/.venv/bin", "/work/.venv/bin");
/// Other programs that setups leave. They stand behind the system's: nobody looks into a home folder, and agent and checks
/// trust `git`, `ls` and `cat` to be what they are.
const PROGRAMS: &[(&str, &str)] = &[
    ("home/.local/bin", "/home/agent/.local/bin"),
    ("home/.cargo/bin", "/home/agent/.cargo/bin"),
    ("home/go/bin", "/home/agent/go/bin"),
];

/// What the agent finds prepared.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    prepared: Option<Prepared>,
    /// Where commands look for programs when nothing is prepared.
    path: String,
    /// What it is told of it.
    pub(crate) told: Option<String>,
}

impl Ground {
    /// What `recipe` left, by the commands that `ran` now or by the same ones earlier.
    pub(super) fn of(recipe: &Recipe, ran: &[SetupRan], prepared: Option<Prepared>) -> Self {
        let told = Some(told(recipe, ran, prepared.is_some()));
        Self { prepared, path: String::new(), told }
    }

    /// The same where commands look for programs in `path` as well.
    pub(super) fn before(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// The base of `checkout` with what was prepared over it.
    pub(super) fn tree(&self, checkout: &Checkout) -> Tree {
        let tree = Tree::of(checkout.tree.layers.clone());
        match &self.prepared {
            None => tree,
            Some(prepared) => tree.with_exported(&prepared.folder),
        }
    }

    /// Adds to the `environment` of commands what makes them find the programs that were prepared.
    pub(super) fn show_programs(&self, environment: &mut Vec<(String, String)>) {
        let Some(prepared) = &self.prepared else { return };
        let is_there = |(place, _): &(&str, &str)| prepared.folder.join(place).is_dir();
        let venv = Some(VENV).filter(is_there);
        let others: Vec<&str> =
            PROGRAMS.iter().filter(|place| is_there(place)).map(|(_, inside)| *inside).collect();
        if (venv.is_none() && others.is_empty()) || environment.iter().any(|(name, _)| name == "PATH") {
            return;
        }
        if venv.is_some() {
            environment.push(("VIRTUAL_ENV".to_owned(), "/work/.venv".to_owned()));
        }
        let folders = venv.map(|(_, inside)| inside).into_iter().chain([&*self.path]).chain(others);
        environment.push(("PATH".to_owned(), folders.collect::<Vec<_>>().join(":")));
    }

    /// Gives it up. No sandbox stands on it any more.
    pub(crate) async fn release(self) {
        if let Some(prepared) = self.prepared {
            prepared.release().await;
        }
    }
}

fn told(recipe: &Recipe, ran: &[SetupRan], is_there: bool) -> String {
    let mut text = "Before you came the project was set up by these commands; ".to_owned();
    text.push_str(if is_there {
        "what they added is there and is no part of your change:\n"
    } else {
        "what they did could not be kept:\n"
    });
    for command in &recipe.commands {
        let ran = ran.iter().find(|ran| ran.command == *command).filter(|ran| ran.exit_code != 0);
        let Some(SetupRan { exit_code, output, .. }) = ran else {
            let _ = writeln!(text, "$ {command}");
            continue;
        };
        let from = output.char_indices().rev().nth(TOLD_CHARS_MAX - 1).map_or(0, |(at, _)| at);
        let end = output[from..].trim_end();
        let _ = writeln!(text, "$ {command}\n{end}\n[failed: exit code {exit_code}]");
    }
    text
}

#[cfg(test)]
mod tests {
    use events::SetupOrigin;

    use super::*;

    #[test]
    fn of_a_failure_the_agent_is_told_the_end() {
        let recipe = Recipe {
            origin: SetupOrigin::Request,
            commands: vec!["npm ci".to_owned(), "npm run build".to_owned()],
        };
        let failed = SetupRan {
            command: "npm run build".to_owned(),
            origin: SetupOrigin::Request,
            output: format!("{}ö\nno such module\n", "x".repeat(5_000)),
            exit_code: 2,
            duration_ms: 1,
        };
        let text = told(&recipe, &[failed], true);
        assert!(text.contains(":\n$ npm ci\n$ npm run build\nxx"), "{text}");
        assert!(text.ends_with("xö\nno such module\n[failed: exit code 2]\n"), "{text}");
        assert!(text.len() < 2_300);
        assert!(told(&recipe, &[], false).contains("could not be kept"));
    }
}
