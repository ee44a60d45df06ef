//! What a repository asks for, in `.backspace/config.toml` of the branch that a session starts from.
//!
//! Anybody who can write to the repository can write it, so it may narrow what a session may do and never widen it.
//! What cannot be taken is told to the user and passed over: a misspelt key must not end a session, nor go unheard.

use std::io::Read as _;
use std::path::Path;

use events::Budget;
use toml::{Table, Value};

/// Where it stands, below the root of the repository.
const PATH: &str = ".backspace/config.toml";
/// A longer file is no settings.
const BYTES_MAX: u64 = 64 * 1024;
/// A key is repeated to its author; a longer one is no key.
const KEY_CHARS_MAX: usize = 100;
/// More problems than this are not worth telling.
const PROBLEMS_MAX: usize = 20;

/// What a repository asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RepositoryConfig {
    /// `[budget]`: `usd`, `tokens`, `turns`, `minutes`. Smaller bounds of others hold all the same.
    pub(crate) budget: Budget,
    /// What could not be taken, each in a sentence for the user.
    pub(crate) problems: Vec<String>,
}

impl RepositoryConfig {
    /// Reads the file of the checked-out tree at `root`; nothing is asked for when there is none. Links are not
    /// followed: they may lead out of the tree.
    pub(crate) fn read(root: &Path) -> Self {
        match text(root) {
            Ok(None) => Self::default(),
            Ok(Some(text)) => Self::parse(&text),
            Err(problem) => Self { problems: vec![problem], ..Self::default() },
        }
    }

    fn parse(text: &str) -> Self {
        let table: Table = match text.parse() {
            Ok(table) => table,
            Err(error) => return Self { problems: vec![not_toml(text, &error)], ..Self::default() },
        };
        let mut reader = Reader::default();
        let mut config = Self::default();
        for (key, value) in table {
            match (key.as_str(), value) {
                ("budget", Value::Table(budget)) => config.budget = reader.budget(budget),
                ("budget", _) => reader.refuse("budget", "must be a table: [budget]"),
                (unknown, _) => reader.refuse(unknown, "is not a known key"),
            }
        }
        Self { problems: reader.problems, ..config }
    }
}

/// Takes values one by one, and notes what is wrong with them.
#[derive(Default)]
struct Reader {
    problems: Vec<String>,
}

impl Reader {
    fn refuse(&mut self, key: &str, why: &str) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let key: String = events::escape_control(key).chars().take(KEY_CHARS_MAX).collect();
        self.problems.push(format!("{PATH}: `{key}` {why}; it is passed over"));
    }

    fn budget(&mut self, table: Table) -> Budget {
        let mut budget = Budget::default();
        for (key, value) in table {
            match key.as_str() {
                "usd" => budget.usd = self.usd(&value),
                "tokens" => budget.tokens = self.whole("budget.tokens", &value, Budget::TOKENS_MAX),
                "turns" => budget.turns = self.whole("budget.turns", &value, Budget::TURNS_MAX),
                "minutes" => budget.minutes = self.whole("budget.minutes", &value, Budget::MINUTES_MAX),
                unknown => self.refuse(&format!("budget.{unknown}"), "is not a known key"),
            }
        }
        budget
    }

    fn usd(&mut self, value: &Value) -> Option<f64> {
        // `usd = 2` is a whole number in TOML, and no larger one than a dollar bound may be is inexact.
        let usd = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        let usd = usd.filter(|usd| Budget::takes_usd(*usd));
        if usd.is_none() {
            let why = format!("must be a number of US dollars above 0, at most {}", Budget::USD_MAX);
            self.refuse("budget.usd", &why);
        }
        usd
    }

    fn whole<N>(&mut self, key: &str, value: &Value, max: N) -> Option<N>
    where
        N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let whole = value.as_integer().filter(|whole| *whole > 0);
        let whole = whole.and_then(|whole| N::try_from(whole).ok()).filter(|whole| *whole <= max);
        if whole.is_none() {
            self.refuse(key, &format!("must be a whole number from 1 to {max}"));
        }
        whole
    }
}

/// The file's text, when it is there and can be one of settings.
fn text(root: &Path) -> Result<Option<String>, String> {
    let path = root.join(PATH);
    let is_folder = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
    if !path.parent().is_some_and(is_folder) {
        return Ok(None);
    }
    let Ok(metadata) = std::fs::symlink_metadata(&path) else { return Ok(None) };
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return Err(format!("{PATH} is no file of at most {BYTES_MAX} bytes; it is passed over"));
    }
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| format!("{PATH} cannot be read ({error}); it is passed over"))?;
    Ok(Some(text))
}

/// What is wrong with a text that is no TOML, with the line.
fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let why = error.message().lines().next().unwrap_or_default();
    format!("{PATH}: line {line} is no TOML ({why}); the file is passed over")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_repository_may_narrow_is_read() {
        let config = RepositoryConfig::parse("[budget]\nusd = 2\ntokens = 1_000\nturns = 40\nminutes = 30\n");
        let budget = Budget { usd: Some(2.0), tokens: Some(1000), turns: Some(40), minutes: Some(30) };
        assert_eq!(config, RepositoryConfig { budget, problems: Vec::new() });
        assert_eq!(RepositoryConfig::parse("budget.usd = 0.5").budget.usd, Some(0.5));
    }

    #[test]
    fn what_cannot_be_taken_is_told_and_the_rest_holds() {
        let config = RepositoryConfig::parse(
            "speed = 1\n[budget]\nturns = 4\nusdd = 1\nusd = -1\ntokens = \"many\"\nminutes = 99_999\n",
        );
        assert_eq!(config.budget, Budget { turns: Some(4), ..Budget::default() });
        let mut told = config.problems;
        told.sort();
        assert_eq!(
            told,
            [
                ".backspace/config.toml: `budget.minutes` must be a whole number from 1 to 10080; it is passed over",
                ".backspace/config.toml: `budget.tokens` must be a whole number from 1 to 9007199254740992; it is passed over",
                ".backspace/config.toml: `budget.usd` must be a number of US dollars above 0, at most 10000; it is passed over",
                ".backspace/config.toml: `budget.usdd` is not a known key; it is passed over",
                ".backspace/config.toml: `speed` is not a known key; it is passed over",
            ]
        );
        let told = RepositoryConfig::parse("[budget]\nturns = = 4").problems;
        assert!(told[0].starts_with(".backspace/config.toml: line 2 is no TOML ("), "{told:?}");
        let told = RepositoryConfig::parse("budget = 4").problems;
        assert_eq!(told, [".backspace/config.toml: `budget` must be a table: [budget]; it is passed over"]);
    }

    #[test]
    fn only_a_file_of_the_tree_itself_is_read() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().join("root");
        let elsewhere = tree.path().join("elsewhere");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("config.toml"), "budget.turns = 4").unwrap();
        assert_eq!(RepositoryConfig::read(&root), RepositoryConfig::default());
        std::os::unix::fs::symlink(&elsewhere, root.join(".backspace")).unwrap();
        assert_eq!(RepositoryConfig::read(&root), RepositoryConfig::default());
        std::fs::remove_file(root.join(".backspace")).unwrap();
        std::fs::create_dir(root.join(".backspace")).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("config.toml"), root.join(PATH)).unwrap();
        let config = RepositoryConfig::read(&root);
        assert_eq!(config.budget, Budget::default());
        assert!(config.problems[0].contains("is no file of at most"), "{config:?}");
        std::fs::remove_file(root.join(PATH)).unwrap();
        std::fs::write(root.join(PATH), "budget.turns = 4").unwrap();
        assert_eq!(RepositoryConfig::read(&root).budget.turns, Some(4));
    }
}
