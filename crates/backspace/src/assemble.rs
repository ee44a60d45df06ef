//! The composition root: from settings to a working set of parts.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use events::{Hosts, Redactor, Remote};
use forge::Forge;
use forge::github::{Pace, PlainHttp};
use sandbox::namespaces::Changes;
use secrecy::SecretString;
use server::ServerConfig;
use session::request::{LocalRepositories, Rules};
use session::{
    Forges, Identity, Limits, LocalShelf, Ports, Problem, Provider, Providers, Sessions, SystemClock,
};

use crate::config::{self, Settings};
use crate::output::Usage;
use crate::probe::{self, Probed};

/// What Anthropic is asked for when nobody says which: its current general model, as of 2026-10.
const ANTHROPIC_MODEL: &str = "claude-sonnet-5-5";
/// What OpenAI is asked for when nobody says which, as of 2026-10.
const OPENAI_MODEL: &str = "gpt-5.5";
/// Where OWNER/NAME is looked for.
const PUBLIC_GITHUB: &str = "github.com";
/// More waiting sessions than this are a queue that nobody's patience outlasts.
const QUEUED_MAX: usize = 100;
/// Submissions a minute and caller when nobody says how many.
const SUBMISSIONS_PER_MINUTE: u32 = 10;
/// Sessions at work at once when nobody says how many.
const RUNNING_MAX: usize = 5;

/// What a command wants of the parts.
#[derive(Default)]
pub(crate) struct Wishes {
    /// Which folders may be asked for by path.
    pub(crate) local: LocalRepositories,
    /// A recording to offer as the provider `scripted`.
    pub(crate) scripted: Option<Recording>,
    /// Whether a sandbox is opened once, so that a machine that cannot is told at the start and not by each session.
    pub(crate) probes: bool,
    /// The address at which a service shows the pull requests of local repositories.
    pub(crate) serves_at: Option<String>,
}

/// A recorded conversation.
pub(crate) struct Recording {
    /// Its name, for people.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// The parts.
pub(crate) struct Assembled {
    pub(crate) sessions: Sessions,
    pub(crate) rules: Rules,
}

/// Puts the parts together. Nothing is asked of the network.
///
/// # Errors
/// Settings that cannot work, a home folder that cannot be written.
pub(crate) async fn assemble(settings: &Settings, wishes: Wishes) -> Result<Assembled> {
    let home = home(settings)?;
    let rules = rules(settings);
    let providers = providers(settings, wishes.scripted)?;
    let hosted = hosted(settings, &rules.hosts)?;
    // A client reads all certificates of this machine, which takes as long as opening the database.
    let hosted =
        tokio::task::spawn_blocking(move || hosted.into_iter().map(open_hosted).collect::<Result<_>>());
    let models = tokio::task::spawn_blocking(model::prepare);
    let store = store::open(&store_config(settings, &home)?).await.context("cannot open the database")?;
    let repos =
        repo::Repos::open(home.join("repos")).await.context("cannot prepare the folder for mirrors")?;
    let shelf = LocalShelf::new(repos.clone(), store.records.clone(), home.join("pulls"));
    let local = forge::open(&forge::Config::Local(shelf.forge_config(wishes.serves_at)))?;
    let mut problems = Vec::new();
    if providers.0.is_empty() {
        let mend = "Set ANTHROPIC_API_KEY or OPENAI_API_KEY (or OPENAI_BASE_URL for a server without keys).";
        problems.push(Problem { what: "no model provider is configured".to_owned(), mend: mend.to_owned() });
    }
    let (sandbox, policy) = (sandbox_config(settings, &home)?, policy(settings)?);
    if wishes.probes {
        problems.extend(no_sandbox(probe::sandbox(&sandbox, &policy, &home).await));
    }
    let hosted = hosted.await.context("cannot open the forges")??;
    models.await.context("cannot make the models' client")??;
    let ports = Ports {
        store,
        repos,
        forges: Forges { hosted, local },
        shelf,
        retry: model::Policy::default(),
        sandbox,
        policy,
        command_timeout: seconds(settings, "BACKSPACE_COMMAND_TIMEOUT", 300)?,
        redactor: Arc::new(Redactor::new(settings.secrets())),
        clock: Arc::new(SystemClock),
        identity: Identity {
            name: "backspace".to_owned(),
            email: "backspace@users.noreply.github.com".to_owned(),
        },
        home,
        providers,
    };
    let local = match wishes.local {
        LocalRepositories::None => rules.local,
        wished @ (LocalRepositories::Below(_) | LocalRepositories::Any) => wished,
    };
    let forges = ports.forges.hosted.iter().map(|(host, _)| host.clone()).collect();
    let rules = Rules { providers: ports.providers.names(), local, forges, ..rules };
    let running_max = settings.parsed("MAX_CONCURRENT_JOBS")?.unwrap_or(RUNNING_MAX);
    if running_max == 0 {
        bail!(Usage("MAX_CONCURRENT_JOBS must be at least 1".to_owned()));
    }
    let sessions = Sessions::new(ports, Limits { running_max, queued_max: QUEUED_MAX }, problems);
    Ok(Assembled { sessions, rules })
}

/// What keeps this machine from opening sandboxes.
fn no_sandbox(probed: Result<Probed>) -> Option<Problem> {
    let error = probed.err()?;
    Some(match error.downcast_ref() {
        Some(sandbox::Error::Unavailable { reason, mend }) => {
            Problem { what: format!("no sandbox can be opened here: {reason}"), mend: mend.clone() }
        }
        _ => Problem { what: format!("{error:#}"), mend: "`backspace doctor` says more.".to_owned() },
    })
}

/// The folder of everything that is kept.
///
/// # Errors
/// When there is none, or it cannot be made.
pub(crate) fn home(settings: &Settings) -> Result<PathBuf> {
    let home = settings.text("BACKSPACE_HOME").map(PathBuf::from).or_else(config::default_home);
    let home =
        home.context("neither BACKSPACE_HOME nor HOME is set: name a folder for state in BACKSPACE_HOME")?;
    // git and the mount call separate folders by colons.
    if home.to_str().is_none_or(|text| text.contains(|c: char| c == ':' || c.is_control())) {
        bail!(Usage("BACKSPACE_HOME must be a path without `:` and control characters".to_owned()));
    }
    std::fs::create_dir_all(&home)
        .with_context(|| format!("cannot make {} (BACKSPACE_HOME)", home.display()))?;
    keep_private(&home)?;
    home.canonicalize().with_context(|| format!("cannot find {}", home.display()))
}

/// Mirrors of private repositories are nobody else's to read; sandboxes get their trees by mount.
fn keep_private(home: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(home)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot make {} private", home.display()))?;
    }
    Ok(())
}

/// The database.
///
/// # Errors
/// A `DATABASE_URL` of another kind.
pub(crate) fn store_config(settings: &Settings, home: &Path) -> Result<store::Config> {
    match settings.text("DATABASE_URL") {
        None => Ok(store::Config::Sqlite(home.join("backspace.db"))),
        Some(url) => match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(store::Config::Sqlite(path.trim_start_matches("//").into())),
            _ => bail!(Usage("DATABASE_URL must be sqlite:PATH in this release".to_owned())),
        },
    }
}

/// Where sandboxes come from.
///
/// # Errors
/// A kind or place that there is not.
pub(crate) fn sandbox_config(settings: &Settings, home: &Path) -> Result<sandbox::Config> {
    let kind = settings.text("BACKSPACE_SANDBOX").unwrap_or("namespaces");
    if kind != "namespaces" {
        bail!(Usage(format!("BACKSPACE_SANDBOX is `{kind}`; this release has `namespaces`")));
    }
    let folder = home.join("changes");
    let changes = match settings.text("BACKSPACE_CHANGES").unwrap_or("auto") {
        "auto" => Changes::MemoryElse(folder),
        "memory" => Changes::Memory,
        "folder" => Changes::Folder(folder),
        other => bail!(Usage(format!("BACKSPACE_CHANGES is `{other}`; it is `auto`, `memory` or `folder`"))),
    };
    let tools = settings.paths("BACKSPACE_TOOLS");
    let config = sandbox::namespaces::Config { changes, tools, ..sandbox::namespaces::Config::default() };
    Ok(sandbox::Config::Namespaces(config))
}

/// What a sandbox may use.
///
/// # Errors
/// A number that is none.
pub(crate) fn policy(settings: &Settings) -> Result<sandbox::Policy> {
    let lifetime = seconds(settings, "SANDBOX_TIMEOUT", 3600)?;
    Ok(sandbox::Policy { lifetime, ..sandbox::Policy::default() })
}

fn seconds(settings: &Settings, name: &str, default: u64) -> Result<Duration> {
    let seconds = settings.parsed(name)?.unwrap_or(default);
    if seconds == 0 {
        bail!(Usage(format!("{name} must be at least 1 second")));
    }
    Ok(Duration::from_secs(seconds))
}

/// What the operator allows to be asked for.
pub(crate) fn rules(settings: &Settings) -> Rules {
    let private = settings.list("BACKSPACE_PRIVATE_HOSTS").into_iter().map(|host| host.to_ascii_lowercase());
    let below = settings.paths("BACKSPACE_LOCAL_REPOS");
    Rules {
        hosts: Hosts { private: private.collect() },
        local: if below.is_empty() { LocalRepositories::None } else { LocalRepositories::Below(below) },
        repositories: settings.list("BACKSPACE_REPOS"),
        providers: Vec::new(),
        forges: Vec::new(),
    }
}

/// The providers that have what they need, in the operator's order; a recording stands first.
///
/// # Errors
/// A name that is no provider's.
pub(crate) fn providers(settings: &Settings, recording: Option<Recording>) -> Result<Providers> {
    let mut providers = Vec::new();
    if let Some(Recording { name, text }) = recording {
        let config = model::Config::Scripted(model::ScriptedConfig { name, text });
        providers.push(Provider { name: "scripted".to_owned(), config });
    }
    let order = match settings.list("BACKSPACE_PROVIDERS") {
        list if list.is_empty() => vec!["anthropic".to_owned(), "openai".to_owned()],
        list => list,
    };
    for name in order {
        let config = match name.as_str() {
            "anthropic" => anthropic(settings),
            "openai" => openai(settings),
            other => {
                bail!(Usage(format!("BACKSPACE_PROVIDERS names `{other}`; there are: anthropic, openai")))
            }
        };
        providers.extend(config.map(|config| Provider { name, config }));
    }
    Ok(Providers(providers))
}

fn anthropic(settings: &Settings) -> Option<model::Config> {
    let key = settings.secret("ANTHROPIC_API_KEY")?;
    let model = settings.text("ANTHROPIC_MODEL").unwrap_or(ANTHROPIC_MODEL);
    let mut config = model::AnthropicConfig::new(key, model);
    if let Some(url) = settings.text("ANTHROPIC_BASE_URL") {
        url.clone_into(&mut config.base_url);
    }
    Some(model::Config::Anthropic(config))
}

/// A server of one's own may need no key, so the base URL alone is enough.
fn openai(settings: &Settings) -> Option<model::Config> {
    let (key, url) = (settings.secret("OPENAI_API_KEY"), settings.text("OPENAI_BASE_URL"));
    if key.is_none() && url.is_none() {
        return None;
    }
    let model = settings.text("OPENAI_MODEL").unwrap_or(OPENAI_MODEL);
    let mut config = model::ChatCompletionsConfig::new(key.unwrap_or_else(|| SecretString::from("")), model);
    if let Some(url) = url {
        url.clone_into(&mut config.base_url);
    }
    Some(model::Config::ChatCompletions(config))
}

/// GitHub itself, and the GitHub server that `GITHUB_API_URL` names. The token is that server's; GitHub itself is then
/// asked without one.
fn hosted(settings: &Settings, hosts: &Hosts) -> Result<Vec<forge::github::Config>> {
    let token = settings.secret("GITHUB_TOKEN");
    let mut config = match settings.text("GITHUB_API_URL") {
        Some(url) => {
            let config = forge::github::Config::for_api(url, token);
            config.map_err(|error| Usage(format!("GITHUB_API_URL is `{url}`: {error}")))?
        }
        None => forge::github::Config::for_host(PUBLIC_GITHUB, token),
    };
    if hosts.private.contains(&config.host) {
        config.plain_http = PlainHttp::Allowed;
        // A server of one's own counts no calls unless its administrator says so; its refusals are still heeded.
        config.pace = Pace { between_writes: Duration::ZERO, after_notice: Duration::ZERO, ..config.pace };
    }
    let public = (config.host != PUBLIC_GITHUB).then(|| forge::github::Config::for_host(PUBLIC_GITHUB, None));
    Ok([Some(config), public].into_iter().flatten().collect())
}

/// The forge of `config` by its host.
fn open_hosted(config: forge::github::Config) -> Result<(String, Arc<dyn Forge>)> {
    let host = config.host.clone();
    Ok((host, forge::open(&forge::Config::GitHub(config))?))
}

/// The hosts whose forges are configured.
///
/// # Errors
/// Settings that cannot work.
pub(crate) fn forge_hosts(settings: &Settings, hosts: &Hosts) -> Result<Vec<String>> {
    Ok(hosted(settings, hosts)?.into_iter().map(|config| config.host).collect())
}

/// The forge on which `remote` lives; nothing for a folder of this machine.
///
/// # Errors
/// Settings that cannot work, or a host for which there are none.
pub(crate) fn forge_of(
    settings: &Settings,
    rules: &Rules,
    remote: &Remote,
) -> Result<Option<Arc<dyn Forge>>> {
    let Remote::Hosted(wanted) = remote else { return Ok(None) };
    let found = hosted(settings, &rules.hosts)?.into_iter().find(|config| config.host == wanted.host);
    let config = found.with_context(|| format!("no forge is configured for {}", wanted.host))?;
    Ok(Some(open_hosted(config)?.1))
}

/// How to serve `assembled` at `listen`.
///
/// # Errors
/// A number that is none.
pub(crate) fn server_config(settings: &Settings, listen: SocketAddr, rules: Rules) -> Result<ServerConfig> {
    let submissions = settings.parsed::<u32>("RATE_LIMIT_REQUESTS")?.unwrap_or(SUBMISSIONS_PER_MINUTE);
    Ok(ServerConfig {
        token: settings.secret("BACKSPACE_API_TOKEN"),
        cors_origins: settings.list("BACKSPACE_CORS_ORIGINS"),
        submissions_per_minute: NonZero::new(submissions),
        ..ServerConfig::new(listen, rules)
    })
}

/// The address to listen on: the flag, `BACKSPACE_LISTEN`, or `HOST` and `PORT`.
///
/// # Errors
/// An address that is none.
pub(crate) fn listen(settings: &Settings, flag: Option<&str>) -> Result<SocketAddr> {
    let text = match flag.or(settings.text("BACKSPACE_LISTEN")) {
        Some(text) => text.to_owned(),
        None => {
            let host = settings.text("HOST").unwrap_or("127.0.0.1");
            let host = if host == "localhost" { "127.0.0.1" } else { host };
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            format!("{host}:{}", settings.text("PORT").unwrap_or("8000"))
        }
    };
    let address: SocketAddr = text.parse().map_err(|_| {
        Usage(format!("`{text}` is no address to listen on, such as 127.0.0.1:8000 or 0.0.0.0:8000"))
    })?;
    if !address.ip().is_loopback() && settings.text("BACKSPACE_API_TOKEN").is_none() {
        let why = format!(
            "{address} can be reached by others: set BACKSPACE_API_TOKEN to a long random text that callers must send, \
             or listen on 127.0.0.1"
        );
        bail!(Usage(why));
    }
    Ok(address)
}
