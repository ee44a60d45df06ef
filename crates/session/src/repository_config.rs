//! What a repository asks for, in `.backspace/config.toml` of the branch that a session starts from.
//!
//! Anybody who can write to the repository can write it, so it may narrow what a session may do and never widen it.
//! What cannot be taken is told to the user and passed over: a misspelt key must not end a session, nor go unheard.

use std::io::Read as _;
use std::path::Path;

use events::Budget;
use toml::{Table, Value};

use crate::egress::Wanted;
use crate::request::{CHECK_CHARS_MAX, CHECKS_MAX, NO_SETUP, SETUP_CHARS_MAX, is_script};

/// Where it stands, below the root of the repository.
const PATH: &str = ".backspace/config.toml";
/// A longer file is no settings.
const BYTES_MAX: u64 = 64 * 1024;
/// A key is repeated to its author; a longer one is no key.
const KEY_CHARS_MAX: usize = 100;
/// More problems than this are not worth telling.
const PROBLEMS_MAX: usize = 20;

/// More commands belong into a script of the repository.
const SETUP_COMMANDS_MAX: usize = 20;
/// More variables belong into a file of the repository.
const VARIABLES_MAX: usize = 50;
/// A longer value is no setting.
const VALUE_CHARS_MAX: usize = 4_000;

/// What a repository asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RepositoryConfig {
    /// `setup`: shell scripts that set the project up, none of them for no setup. Absent when the repository says
    /// nothing.
    pub(crate) setup: Option<Vec<String>>,
    /// `checks`: commands to run on the finished work when the request names none.
    pub(crate) checks: Vec<String>,
    /// `[env]`: variables of every command inside. Anybody who reads the repository knows them.
    pub(crate) env: Vec<(String, String)>,
    /// `[budget]`: `usd`, `tokens`, `turns`, `minutes`. Smaller bounds of others hold all the same.
    pub(crate) budget: Budget,
    /// `egress`: what of the operator's list its commands need; all of it when nothing is said.
    pub(crate) egress: Option<Vec<Wanted>>,
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
                ("setup", value) => config.setup = reader.setup(value),
                ("checks", value) => config.checks = reader.checks(value),
                ("env", Value::Table(env)) => config.env = reader.env(env),
                ("env", _) => reader.refuse("env", "must be a table: [env]"),
                ("budget", Value::Table(budget)) => config.budget = reader.budget(budget),
                ("budget", _) => reader.refuse("budget", "must be a table: [budget]"),
                ("egress", Value::Array(hosts)) => config.egress = Some(reader.egress(&hosts)),
                ("egress", _) => {
                    // It was meant to narrow, and must not stay as wide as it was.
                    config.egress = Some(Vec::new());
                    let must = "must be a list of hosts, `packages` or `public-packages`";
                    reader.problems.push(format!("{PATH}: `egress` {must}; nothing is reached"));
                }
                // Whoever may name an image may run what another project keeps in one.
                ("image", _) => reader.refuse("image", "is the operator's to say (BACKSPACE_IMAGE)"),
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

    fn setup(&mut self, value: Value) -> Option<Vec<String>> {
        if value.as_str().is_some_and(|text| text.trim() == NO_SETUP) {
            return Some(Vec::new());
        }
        let scripts = scripts(value, SETUP_COMMANDS_MAX, SETUP_CHARS_MAX);
        if scripts.is_none() {
            let why = format!(
                "must be a shell script of 1 to {SETUP_CHARS_MAX} characters, a list of at most {SETUP_COMMANDS_MAX}, or `none`"
            );
            self.refuse("setup", &why);
        }
        scripts
    }

    fn checks(&mut self, value: Value) -> Vec<String> {
        scripts(value, CHECKS_MAX, CHECK_CHARS_MAX).unwrap_or_else(|| {
            let why = format!(
                "must be a list of at most {CHECKS_MAX} commands of 1 to {CHECK_CHARS_MAX} characters"
            );
            self.refuse("checks", &why);
            Vec::new()
        })
    }

    fn env(&mut self, table: Table) -> Vec<(String, String)> {
        let mut env = Vec::new();
        for (name, value) in table {
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.is_empty();
            let value =
                value.as_str().filter(|text| text.chars().count() <= VALUE_CHARS_MAX && !text.contains('\0'));
            match value.filter(|_| is_name && env.len() < VARIABLES_MAX) {
                Some(value) => env.push((name, value.to_owned())),
                None => {
                    let why = format!(
                        "must be the name of a variable with a text of at most {VALUE_CHARS_MAX} characters; there may be {VARIABLES_MAX}"
                    );
                    self.refuse(&format!("env.{name}"), &why);
                }
            }
        }
        // A table's order is whatever its reader was built for.
        env.sort();
        env
    }

    fn egress(&mut self, hosts: &[Value]) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for host in hosts {
            match host.as_str().and_then(Wanted::parse) {
                Some(known) => wanted.push(known),
                None => self.refuse(&format!("egress: {host}"), "is neither a host nor `packages`"),
            }
        }
        wanted
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

/// A script or a list of scripts.
fn scripts(value: Value, count_max: usize, chars_max: usize) -> Option<Vec<String>> {
    let items = if let Value::Array(items) = value { items } else { vec![value] };
    let texts = items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
    (texts.len() <= count_max && texts.iter().all(|text| is_script(text, chars_max))).then_some(texts)
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
        assert_eq!(config, RepositoryConfig { budget, ..RepositoryConfig::default() });
        assert_eq!(RepositoryConfig::parse("budget.usd = 0.5").budget.usd, Some(0.5));
    }

    #[test]
    fn how_a_project_is_set_up_and_checked_is_read() {
        let config = RepositoryConfig::parse(
            "setup = ['npm ci', 'npm run build']\nchecks = ['npm test']\n[env]\nNODE_ENV = 'test'\nA_1 = ''\n",
        );
        assert_eq!(config.problems, Vec::<String>::new());
        assert_eq!(config.setup.unwrap(), ["npm ci", "npm run build"]);
        assert_eq!(config.checks, ["npm test"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(config.env, [pair("A_1", ""), pair("NODE_ENV", "test")]);
        let setup = |text: &str| RepositoryConfig::parse(text).setup;
        assert_eq!(setup("setup = 'make deps'"), Some(vec!["make deps".to_owned()]));
        assert_eq!(
            (setup("setup = 'none'"), setup("setup = []"), setup("")),
            (Some(vec![]), Some(vec![]), None)
        );
    }

    #[test]
    fn odd_setups_checks_and_variables_are_told() {
        let many = format!("setup = [{}]", "'x',".repeat(21));
        for text in ["setup = 1", "setup = ['a', 2]", "setup = ' '", "setup = \"a\\u0000\"", &many] {
            let config = RepositoryConfig::parse(text);
            assert_eq!(config.setup, None, "{text}");
            assert!(config.problems[0].contains("`setup` must be a shell script"), "{config:?}");
        }
        let config =
            RepositoryConfig::parse("checks = true\n[env]\n'A=B' = 'x'\n1A = 'x'\nB = 2\nC = 'good'\n");
        assert_eq!(config.env, [("C".to_owned(), "good".to_owned())]);
        let mut keys: Vec<&str> = config.problems.iter().filter_map(|told| told.split('`').nth(1)).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["checks", "env.1A", "env.A=B", "env.B"]);
    }

    #[test]
    fn what_is_wanted_of_the_network_is_read() {
        let config = RepositoryConfig::parse("egress = [\"packages\", \"Api.Example\", \"*.example\", 4]");
        assert_eq!(config.egress, Some(vec![Wanted::Packages, Wanted::parse("api.example").unwrap()]));
        assert_eq!(config.problems.len(), 2, "{:?}", config.problems);
        assert_eq!(RepositoryConfig::parse("egress = []").egress, Some(Vec::new()));
        let wrong = RepositoryConfig::parse("egress = \"packages\"");
        assert_eq!(wrong.egress, Some(Vec::new()));
        assert!(wrong.problems[0].ends_with("; nothing is reached"), "{:?}", wrong.problems);
    }

    #[test]
    fn an_image_is_the_operator_s_to_name() {
        let config = RepositoryConfig::parse("image = \"other-project\"");
        let told =
            ".backspace/config.toml: `image` is the operator's to say (BACKSPACE_IMAGE); it is passed over";
        assert_eq!(config.problems, [told]);
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
