//! What there is to find: git, sandbox and what weakens it, state, models, forge, what sandboxes reach.

mod egress;
mod holes;
mod models;
mod walls;

use std::process::Command;

use anyhow::{Context as _, Result};
use session::request::{LocalRepositories, Rules};

use crate::assemble::{self, AtOnce};
use crate::config::Settings;
use crate::probe::{self, Probed};

/// Where sessions look for git, whatever the user's shell does.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Older ones lack options that we use.
const GIT_MIN: (u32, u32) = (2, 37);

/// One thing that was looked at.
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
}

/// What was found.
pub(super) enum Verdict {
    /// It works.
    Fine(String),
    /// It works, but less well than it could.
    Weak { what: String, mend: String },
    /// No session can succeed without it.
    Missing { what: String, mend: String },
}

/// Looks at everything, the cheap things first.
pub(super) async fn all(settings: &Settings, repository: Option<&str>) -> Vec<Finding> {
    let mut found = vec![
        Finding { name: "git", verdict: git() },
        Finding { name: "state", verdict: state(settings).await },
        Finding { name: "sandbox", verdict: sandbox(settings).await },
    ];
    found.extend(walls(settings).await);
    found.extend(models::all(settings).into_iter().map(|verdict| Finding { name: "model", verdict }));
    found.push(Finding { name: "forge", verdict: forge(settings) });
    found.extend(egress::all(settings).await.into_iter().map(|verdict| Finding { name: "egress", verdict }));
    if let Some(repository) = repository {
        found.push(Finding { name: "repository", verdict: asked(settings, repository).await });
    }
    found
}

fn missing(what: impl Into<String>, mend: impl Into<String>) -> Verdict {
    Verdict::Missing { what: what.into(), mend: mend.into() }
}

/// What weakens sandboxes besides what one of them says itself.
async fn walls(settings: &Settings) -> Vec<Finding> {
    let Ok(config) = assemble::home(settings).and_then(|home| assemble::sandbox_config(settings, &home))
    else {
        // Said where a sandbox is opened.
        return Vec::new();
    };
    let mut programs: Vec<String> = git_version().into_iter().collect();
    programs.extend(sandbox::versions(&config).await);
    let named = |name| move |verdict| Finding { name, verdict };
    let versions = Some(holes::judge(&programs)).map(named("versions"));
    let restriction = walls::restriction(&config).map(named("namespaces"));
    let launcher = walls::launcher(&config).map(named("bubblewrap"));
    let memory = walls::memory(settings, &config).map(named("memory"));
    versions.into_iter().chain(restriction).chain(launcher).chain(memory).collect()
}

/// What git says of itself.
fn git_version() -> Option<String> {
    let done = Command::new("git").arg("--version").env("PATH", PATH).output().ok()?;
    Some(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

fn git() -> Verdict {
    const MEND: &str = "apt-get install git";
    let Some(text) = git_version() else { return missing("git is not installed", MEND) };
    let numbers: Vec<u32> = text
        .split(' ')
        .nth(2)
        .into_iter()
        .flat_map(|version| version.split('.').map_while(|part| part.parse().ok()))
        .collect();
    match numbers[..] {
        [major, minor, ..] if (major, minor) >= GIT_MIN => Verdict::Fine(text),
        _ => missing(format!("{text}: {}.{} or later is needed", GIT_MIN.0, GIT_MIN.1), MEND),
    }
}

/// The folder and the database.
async fn state(settings: &Settings) -> Verdict {
    let opened: Result<String> = async {
        let home = assemble::home(settings)?;
        let config = assemble::store_config(settings, &home)?;
        store::open(&config).await.context("cannot open the database")?;
        Ok(home.display().to_string())
    }
    .await;
    match opened {
        Ok(home) => Verdict::Fine(home),
        Err(error) => missing(format!("{error:#}"), "Set BACKSPACE_HOME to a folder that can be written"),
    }
}

/// Really opens one and runs a command in it.
async fn sandbox(settings: &Settings) -> Verdict {
    let tried = async {
        let home = assemble::home(settings)?;
        let config = assemble::sandbox_config(settings, &home)?;
        let versions = sandbox::versions(&config).await;
        let policy = assemble::policy(settings, &config, AtOnce::AsSet)?;
        let probed = probe::sandbox(&config, &policy, &home).await?;
        anyhow::Ok((versions, probed))
    };
    let (versions, Probed { terms, tools }) = match tried.await {
        Ok(found) => found,
        Err(error) => {
            return match error.downcast_ref() {
                Some(sandbox::Error::Unavailable { reason, mend }) => missing(reason, mend),
                _ => missing(format!("{error:#}"), "See the README's troubleshooting"),
            };
        }
    };
    let (backend, enforced) = (terms.backend, terms.enforced.join(", "));
    let what = format!("{backend} ({}): {enforced}; tools inside: {tools}", versions.join(", "));
    let soft = walls::softness(&terms);
    let passed_over = (!terms.passed_over.is_empty())
        .then(|| format!("preferred, but not to be had: {}", terms.passed_over.join("; ")));
    let weaknesses: Vec<String> = soft.into_iter().chain(passed_over).collect();
    if weaknesses.is_empty() {
        Verdict::Fine(what)
    } else {
        Verdict::Weak { what, mend: weaknesses.join(". ") }
    }
}

fn forge(settings: &Settings) -> Verdict {
    if settings.text("GITHUB_TOKEN").is_some() {
        let from = settings.from("GITHUB_TOKEN");
        return Verdict::Fine(format!("GITHUB_TOKEN from {from}; name a REPO to see what it may do"));
    }
    Verdict::Weak {
        what: "no GITHUB_TOKEN: repositories on this machine, and patches for public ones".to_owned(),
        mend: "Set GITHUB_TOKEN to a token that may write contents and pull requests".to_owned(),
    }
}

/// What the forge says of a repository.
async fn asked(settings: &Settings, repository: &str) -> Verdict {
    let said: Result<Verdict> = async {
        let rules = assemble::rules(settings);
        let forges = assemble::forge_hosts(settings, &rules.hosts)?;
        let rules = Rules { local: LocalRepositories::Any, forges, ..rules };
        let address = match rules.address(repository) {
            Ok(address) => address,
            Err(message) => return Ok(missing(format!("{repository} {message}"), "")),
        };
        let Some(forge) = assemble::forge_of(settings, &rules, &address.remote)? else {
            return Ok(Verdict::Fine(format!("{} is on this machine", address.remote)));
        };
        let repository = forge.repository(&address.remote).await?;
        let what = format!("{}, default branch {}", repository.remote, repository.default_branch);
        Ok(if repository.read_only {
            missing(format!("{what}: archived or disabled"), "Nothing can be pushed there")
        } else if repository.can_push {
            Verdict::Fine(format!("{what}, the token may push"))
        } else {
            Verdict::Weak {
                what: format!("{what}, the token may not push"),
                mend: "Use a token with write access, or --publish patch".to_owned(),
            }
        })
    }
    .await;
    said.unwrap_or_else(|error| missing(format!("{error:#}"), "Check the address and GITHUB_TOKEN"))
}
