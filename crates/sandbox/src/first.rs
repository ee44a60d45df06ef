//! Opens a sandbox with the first of several backends that is to be had.

use std::sync::Arc;

use crate::{Config, Error, Inside, Policy, Sandbox, Tree, docker, namespaces};

/// Opens one; its terms say which were passed over, and why.
///
/// # Errors
/// [`Error::Unavailable`] when none is to be had, with what mends the first of them; every other error of the first that
/// is to be had.
pub(crate) async fn open(
    configs: &[Config],
    tree: &Tree,
    policy: &Policy,
) -> Result<Arc<dyn Sandbox>, Error> {
    let mut passed_over = Vec::new();
    let mut mends = Vec::new();
    for config in configs {
        let (name, opened): (_, Result<Arc<dyn Sandbox>, Error>) = match config {
            Config::Namespaces(config) => {
                let opened = namespaces::open(config, tree, policy).await;
                ("namespaces", opened.map(|it| Arc::new(it.having_passed_over(&passed_over)) as _))
            }
            Config::Docker(config) => {
                let opened = docker::open(config, tree, policy).await;
                ("docker", opened.map(|it| Arc::new(it.having_passed_over(&passed_over)) as _))
            }
            Config::Elsewhere(elsewhere) => ("elsewhere", elsewhere.0.open(tree, policy).await),
            Config::FirstOf(configs) => ("all of them", Box::pin(open(configs, tree, policy)).await),
        };
        match opened {
            Err(Error::Unavailable { reason, mend }) => {
                passed_over.push(format!("{name}: {reason}"));
                mends.push(mend);
            }
            opened => return opened,
        }
    }
    Err(none(&passed_over, mends))
}

fn none(passed_over: &[String], mends: Vec<String>) -> Error {
    Error::Unavailable {
        reason: passed_over.join("; "),
        mend: mends.into_iter().next().unwrap_or_else(|| "Name one in BACKSPACE_SANDBOX".to_owned()),
    }
}

/// What stands inside the one that [`open`] opens.
///
/// # Errors
/// As [`open`].
pub(crate) async fn inside(
    configs: &[Config],
    tree: &Tree,
    policy: &Policy,
    names: &[&str],
) -> Result<Inside, Error> {
    let (mut passed_over, mut mends) = (Vec::new(), Vec::new());
    for config in configs {
        let found = async {
            // Of those that look from outside only one that opens is to be had.
            if let Config::Namespaces(config) = config {
                namespaces::open(config, tree, policy).await?.close().await?;
            }
            Box::pin(crate::inside(config, tree, policy, names)).await
        };
        match found.await {
            Err(Error::Unavailable { reason, mend }) => {
                passed_over.push(reason);
                mends.push(mend);
            }
            found => return found,
        }
    }
    Err(none(&passed_over, mends))
}
