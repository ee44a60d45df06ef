//! The composition root: from settings to a working set of parts.

mod bounds;
mod budget;
mod egress;
mod forges;
mod listening;
mod models;
mod proxy;
mod sandboxes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use events::{Budget, Hosts, Redactor};
use session::request::{LocalRepositories, Rules};
use session::{
    Forges, Identity, Limits, LocalShelf, Ports, Problem, Provider, Providers, Sessions, SystemClock,
};

use crate::config::{self, Settings};
use crate::output::Usage;
use crate::probe::{self, Probed};

pub(crate) use bounds::{AtOnce, Sum, policy, sum};
pub(crate) use egress::{Reach, egress};
pub(crate) use forges::{forge_hosts, forge_of};
use forges::{hosted, open_hosted};
pub(crate) use listening::{listen, server_config};
pub(crate) use models::providers;
use proxy::Proxy;
pub(crate) use sandboxes::sandbox_config;
use sandboxes::setup_limits;

/// More waiting sessions than this are a queue that nobody's patience outlasts.
const QUEUED_MAX: usize = 100;
/// Sessions at work at once when nobody says how many.
const RUNNING_MAX: usize = 5;

/// What a command wants of the parts.
#[derive(Default)]
pub(crate) struct Wishes {
    /// Which folders may be asked for by path.
    pub(crate) local: LocalRepositories,
    /// A provider of this command's own, which stands before the operator's.
    pub(crate) provider: Option<Provider>,
    /// Whether the offline agent may be asked for although the settings do not name it.
    pub(crate) offline: bool,
    /// How many sessions share this machine.
    pub(crate) at_once: AtOnce,
    /// Whether a sandbox is opened once, so that a machine that cannot is told at the start and not by each session.
    pub(crate) probes: bool,
    /// The address at which a service shows the pull requests of local repositories.
    pub(crate) serves_at: Option<String>,
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
    let mut providers = providers(settings, wishes.provider)?;
    if wishes.offline && !providers.0.iter().any(|provider| provider.name == model::OFFLINE) {
        providers.0.push(models::offline());
    }
    let proxy = Proxy::of(settings)?;
    let for_models = proxy.as_ref().map(Proxy::for_http).transpose()?;
    let hosted = hosted(settings, &rules.hosts)?;
    // A client reads all certificates of this machine, which takes as long as opening the database.
    let hosted =
        tokio::task::spawn_blocking(move || hosted.into_iter().map(open_hosted).collect::<Result<_>>());
    let models = tokio::task::spawn_blocking(|| model::prepare(for_models));
    let store = store::open(&store_config(settings, &home)?).await.context("cannot open the database")?;
    let repos = repos(&home, proxy.as_ref()).await?;
    let shelf = LocalShelf::new(repos.clone(), store.records.clone(), home.join("pulls"));
    let local = forge::open(&forge::Config::Local(shelf.forge_config(wishes.serves_at)))?;
    let mut problems = Vec::new();
    if providers.0.is_empty() {
        let mend = "Set ANTHROPIC_API_KEY or OPENAI_API_KEY (or OPENAI_BASE_URL for a server without keys); `--provider offline` does a few fixed jobs without.";
        problems.push(Problem { what: "no model provider is configured".to_owned(), mend: mend.to_owned() });
    }
    let sandbox = sandbox_config(settings, &home)?;
    let policy = policy(settings, &sandbox, wishes.at_once)?;
    if wishes.probes {
        problems.extend(no_sandbox(probe::sandbox(&sandbox, &policy, &home).await));
    }
    let hosted = hosted.await.context("cannot open the forges")??;
    models.await.context("cannot make the models' client")??;
    let egress = egress::egress(settings, &home).await?.map(Reach::told);
    let lent = egress.as_ref().map(|egress| egress.config.lent.as_slice()).unwrap_or_default();
    let redactor = Arc::new(egress::redactor(settings, lent));
    let ports = Ports {
        store,
        repos,
        forges: Forges { hosted, local },
        shelf,
        retry: model::Policy::default(),
        budget: budget::budget(settings)?,
        breakers: model::Breakers::default(),
        sandbox,
        policy,
        egress,
        setup: Some(setup_limits(settings)?),
        command_timeout: seconds(settings, "BACKSPACE_COMMAND_TIMEOUT", 300)?,
        redactor,
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
    let (models, budget, redactor) = (ports.providers.clone(), ports.budget, (*ports.redactor).clone());
    let rules = Rules { providers: models.offers(), models, budget, local, forges, redactor, ..rules };
    let limits = Limits { running_max: running_max(settings)?, queued_max: QUEUED_MAX };
    let sessions = Sessions::new(ports, limits, problems);
    Ok(Assembled { sessions, rules })
}

/// How many sessions may be at work at once.
fn running_max(settings: &Settings) -> Result<usize> {
    match settings.parsed("MAX_CONCURRENT_JOBS")?.unwrap_or(RUNNING_MAX) {
        0 => bail!(Usage("MAX_CONCURRENT_JOBS must be at least 1".to_owned())),
        running_max => Ok(running_max),
    }
}

/// The mirrors in `home`, whose remotes are reached through `proxy`.
async fn repos(home: &Path, proxy: Option<&Proxy>) -> Result<repo::Repos> {
    let repos =
        repo::Repos::open(home.join("repos")).await.context("cannot prepare the folder for mirrors")?;
    Ok(match proxy {
        Some(proxy) => repos.through(proxy.for_git()),
        None => repos,
    })
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
        models: Providers::default(),
        budget: Budget::default(),
        redactor: Redactor::default(),
    }
}
