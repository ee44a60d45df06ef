//! The table of all settings. `.env.example` and the help of `serve` are made from it.

use std::fmt::Write as _;

use model::{SettingRole, Vendors};

/// A setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Its name, in the environment and in `backspace.toml`.
    pub(crate) name: &'static str,
    /// A second name that is also heard.
    pub(crate) also: Option<&'static str>,
    /// Whether its value is kept out of everything, and whether `NAME_FILE` is heard.
    pub(crate) secret: bool,
    /// What holds when it is not set, for people.
    pub(crate) default: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
}

impl Setting {
    /// All its names; a later one beats an earlier one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.also.into_iter().chain([self.name])
    }
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, also: None, secret: false, default, meaning }
}

const fn secret(name: &'static str, meaning: &'static str) -> Setting {
    Setting { name, also: None, secret: true, default: "", meaning }
}

/// Names with our prefix that are not settings of the service.
pub(super) const CLIENT_ONLY: &[&str] = &[
    // Read by the test-suite.
    "BACKSPACE_REQUIRE_SANDBOX",
    "BACKSPACE_REQUIRE_OPENAPI",
    "BACKSPACE_REQUIRE_DOCKER",
    "BACKSPACE_REQUIRE_RUNSC",
    "BACKSPACE_SKIP_DOCKER",
    "BACKSPACE_SKIP_RUNSC",
    "BACKSPACE_TEST_CARGO",
    "BACKSPACE_TEST_DOCKER",
];

/// All settings but those of the model vendors, which are rows of their table.
const SETTINGS: &[Setting] = &[
    plain(
        "BACKSPACE_PROVIDERS",
        "all that have a key or an address",
        "the model providers, each as `PROVIDER` or `PROVIDER/MODEL`: the first one is asked, the others take over when it does not answer; those without a key are passed over; `offline` as the last is an agent with fixed rules",
    ),
    plain(
        "BACKSPACE_VENDORS",
        "none",
        "a file that goes over the table of model vendors: more vendors, models, prices (docs/models.md)",
    ),
    Setting {
        also: Some("GITHUB_PAT"),
        ..secret("GITHUB_TOKEN", "token that may write contents and pull requests")
    },
    plain("GITHUB_API_URL", "https://api.github.com", "the API of a GitHub Enterprise server"),
    Setting {
        also: Some("https_proxy"),
        ..secret(
            "HTTPS_PROXY",
            "proxy through which models and forges are reached by https, http://[USER:PASSWORD@]HOST[:PORT]; sandboxes have BACKSPACE_EGRESS_PROXY",
        )
    },
    Setting {
        also: Some("no_proxy"),
        ..plain(
            "NO_PROXY",
            "none",
            "hosts that are reached without HTTPS_PROXY: names and what is below them, addresses, networks such as 10.0.0.0/8, or `*`; this machine always is",
        )
    },
    plain(
        "BACKSPACE_SANDBOX",
        "namespaces",
        "where commands run: `namespaces` (Linux, by bubblewrap), `docker` (a container of Docker or Podman), or a list of both, the preferred one first (docs/sandboxes.md)",
    ),
    plain(
        "BACKSPACE_CHANGES",
        "auto",
        "where a sandbox's changes live: `memory` (bounded), `folder` (below BACKSPACE_HOME, its size looked at), `auto` (as it is best for the sandbox, said in the events)",
    ),
    plain(
        "DOCKER_HOST",
        "the first that listens on this machine",
        "the container engine: unix://PATH, or tcp://HOST:PORT in the clear",
    ),
    plain(
        "BACKSPACE_IMAGE",
        "backspace-sandbox",
        "the image that containers are made of; it must be there, none is pulled (deploy/sandbox)",
    ),
    plain("BACKSPACE_DOCKER_RUNTIME", "the engine's", "the runtime of containers, such as `runsc` (gVisor)"),
    plain(
        "BACKSPACE_TOOLS",
        "none",
        "folders outside /usr that sandboxes see as well, read-only, such as ~/.cargo/bin; never one that holds credentials",
    ),
    plain(
        "SANDBOX_TIMEOUT",
        "3600",
        "seconds that a session's sandbox may live; the agent is ended a minute or more before, so that its work is landed",
    ),
    plain(
        "BACKSPACE_SANDBOX_MEMORY_MIB",
        "a part of the machine's, at most 4096",
        "MiB of memory that a sandbox's commands may take; unset, all of MAX_CONCURRENT_JOBS together leave a quarter of the machine's (`backspace doctor` shows it)",
    ),
    plain(
        "BACKSPACE_SANDBOX_CHANGES_MIB",
        "a part of the machine's memory, at most 4096",
        "MiB that what is written in a sandbox's work tree may take, and again as much elsewhere in a container; it is memory, unless the events say that it is disk",
    ),
    plain("BACKSPACE_SANDBOX_PROCESSES", "512", "processes and threads of a sandbox"),
    plain(
        "BACKSPACE_SANDBOX_PROCESSORS",
        "all, behind the service",
        "processors whose whole time a sandbox's commands may take",
    ),
    plain(
        "BACKSPACE_EGRESS",
        "none",
        "hosts that commands in sandboxes may reach, by https only, such as registry.example.com; `packages` stands for the registries that your own npm, pip and cargo are configured for, with their credentials for downloads (added outside of the sandbox; whoever may start sessions may then read what they can), `public-packages` for the same without",
    ),
    plain(
        "BACKSPACE_EGRESS_FOR",
        "setup",
        "whose commands reach them: `setup` (those that set the project up) or `session` (the agent's and the checks as well: what it reads in there, it may carry out)",
    ),
    secret(
        "BACKSPACE_EGRESS_PROXY",
        "proxy through which sandboxes reach them where there is no other way, http://USER:PASSWORD@HOST:PORT; it resolves the names",
    ),
    plain("BACKSPACE_COMMAND_TIMEOUT", "300", "seconds that a single command may run"),
    plain(
        "BACKSPACE_MAX_USD",
        "none",
        "US dollars that any session may use; models must have a known price then",
    ),
    plain("BACKSPACE_MAX_TOKENS", "none", "tokens that any session may use, cached ones included"),
    plain("BACKSPACE_MAX_TURNS", "500", "replies of the model that any session may use"),
    plain(
        "BACKSPACE_MAX_MINUTES",
        "none",
        "minutes that any session's agent may work; SANDBOX_TIMEOUT bounds them as well",
    ),
    plain(
        "BACKSPACE_SETUP_TIMEOUT",
        "900",
        "seconds that all commands of a project's setup may run together",
    ),
    plain(
        "BACKSPACE_PREPARED_GIB",
        "20",
        "GiB of disk for what setups made, kept for later sessions; the longest unused goes first, 0 keeps nothing",
    ),
    plain("BACKSPACE_HOME", "$XDG_STATE_HOME/backspace", "folder of the database, mirrors and base trees"),
    plain("DATABASE_URL", "sqlite: in BACKSPACE_HOME", "`sqlite:PATH`"),
    Setting {
        also: None,
        ..plain(
            "BACKSPACE_LISTEN",
            "127.0.0.1:8000",
            "address of the service; other than loopback needs BACKSPACE_API_TOKEN",
        )
    },
    plain("HOST", "127.0.0.1", "the address alone, when BACKSPACE_LISTEN is not set"),
    plain("PORT", "8000", "the port alone, when BACKSPACE_LISTEN is not set"),
    secret("BACKSPACE_API_TOKEN", "token that callers of the API must send"),
    plain("BACKSPACE_CORS_ORIGINS", "none", "origins of web pages that may call the API"),
    plain("MAX_CONCURRENT_JOBS", "5", "sessions at work at once"),
    plain("RATE_LIMIT_REQUESTS", "10", "submissions a minute and token (or address)"),
    plain(
        "BACKSPACE_REPOS",
        "all that the token can reach",
        "repositories that may be asked for, such as github.com/OWNER/*",
    ),
    plain("BACKSPACE_LOCAL_REPOS", "none", "folders below which the service takes repositories by path"),
    plain(
        "BACKSPACE_PRIVATE_HOSTS",
        "none",
        "forge hosts that may be private, loopback, or speak http; hosts of BACKSPACE_EGRESS that may be private",
    ),
    plain("LOG_LEVEL", "info", "error, warn, info, debug, trace, or a filter such as info,sqlx=warn"),
    plain("LOG_FORMAT", "text", "`text` or `json`"),
    plain("DEBUG", "false", "true or 1 is LOG_LEVEL=debug"),
];

/// All settings, those of `vendors` first. Their names stay for the life of the process, which reads its settings once.
///
/// # Errors
/// A vendor that wants the name of another setting for itself.
pub(super) fn table(vendors: &Vendors) -> Result<Vec<Setting>, String> {
    let mut table: Vec<Setting> = Vec::new();
    for (vendor, setting) in
        vendors.iter().flat_map(|vendor| vendor.settings().into_iter().map(|s| (vendor.name(), s)))
    {
        let ours = |known: &Setting| known.names().any(|name| name == setting.name);
        if SETTINGS.iter().any(ours) || setting.name.starts_with("BACKSPACE_") {
            return Err(format!(
                "the vendor {vendor} cannot have {} for itself: it is a setting of its own",
                setting.name
            ));
        }
        // Two vendors may share a key: another address of the same service.
        if table.iter().any(ours) {
            continue;
        }
        let (secret, meaning) = match setting.role {
            SettingRole::Key => (true, format!("key for {vendor}")),
            SettingRole::Address => (false, format!("where {vendor} is reached")),
            SettingRole::Model => (false, format!("the model of {vendor} when a request names none")),
            SettingRole::Wire => {
                (false, format!("what {vendor} speaks: `anthropic`, `responses` or `chat_completions`"))
            }
        };
        let default = setting.default.unwrap_or_default().leak();
        let (name, meaning) = (setting.name.leak(), meaning.leak());
        table.push(Setting { name, also: None, secret, default, meaning });
    }
    table.extend_from_slice(SETTINGS);
    Ok(table)
}

/// All settings as a text for `--help`.
pub(crate) fn for_help() -> String {
    let mut text = "Settings (environment, or backspace.toml with the same names):\n".to_owned();
    for Setting { name, default, meaning, .. } in table(Vendors::built_in()).unwrap_or_default() {
        let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        let _ = writeln!(text, "  {name}: {meaning}{default}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `.env.example`, made from the table.
    fn env_example() -> String {
        let mut text = "# All settings of backspace. Read only when named: backspace --env-file FILE …\n\
                        # The same names stand in backspace.toml. Every secret is also read from the file that NAME_FILE names.\n"
            .to_owned();
        for setting in table(Vendors::built_in()).unwrap() {
            let also = setting.also.map(|name| format!(" (also {name})")).unwrap_or_default();
            let _ = write!(text, "\n# {}{also}\n# {}={}\n", setting.meaning, setting.name, setting.default);
        }
        text
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "who runs the tests says whether documents are written")]
    fn the_example_file_is_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.env.example");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, env_example()).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap();
        assert_eq!(there, env_example(), "run the test with UPDATE_DOCS=1");
    }

    #[test]
    fn a_vendor_takes_no_setting_away() {
        for name in ["PORT", "GITHUB_PAT", "BACKSPACE_NEW"] {
            let text = format!("[new]\nwire = \"chat\"\nbase_url = \"https://x\"\nkey_variable = \"{name}\"");
            let error = table(&Vendors::built_in().with(&text).unwrap()).unwrap_err();
            assert!(error.contains(&format!("the vendor new cannot have {name}")), "{error}");
        }
    }

    #[test]
    fn names_are_heard_once() {
        let table = table(Vendors::built_in()).unwrap();
        let mut names: Vec<&str> = table.iter().flat_map(Setting::names).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
