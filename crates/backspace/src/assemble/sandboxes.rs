//! From settings to where sandboxes come from and what they may use.

use std::path::Path;

use anyhow::{Result, bail};
use sandbox::namespaces::Changes;
use session::SetupLimits;

use super::seconds;
use crate::config::Settings;
use crate::output::Usage;

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
