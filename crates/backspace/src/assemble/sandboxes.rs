//! From settings to where sandboxes come from and what they may use.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use sandbox::{Config, docker, namespaces};
use session::SetupLimits;
use tracing::warn;

use super::seconds;
use crate::config::{self, Settings};
use crate::output::Usage;

/// What holds when nobody says where commands run.
const DEFAULT: &str = "namespaces";
/// What containers are made of when nobody says: the image that `deploy/sandbox` makes.
const IMAGE: &str = "backspace-sandbox";
/// Where an engine is looked for at last.
const ENGINE: &str = "/var/run/docker.sock";

/// Settings that mean something to one backend.
const OF_ONE: &[(&str, &str)] = &[
    ("BACKSPACE_IMAGE", "docker"),
    ("BACKSPACE_DOCKER_RUNTIME", "docker"),
    ("BACKSPACE_TOOLS", "namespaces"),
];

/// Where sandboxes come from.
///
/// # Errors
/// A kind or place that there is not.
pub(crate) fn sandbox_config(settings: &Settings, home: &Path) -> Result<Config> {
    let kinds = match settings.list("BACKSPACE_SANDBOX") {
        list if list.is_empty() => vec![DEFAULT.to_owned()],
        list => list,
    };
    for (name, kind) in OF_ONE {
        if settings.text(name).is_some() && !kinds.iter().any(|it| it == kind) {
            warn!("{name} is set, and means nothing: BACKSPACE_SANDBOX does not name `{kind}`");
        }
    }
    let mut configs = Vec::new();
    for kind in &kinds {
        configs.push(match kind.as_str() {
            "namespaces" => Config::Namespaces(of_namespaces(settings, home)?),
            "docker" => Config::Docker(of_docker(settings, home)?),
            other => bail!(Usage(format!(
                "BACKSPACE_SANDBOX is `{other}`; this release has `namespaces` (on Linux) and `docker`"
            ))),
        });
    }
    match <[Config; 1]>::try_from(configs) {
        Ok([config]) => Ok(config),
        Err(configs) => Ok(Config::FirstOf(configs)),
    }
}

fn of_namespaces(settings: &Settings, home: &Path) -> Result<namespaces::Config> {
    use namespaces::Changes;
    let changes = match place(settings, home)? {
        Place::Best(folder) => Changes::MemoryElse(folder),
        Place::Memory => Changes::Memory,
        Place::Folder(folder) => Changes::Folder(folder),
    };
    let tools = settings.paths("BACKSPACE_TOOLS");
    Ok(namespaces::Config { changes, tools, ..namespaces::Config::default() })
}

fn of_docker(settings: &Settings, home: &Path) -> Result<docker::Config> {
    use docker::Changes;
    let changes = match place(settings, home)? {
        Place::Best(folder) => Changes::FolderElseMemory(folder),
        Place::Memory => Changes::Memory,
        Place::Folder(folder) => Changes::Folder(folder),
    };
    let engine = settings.text("DOCKER_HOST").map_or_else(engine, str::to_owned);
    let image = settings.text("BACKSPACE_IMAGE").unwrap_or(IMAGE).to_owned();
    let runtime = settings.text("BACKSPACE_DOCKER_RUNTIME").map(str::to_owned);
    Ok(docker::Config { engine, image, runtime, changes })
}

/// The first engine of this machine and user that is there.
fn engine() -> String {
    let sockets = config::engine_sockets();
    let found = sockets.iter().find(|socket| socket.exists());
    format!("unix://{}", found.map_or(Path::new(ENGINE), PathBuf::as_path).display())
}

/// Where the changes of work trees shall live.
enum Place {
    /// As it is best for the backend.
    Best(PathBuf),
    Memory,
    Folder(PathBuf),
}

fn place(settings: &Settings, home: &Path) -> Result<Place> {
    let folder = home.join("changes");
    match settings.text("BACKSPACE_CHANGES").unwrap_or("auto") {
        "auto" => Ok(Place::Best(folder)),
        "memory" => Ok(Place::Memory),
        "folder" => Ok(Place::Folder(folder)),
        other => bail!(Usage(format!("BACKSPACE_CHANGES is `{other}`; it is `auto`, `memory` or `folder`"))),
    }
}

/// What the setup of a project may use.
///
/// # Errors
/// A number that is none.
pub(super) fn setup_limits(settings: &Settings) -> Result<SetupLimits> {
    let default = SetupLimits::default();
    let kept_gib = settings.parsed::<u64>("BACKSPACE_PREPARED_GIB")?;
    Ok(SetupLimits {
        time_max: seconds(settings, "BACKSPACE_SETUP_TIMEOUT", default.time_max.as_secs())?,
        kept_bytes_max: kept_gib.map_or(default.kept_bytes_max, |gib| gib.saturating_mul(1 << 30)),
    })
}
