//! From settings to what the commands in sandboxes may reach.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use events::Redactor;
use sandbox::egress::{Caps, Config, Host, Lent, Route, System, Trust, Upstream};
use secrecy::ExposeSecret as _;
use session::{Egress, OpenFor};
use tracing::warn;

use crate::config::Settings;
use crate::output::{self, Usage};
use crate::registries::{self, Registries};

/// Stands for the registries of the operator's tools, with their credentials.
const PACKAGES: &str = "packages";
/// The same without credentials.
const PUBLIC_PACKAGES: &str = "public-packages";

/// What sandboxes may reach, and what of the operator's registries they cannot, each in a sentence.
pub(crate) struct Reach {
    pub(crate) egress: Egress,
    pub(crate) problems: Vec<String>,
}

/// What sandboxes may reach; nothing when no host is named. When registries are to be known, the operator's tools are
/// asked for them, which takes a second or two.
///
/// # Errors
/// A host that is none, a proxy that is none, another word than there are.
pub(crate) async fn egress(settings: &Settings, home: &Path) -> Result<Option<Reach>> {
    let open_for = match settings.text("BACKSPACE_EGRESS_FOR").unwrap_or("setup") {
        "setup" => OpenFor::Setup,
        "session" => OpenFor::Session,
        other => bail!(Usage(format!("BACKSPACE_EGRESS_FOR is `{other}`; it is `setup` or `session`"))),
    };
    let route = route(settings)?;
    let words = settings.list("BACKSPACE_EGRESS");
    let (names, hosts): (Vec<String>, Vec<String>) =
        words.into_iter().partition(|word| matches!(word.as_str(), PACKAGES | PUBLIC_PACKAGES));
    let mut hosts = hosts.iter().map(|text| host(settings, text)).collect::<Result<BTreeSet<Host>>>()?;
    let registries = if names.is_empty() {
        Registries::default()
    } else {
        let mut registries = ask(settings, home).await?;
        if names.iter().all(|name| name == PUBLIC_PACKAGES) {
            registries.lent.clear();
        }
        registries
    };
    // Before anything is told of them.
    output::keep_secret(redactor(settings, &registries.lent));
    let (packages, problems) = (registries.hosts.clone(), registries.problems);
    hosts.extend(registries.hosts);
    if hosts.is_empty() && names.is_empty() {
        return Ok(None);
    }
    let config = Config {
        hosts,
        route,
        lent: registries.lent,
        trust: Trust::of_this_machine(registries.certificates),
        told: registries.told,
        caps: Caps::default(),
        folder: home.join("egress"),
    };
    Ok(Some(Reach { egress: Egress { config, packages, open_for }, problems }))
}

/// Knows all that this process holds: the secrets among its settings, and the credentials that are lent.
pub(crate) fn redactor(settings: &Settings, lent: &[Lent]) -> Redactor {
    let mut secrets = settings.secrets();
    secrets.extend(lent.iter().flat_map(forms));
    Redactor::new(secrets.iter().map(String::as_str))
}

/// The value after the scheme, and the password in a pair.
fn forms(lent: &Lent) -> Vec<String> {
    let value = lent.authorization.expose_secret();
    let (scheme, value) = value.split_once(' ').unwrap_or(("", value));
    let pair = STANDARD.decode(value).ok().filter(|_| scheme == "Basic");
    let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
    let password = pair.and_then(|pair| pair.split_once(':').map(|(_, password)| password.to_owned()));
    [Some(value.to_owned()), password].into_iter().flatten().collect()
}

impl Reach {
    /// What is to be reached; what cannot be is told to the operator.
    pub(crate) fn told(self) -> Egress {
        for problem in &self.problems {
            warn!("BACKSPACE_EGRESS, packages: {problem}");
        }
        self.egress
    }
}

async fn ask(settings: &Settings, home: &Path) -> Result<Registries> {
    let scratch = tempfile::Builder::new().prefix("registries.").tempdir_in(home);
    let scratch = scratch.context("cannot make a folder in BACKSPACE_HOME")?;
    Ok(registries::registries(&settings.environment_of_tools(), scratch.path()).await)
}

fn host(settings: &Settings, text: &str) -> Result<Host> {
    let from = settings.from("BACKSPACE_EGRESS");
    let refused = |error| Usage(format!("BACKSPACE_EGRESS (from {from}) names `{text}`: {error}"));
    Ok(text.parse().map_err(refused)?)
}

fn route(settings: &Settings) -> Result<Route> {
    if let Some(text) = settings.text("BACKSPACE_EGRESS_PROXY") {
        // It may hold a password, so it is not repeated.
        let refused = |error| Usage(format!("BACKSPACE_EGRESS_PROXY {error}"));
        return Ok(Route::Upstream(Upstream::parse(text).map_err(refused)?));
    }
    // Forges with a port among them are no hosts of this list.
    let private =
        settings.list("BACKSPACE_PRIVATE_HOSTS").iter().filter_map(|text| text.parse().ok()).collect();
    Ok(Route::Direct { resolver: Arc::new(System), private })
}

#[cfg(test)]
mod tests {
    use sandbox::egress::Below;
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_lent_password_is_known_in_each_of_its_forms() {
        let lent = |value: &str| Lent {
            host: "a.example".parse().unwrap(),
            below: Below::parse("/").unwrap(),
            authorization: SecretString::from(value),
        };
        assert_eq!(forms(&lent("Bearer token")), ["token"]);
        assert_eq!(forms(&lent("token")), ["token"]);
        assert_eq!(forms(&lent("Basic bWU6c2VjcmV0")), ["bWU6c2VjcmV0", "secret"]);
    }
}
