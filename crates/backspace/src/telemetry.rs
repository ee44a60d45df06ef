//! Sets up the process's own log.

use anyhow::{Context as _, Result, bail};
use tracing_subscriber::EnvFilter;

use crate::config::Settings;

/// Writes the log to standard error: standard output holds results.
///
/// # Errors
/// A level or format that there is not.
pub(crate) fn set_up(settings: &Settings, default_level: &str) -> Result<()> {
    let debug = settings.parsed::<bool>("DEBUG")?.unwrap_or(false);
    let level = settings.text("LOG_LEVEL").unwrap_or(if debug { "debug" } else { default_level });
    let filter = EnvFilter::try_new(level.to_ascii_lowercase())
        .with_context(|| format!("LOG_LEVEL (from {}) is `{level}`", settings.from("LOG_LEVEL")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.text("LOG_FORMAT").unwrap_or("text") {
        "text" => log.init(),
        "json" => log.json().init(),
        other => bail!("LOG_FORMAT is `{other}`; it is `text` or `json`"),
    }
    Ok(())
}
