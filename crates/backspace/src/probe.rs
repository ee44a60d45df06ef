//! Whether this machine can open a sandbox: it is tried, not guessed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use sandbox::{Config, Ended, Policy, Terms, Tree};

/// A shell inside that prints a line takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A line.
const OUTPUT_BYTES_MAX: usize = 4096;

/// What a sandbox that was opened here tells.
pub(crate) struct Probed {
    /// What holds in it.
    pub(crate) terms: Terms,
    /// The language tools that it sees.
    pub(crate) tools: String,
}

/// Opens a sandbox over an empty tree, runs a command in it, and closes it.
///
/// # Errors
/// As [`sandbox::open`]; and when the command does not run.
pub(crate) async fn sandbox(config: &Config, policy: &Policy, home: &Path) -> Result<Probed> {
    let empty = tempfile::tempdir_in(home).context("cannot make a folder")?;
    let tree = Tree::of(vec![empty.path().to_owned()]);
    let sandbox = sandbox::open(config, &tree, policy).await?;
    let command = sandbox::Command {
        script: "command -v python3 node cargo go java || true".to_owned(),
        timeout: TIMEOUT,
        output_bytes_max: OUTPUT_BYTES_MAX,
        live: None,
    };
    let ran = sandbox.run(&command).await;
    let terms = sandbox.terms().clone();
    sandbox.close().await?;
    let ran = ran?;
    if ran.ended != Ended::Exited(0) {
        return Err(anyhow!("a command inside ended with {:?}: {}", ran.ended, ran.output));
    }
    Ok(Probed { terms, tools: ran.output.split_whitespace().collect::<Vec<_>>().join(" ") })
}
