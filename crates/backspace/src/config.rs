//! Reads the settings: flags beat the environment, the environment beats `backspace.toml`. Nothing else reads either.

mod settings;
mod url_credentials;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use model::Vendors;
use secrecy::SecretString;

use crate::output::Usage;

use settings::Setting;
pub(crate) use settings::for_help;

/// A secret in a file is one line.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The settings as text, by name, and where each came from.
pub(crate) struct Settings {
    table: Vec<Setting>,
    vendors: Vendors,
    values: BTreeMap<&'static str, Value>,
}

/// Variables by name, and where they were found.
type Source = (BTreeMap<String, String>, String);

struct Value {
    text: String,
    from: String,
}

/// Where settings are looked for, besides the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// `--env-file`.
    pub(crate) env_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the file, then the environment over it.
    ///
    /// # Errors
    /// A file that was named and cannot be read, a name that is no setting, a secret's file that cannot be read.
    pub(crate) fn load(places: &Places) -> Result<Self> {
        let environment: BTreeMap<String, String> = environment();
        let mut sources: Vec<Source> = Vec::new();
        if let Some(path) = settings_file(places, &environment) {
            sources.push((read_file(&path)?, path.display().to_string()));
        }
        let in_file = sources.len();
        if let Some(path) = &places.env_file {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            sources.push((parse_env_file(&text)?, path.display().to_string()));
        }
        sources.push((environment, "the environment".to_owned()));
        let mut settings = Self::with_vendors(vendors(&sources)?)?;
        for (variables, from) in &sources[..in_file] {
            settings.refuse_unknown(variables, from)?;
        }
        for (variables, from) in &sources {
            settings.take(variables, from)?;
        }
        Ok(settings)
    }

    /// No settings at all, beside a table of vendors.
    fn with_vendors(vendors: Vendors) -> Result<Self> {
        let table =
            settings::table(&vendors).map_err(|error| Usage(format!("BACKSPACE_VENDORS: {error}")))?;
        Ok(Self { table, vendors, values: BTreeMap::new() })
    }

    /// Refuses names that are no setting's: a settings file is ours alone.
    fn refuse_unknown(&self, variables: &BTreeMap<String, String>, from: &str) -> Result<()> {
        let known = |name: &str| {
            self.table.iter().any(|s| s.names().any(|n| n == name || format!("{n}_FILE") == name))
        };
        match variables.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => bail!(
                "{from}: {name} is no setting; the settings have the names of the environment variables"
            ),
        }
    }

    /// Takes what `variables` say, over what is there. Names of others (`PATH`) are passed over, names that look like
    /// ours and are not are an error: a setting that is not heard is worse than none.
    fn take(&mut self, variables: &BTreeMap<String, String>, from: &str) -> Result<()> {
        for setting in &self.table {
            for name in setting.names() {
                if let Some(text) = variables.get(name).filter(|text| !text.is_empty()) {
                    self.values.insert(setting.name, Value { text: text.clone(), from: from.to_owned() });
                }
                let file = variables.get(&format!("{name}_FILE")).filter(|_| setting.secret);
                if let Some(file) = file.filter(|file| !file.is_empty()) {
                    let text = read_secret(Path::new(file))?;
                    self.values.insert(setting.name, Value { text, from: format!("{from} ({name}_FILE)") });
                }
            }
        }
        for name in variables.keys().filter(|name| name.starts_with("BACKSPACE_")) {
            let known = |setting: &&Setting| {
                setting
                    .names()
                    .any(|n| n == name || (setting.secret && name.strip_suffix("_FILE") == Some(n)))
            };
            if !self.table.iter().any(|setting| known(&setting))
                && !settings::CLIENT_ONLY.contains(&name.as_str())
            {
                bail!("{from} sets {name}, which is no setting of this release; see `backspace --help`");
            }
        }
        Ok(())
    }

    /// The text of a setting, trimmed.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(
            self.table.iter().any(|setting| setting.name == name),
            "{name} is in the table of settings"
        );
        self.values.get(name).map(|value| value.text.trim()).filter(|text| !text.is_empty())
    }

    /// What a flag says: it beats all else.
    pub(crate) fn set(&mut self, name: &'static str, text: &str, flag: &str) {
        self.values.insert(name, Value { text: text.to_owned(), from: flag.to_owned() });
    }

    /// A secret.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// A setting that is parsed.
    ///
    /// # Errors
    /// Says which setting, where it came from, and what is wrong; never the value of a secret.
    pub(crate) fn parsed<T>(&self, name: &str) -> Result<Option<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => bail!(Usage(format!("{name} (from {}) is `{text}`: {error}", self.from(name)))),
        }
    }

    /// A list, separated by commas or spaces.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split([',', ' ', '\n'])
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A list of paths; a leading `~/` is the user's home.
    pub(crate) fn paths(&self, name: &str) -> Vec<PathBuf> {
        let home = environment().remove("HOME").map(PathBuf::from);
        let expand = |text: String| match (text.strip_prefix("~/"), &home) {
            (Some(below), Some(home)) => home.join(below),
            _ => PathBuf::from(text),
        };
        self.list(name).into_iter().map(expand).collect()
    }

    /// The environment that the operator's own tools are run with: all of it but what is ours, keys and tokens first of
    /// all.
    pub(crate) fn environment_of_tools(&self) -> BTreeMap<String, String> {
        let mut environment = environment();
        for name in self.table.iter().flat_map(Setting::names) {
            environment.remove(name);
            environment.remove(&format!("{name}_FILE"));
        }
        environment
    }

    /// Where a setting came from, for people.
    pub(crate) fn from(&self, name: &str) -> &str {
        self.values.get(name).map_or("nowhere", |value| &value.from)
    }

    /// The values of all secrets, and the credentials in addresses, for the redactor.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let values = self.table.iter().filter_map(|setting| Some((setting, self.text(setting.name)?)));
        values
            .flat_map(|(setting, text)| {
                let whole = setting.secret.then(|| text.to_owned());
                whole.into_iter().chain(url_credentials::in_text(text))
            })
            .collect()
    }

    /// The model vendors, the operator's own among them.
    pub(crate) fn vendors(&self) -> &Vendors {
        &self.vendors
    }
}

/// Our table of vendors, with the file over it that the last one of `sources` names.
fn vendors(sources: &[Source]) -> Result<Vendors> {
    const NAME: &str = "BACKSPACE_VENDORS";
    let ours = Vendors::built_in();
    let named = sources
        .iter()
        .rev()
        .find_map(|(variables, _)| variables.get(NAME).filter(|path| !path.trim().is_empty()));
    let Some(path) = named.map(|path| path.trim()) else { return Ok(ours.clone()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path} ({NAME})"))?;
    ours.with(&text).with_context(|| format!("{path} ({NAME}) is no table of vendors"))
}

/// Reads `backspace.toml`: the same names as in the environment, at the top level.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let table: toml::Table = text.parse().with_context(|| format!("{shown} is not TOML"))?;
    let mut variables = BTreeMap::new();
    for (name, value) in table {
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                texts.with_context(|| format!("{shown}: {name} must be a list of strings"))?.join(",")
            }
            toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => {
                bail!("{shown}: {name} must be a string, a whole number, true, false or a list of strings")
            }
        };
        variables.insert(name, text);
    }
    Ok(variables)
}

/// The environment, where it is text.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// `--config`, else the user's, else the system's; never one in the current folder, which may be somebody's checkout.
fn settings_file(places: &Places, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    if places.file.is_some() {
        return places.file.clone();
    }
    let user = user_folder(environment, "XDG_CONFIG_HOME", ".config")
        .map(|dir| dir.join("backspace/backspace.toml"));
    user.into_iter().chain([PathBuf::from("/etc/backspace/backspace.toml")]).find(|path| path.is_file())
}

/// The folder for state when none is set: `$XDG_STATE_HOME/backspace`, `~/.local/state/backspace`.
pub(crate) fn default_home() -> Option<PathBuf> {
    user_folder(&environment(), "XDG_STATE_HOME", ".local/state").map(|dir| dir.join("backspace"))
}

/// Where container engines of this machine and this user listen, the likeliest first.
pub(crate) fn engine_sockets() -> Vec<PathBuf> {
    let environment = environment();
    let of_user = |variable: &str, below: &str| {
        let folder = environment.get(variable).filter(|folder| Path::new(folder).is_absolute());
        folder.map(|folder| Path::new(folder).join(below))
    };
    let sockets = [
        Some(PathBuf::from("/var/run/docker.sock")),
        of_user("XDG_RUNTIME_DIR", "docker.sock"),
        of_user("HOME", ".docker/run/docker.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
        of_user("XDG_RUNTIME_DIR", "podman/podman.sock"),
    ];
    sockets.into_iter().flatten().collect()
}

fn user_folder(environment: &BTreeMap<String, String>, variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |text: &String| Path::new(text).is_absolute().then(|| PathBuf::from(text));
    environment
        .get(variable)
        .and_then(absolute)
        .or_else(|| environment.get("HOME").and_then(absolute).map(|home| home.join(below_home)))
}

/// The one line of a secret's file.
fn read_secret(path: &Path) -> Result<String> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read the secret in {shown}"))?;
    if metadata.len() > SECRET_FILE_BYTES_MAX {
        bail!("{shown} is too long for a secret");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the secret in {shown}"))?;
    Ok(text.trim().to_owned())
}

/// `NAME=VALUE` lines: comments, `export`, single and double quotes and trailing comments are understood.
fn parse_env_file(text: &str) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { bail!("line {number} is not NAME=VALUE") };
        let value = value.trim();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            Some(quote) => {
                let inner = &value[1..];
                let end = inner.find(quote).with_context(|| format!("line {number} has an open quote"))?;
                &inner[..end]
            }
            None => value.split(" #").next().unwrap_or(value).trim(),
        };
        variables.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(variables)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    pub(crate) fn empty() -> Settings {
        Settings::with_vendors(Vendors::built_in().clone()).unwrap()
    }

    #[test]
    fn a_table_of_vendors_brings_its_own_settings_and_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vendors.toml");
        let row = "[groq]\nwire = \"chat\"\nbase_url = \"https://api.groq.com/openai/v1\"\nkey_variable = \"GROQ_API_KEY\"";
        std::fs::write(&path, row).unwrap();
        let named = |path: &Path| {
            vec![(variables(&[("BACKSPACE_VENDORS", path.to_str().unwrap())]), "a file".to_owned())]
        };
        let mut settings = Settings::with_vendors(vendors(&named(&path)).unwrap()).unwrap();
        settings.take(&variables(&[("GROQ_API_KEY", "gsk-value")]), "the environment").unwrap();
        assert_eq!(settings.secrets(), BTreeSet::from(["gsk-value".to_owned()]));
        assert!(settings.refuse_unknown(&variables(&[("GROQ_API_KEY_FILE", "x")]), "f").is_ok());
        assert!(empty().refuse_unknown(&variables(&[("GROQ_API_KEY", "x")]), "f").is_err());

        std::fs::write(&path, "[groq]\n\nwire = \"morse\"").unwrap();
        let error = format!("{:#}", vendors(&named(&path)).unwrap_err());
        assert!(error.contains("BACKSPACE_VENDORS") && error.contains("line 3"), "{error}");
        let missing = folder.path().join("none.toml");
        assert!(
            format!("{:#}", vendors(&named(&missing)).unwrap_err()).contains("cannot read"),
            "named and not there"
        );
    }

    #[test]
    fn env_files_are_read_as_people_write_them() {
        let text = "# c\nexport A=1\nB=\"two words\" # why\nC='x#y'\nD=plain # note\nE=a=b\n";
        let expected =
            variables(&[("A", "1"), ("B", "two words"), ("C", "x#y"), ("D", "plain"), ("E", "a=b")]);
        assert_eq!(parse_env_file(text).unwrap(), expected);
        assert!(parse_env_file("nonsense").is_err());
        assert!(parse_env_file("A=\"open").is_err());
    }

    #[test]
    fn a_setting_that_nobody_hears_is_an_error() {
        let mut settings = empty();
        let error = settings.take(&variables(&[("BACKSPACE_HOEM", "/x")]), "the environment").unwrap_err();
        assert!(error.to_string().contains("BACKSPACE_HOEM"), "{error}");
        settings.take(&variables(&[("PATH", "/bin"), ("GITHUB_SHA", "x")]), "the environment").unwrap();
    }

    #[test]
    fn secrets_may_stand_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "ghp_value\n").unwrap();
        let mut settings = empty();
        settings
            .take(&variables(&[("GITHUB_TOKEN_FILE", path.to_str().unwrap())]), "the environment")
            .unwrap();
        assert_eq!(settings.text("GITHUB_TOKEN"), Some("ghp_value"));
        assert_eq!(settings.secrets(), BTreeSet::from(["ghp_value".to_owned()]));
    }

    #[test]
    fn the_credentials_in_addresses_are_secrets_whatever_the_setting() {
        let mut settings = empty();
        let addresses = [
            ("BACKSPACE_EGRESS_PROXY", "http://me:proxy%2Dsecret@proxy.example:3128"),
            ("OPENAI_BASE_URL", "https://gateway-token@gateway.example/v1"),
            ("DATABASE_URL", "postgres://u:database-secret@db.example/x"),
        ];
        settings.take(&variables(&addresses), "the environment").unwrap();
        let secrets = settings.secrets();
        for secret in ["proxy%2Dsecret", "proxy-secret", "gateway-token", "database-secret", addresses[0].1] {
            assert!(secrets.contains(secret), "{secret} in {secrets:?}");
        }
        // As a header has it.
        assert!(secrets.contains("bWU6cHJveHktc2VjcmV0"), "{secrets:?}");
    }

    #[test]
    fn a_bad_value_is_named_with_its_origin() {
        let mut settings = empty();
        settings.take(&variables(&[("MAX_CONCURRENT_JOBS", "many")]), "the environment").unwrap();
        let error = settings.parsed::<usize>("MAX_CONCURRENT_JOBS").unwrap_err().to_string();
        assert!(error.contains("MAX_CONCURRENT_JOBS (from the environment) is `many`"), "{error}");
    }
}
