//! From settings to the forges that can be reached.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use events::{Hosts, Remote};
use forge::Forge;
use forge::github::{Pace, PlainHttp};
use session::request::Rules;

use super::proxy::Proxy;
use crate::config::Settings;
use crate::output::Usage;

/// Where OWNER/NAME is looked for.
const PUBLIC_GITHUB: &str = "github.com";

/// GitHub itself, and the GitHub server that `GITHUB_API_URL` names. The token is that server's; GitHub itself is then
/// asked without one.
pub(super) fn hosted(settings: &Settings, hosts: &Hosts) -> Result<Vec<forge::github::Config>> {
    let token = settings.secret("GITHUB_TOKEN");
    let mut config = match settings.text("GITHUB_API_URL") {
        Some(url) => {
            let config = forge::github::Config::for_api(url, token);
            config.map_err(|error| Usage(format!("GITHUB_API_URL is `{url}`: {error}")))?
        }
        None => forge::github::Config::for_host(PUBLIC_GITHUB, token),
    };
    let proxy = Proxy::of(settings)?.map(|proxy| proxy.for_http()).transpose()?.map(Box::new);
    config.proxy.clone_from(&proxy);
    if hosts.private.contains(&config.host) {
        config.plain_http = PlainHttp::Allowed;
        // A server of one's own counts no calls unless its administrator says so; its refusals are still heeded.
        config.pace = Pace { between_writes: Duration::ZERO, after_notice: Duration::ZERO, ..config.pace };
    }
    let public = (config.host != PUBLIC_GITHUB).then(|| {
        let public = forge::github::Config::for_host(PUBLIC_GITHUB, None);
        forge::github::Config { proxy, ..public }
    });
    Ok([Some(config), public].into_iter().flatten().collect())
}

/// The forge of `config` by its host.
pub(super) fn open_hosted(config: forge::github::Config) -> Result<(String, Arc<dyn Forge>)> {
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
