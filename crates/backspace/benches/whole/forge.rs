//! The stand-in for GitHub, as a process of its own: what its git takes is not ours.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use crate::process::{self, BINARY, Settings};

/// A running stand-in. It ends when this is dropped.
pub(crate) struct Forge {
    child: Child,
    host: String,
    token: String,
    /// What a `backspace` needs to know of it.
    pub(crate) settings: Settings,
}

impl Forge {
    /// A stand-in with copies of `folder` as the repositories `names`.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(folder: &Path, names: &[String]) -> Result<Self> {
        let mut arguments = vec!["dev".to_owned(), "fake-forge".to_owned()];
        for name in names {
            arguments.extend(["--repo".to_owned(), format!("bench/{name}={}", folder.display())]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = process::command(BINARY, &arguments, &Settings::new());
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the forge")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the forge has no output")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read what the forge says")?;
        let settings: Settings = line
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let value = |wanted: &str| {
            let found = settings.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
            found.with_context(|| format!("the forge does not tell {wanted}: {line}"))
        };
        let (host, token) = (value("BACKSPACE_PRIVATE_HOSTS")?, value("GITHUB_TOKEN")?);
        Ok(Self { child, host, token, settings })
    }

    /// The address of a repository, as a request names it.
    pub(crate) fn address(&self, name: &str) -> String {
        format!("http://{}/bench/{name}", self.host)
    }

    /// The address with which git may push.
    pub(crate) fn address_with_token(&self, name: &str) -> String {
        format!("http://x-access-token:{}@{}/bench/{name}", self.token, self.host)
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}
