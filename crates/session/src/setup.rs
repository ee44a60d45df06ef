//! Decides how a project is set up before the agent works, and what that depends on.

mod known;
mod shown;

use std::path::Path;

use events::{SetupOrigin, SetupWish};
use repo::{BaseTree, PreparedKey, Wanted};
use sandbox::Inside;

use crate::repository_config::RepositoryConfig;
use known::{KNOWN, Known, OTHER_PROGRAMS};

pub(crate) use known::{is_dependency_folder, is_free};
pub(crate) use shown::Shown;

/// Raised when what a prepared tree of the same name holds, or how it is made, has changed.
const FORMAT: &str = "2";

/// How a project is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) origin: SetupOrigin,
    /// Shell scripts, one after the other.
    pub(crate) commands: Vec<String>,
}

/// What was decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) recipe: Option<Recipe>,
    /// What a lock file suggests and cannot be done, each in a sentence for the user.
    pub(crate) passed_over: Vec<String>,
}

/// What commands of a setup can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    Nothing,
    /// The registries of the operator's npm, pip and cargo.
    Packages,
    /// Hosts that the operator has named, among others perhaps.
    Hosts,
}

/// The programs whose presence and version matter, without repetition.
pub(crate) fn programs() -> Vec<&'static str> {
    let known = KNOWN.iter().flat_map(|known| known.programs);
    let mut names: Vec<&str> = known.chain(OTHER_PROGRAMS).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether anybody asks for a setup, or a lock file could suggest one where all programs are.
pub(crate) fn is_suggested(wish: &SetupWish, config: &RepositoryConfig, root: &Path) -> bool {
    match (wish, &config.setup) {
        (SetupWish::Off, _) => false,
        (SetupWish::Script(_), _) => true,
        (SetupWish::AsFound, Some(commands)) => !commands.is_empty(),
        (SetupWish::AsFound, None) => !known::suggested(root, |_| true).ways.is_empty(),
    }
}

/// How the project at `root` is set up: as `wish` says, else as its repository says, else as its lock files suggest.
pub(crate) fn decide(
    wish: &SetupWish,
    config: &RepositoryConfig,
    root: &Path,
    inside: &Inside,
    outside: Outside,
) -> Decided {
    let asked = |origin, commands: Vec<String>| Decided {
        recipe: (!commands.is_empty()).then_some(Recipe { origin, commands }),
        passed_over: Vec::new(),
    };
    match (wish, &config.setup) {
        (SetupWish::Off, _) => Decided::default(),
        (SetupWish::Script(script), _) => asked(SetupOrigin::Request, vec![script.clone()]),
        (SetupWish::AsFound, Some(commands)) => asked(SetupOrigin::Repository, commands.clone()),
        (SetupWish::AsFound, None) => detect(root, inside, outside),
    }
}

fn detect(root: &Path, inside: &Inside, outside: Outside) -> Decided {
    let suggested = known::suggested(root, |name| inside.has(name));
    let without_programs = suggested.without_programs.iter().map(|known| {
        let Known { lock_file, command, programs, .. } = known;
        let programs = programs.join("` and `");
        format!("{lock_file} suggests `{command}`, but there is no `{programs}` in sandboxes here (BACKSPACE_TOOLS, or \
             BACKSPACE_IMAGE)")
    });
    // What is out of reach would only wait for an answer that cannot come.
    let (ways, beyond): (Vec<&Known>, Vec<&Known>) = suggested.ways.iter().partition(|known| match outside {
        Outside::Nothing => false,
        Outside::Packages => known.is_of_packages(),
        Outside::Hosts => true,
    });
    let beyond = beyond.iter().map(|Known { lock_file, command, .. }| {
        let needs = match outside {
            Outside::Nothing => "a way out of the sandbox (BACKSPACE_EGRESS)",
            Outside::Packages | Outside::Hosts => {
                "hosts that `packages` does not stand for: name them in BACKSPACE_EGRESS"
            }
        };
        format!("{lock_file} suggests `{command}`, which needs {needs}")
    });
    let commands: Vec<String> = ways.iter().map(|known| known.command.to_owned()).collect();
    let recipe = Recipe { origin: SetupOrigin::Detected, commands };
    Decided {
        passed_over: beyond.chain(without_programs).collect(),
        recipe: (!recipe.commands.is_empty()).then_some(recipe),
    }
}

/// Where a recipe is followed.
pub(crate) struct Surroundings<'a> {
    /// What the sandbox shows of the machine.
    pub(crate) inside: &'a Inside,
    /// The environment of commands.
    pub(crate) environment: &'a [(String, String)],
    /// What of it the repository asks for. A variable can name files to run.
    pub(crate) asked: &'a [(String, String)],
    /// The hosts that commands may reach: some setups take what they get.
    pub(crate) hosts: Vec<String>,
    /// The branch that the session starts from: whoever may write to another one must not decide what is found here.
    pub(crate) branch: &'a str,
}

/// Which prepared tree is asked for, and how it is made.
pub(crate) struct Asked {
    pub(crate) wanted: Wanted,
    /// What the recipe is followed over so that other commits may find what it adds; only then they have a name for it.
    pub(crate) shown: Option<Shown>,
}

/// What decides what `recipe` adds to `base`.
///
/// # Errors
/// When the base cannot be read.
pub(crate) async fn asked(
    recipe: &Recipe,
    base: &BaseTree,
    surroundings: &Surroundings<'_>,
) -> Result<Asked, repo::Error> {
    let mut parts = vec![FORMAT.to_owned(), recipe.commands.len().to_string()];
    parts.extend(recipe.commands.iter().cloned());
    parts.extend(surroundings.inside.identity());
    parts.extend(surroundings.environment.iter().map(|(name, value)| format!("{name}={value}")));
    parts.push("hosts".to_owned());
    parts.extend(surroundings.hosts.iter().cloned());
    let here = PreparedKey::of(parts.iter().map(String::as_str).chain(["commit", base.commit.as_str()]));
    let shown = if surroundings.asked.is_empty() { Shown::to(recipe, base).await? } else { None };
    let elsewhere = shown.as_ref().map(|shown| {
        parts.extend(["branch".to_owned(), surroundings.branch.to_owned()]);
        PreparedKey::of(parts.into_iter().map(String::into_bytes).chain(shown.parts()))
    });
    Ok(Asked { wanted: Wanted { here, elsewhere }, shown })
}

#[cfg(test)]
mod tests;
