//! From settings to what the commands in sandboxes may reach.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use sandbox::egress::{Caps, Config, Host, Route, System, Told, Trust, Upstream};
use session::{Egress, OpenFor};

use crate::config::Settings;
use crate::output::Usage;

/// What sandboxes may reach; nothing when no host is named.
///
/// # Errors
/// A host that is none, a proxy that is none, another word than there are.
pub(crate) fn egress(settings: &Settings, home: &Path) -> Result<Option<Egress>> {
    let hosts = hosts(settings, "BACKSPACE_EGRESS")?;
    let open_for = match settings.text("BACKSPACE_EGRESS_FOR").unwrap_or("setup") {
        "setup" => OpenFor::Setup,
        "session" => OpenFor::Session,
        other => bail!(Usage(format!("BACKSPACE_EGRESS_FOR is `{other}`; it is `setup` or `session`"))),
    };
    let route = route(settings)?;
    if hosts.is_empty() {
        return Ok(None);
    }
    let config = Config {
        hosts,
        route,
        lent: Vec::new(),
        trust: Trust::of_this_machine([]),
        told: Told::default(),
        caps: Caps::default(),
        folder: home.join("egress"),
    };
    Ok(Some(Egress { config, open_for }))
}

fn hosts(settings: &Settings, name: &str) -> Result<BTreeSet<Host>> {
    let host = |text: String| {
        let host = text.parse::<Host>();
        host.map_err(|error| {
            Usage(format!("{name} (from {}) names `{text}`: {error}", settings.from(name))).into()
        })
    };
    settings.list(name).into_iter().map(host).collect()
}

fn route(settings: &Settings) -> Result<Route> {
    if let Some(text) = settings.text("BACKSPACE_EGRESS_PROXY") {
        // It may hold a password, so it is not repeated.
        let upstream = Upstream::parse(text);
        return Ok(Route::Upstream(
            upstream.map_err(|error| Usage(format!("BACKSPACE_EGRESS_PROXY {error}")))?,
        ));
    }
    // Forges with a port among them are no hosts of this list.
    let private =
        settings.list("BACKSPACE_PRIVATE_HOSTS").iter().filter_map(|text| text.parse().ok()).collect();
    Ok(Route::Direct { resolver: Arc::new(System), private })
}
