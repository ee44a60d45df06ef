//! Sets up the process's own log.

use anyhow::{Result, bail};
use tracing_subscriber::EnvFilter;

use crate::config::Settings;
use crate::output::{self, Usage};

/// The levels, as the field names them.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Writes the log to standard error: standard output holds results.
///
/// # Errors
/// A level or format that there is not.
pub(crate) fn set_up(settings: &Settings, default_level: &str) -> Result<()> {
    // Many shells hold a DEBUG of some other program.
    let debug =
        settings.text("DEBUG").is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "1"));
    let level = settings.text("LOG_LEVEL").unwrap_or(if debug { "debug" } else { default_level });
    let filter = match level.to_ascii_lowercase().as_str() {
        "warning" => EnvFilter::new("warn"),
        word if word.contains(['=', ',']) || LEVELS.contains(&word) => {
            EnvFilter::try_new(word).map_err(|error| Usage(format!("LOG_LEVEL is `{level}`: {error}")))?
        }
        // The filter would take the word for the name of a part, and say nothing at all.
        _ => bail!(Usage(format!("LOG_LEVEL is `{level}`; it is one of {}, or a filter", LEVELS.join(", ")))),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| output::Errors);
    match settings.text("LOG_FORMAT").unwrap_or("text") {
        "text" => log.init(),
        "json" => log.json().init(),
        other => bail!(Usage(format!("LOG_FORMAT is `{other}`; it is `text` or `json`"))),
    }
    Ok(())
}
