//! From settings to how the service listens and whom it serves.

use std::net::SocketAddr;
use std::num::NonZero;

use anyhow::{Result, bail};
use server::ServerConfig;
use session::request::Rules;

use crate::config::Settings;
use crate::output::Usage;

/// Submissions a minute and caller when nobody says how many.
const SUBMISSIONS_PER_MINUTE: u32 = 10;

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
