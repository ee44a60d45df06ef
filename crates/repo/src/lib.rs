//! Where the code comes from and how a change leaves: mirrors, base trees, saved steps, commits, push.
//!
//! Runs git, always in bare repositories of its own making; never in a work tree that untrusted code has touched.
//! Calls no forge's API and sees no sandbox.

mod base_tree;
mod commit;
mod error;
mod git;
mod heads;
mod history;
mod hygiene;
mod lock;
mod mirror;
mod on_this_machine;
mod packed;
mod planted;
mod prepared;
mod push;
mod recorder;
mod scratch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use events::{ChangedPath, Content, Remote, Tenant};
use secrecy::SecretString;

pub use base_tree::{BaseTree, NamedFile};
pub use commit::NewCommit;
pub use error::Error;
pub use git::{Proxy, Ran};
pub use hygiene::{Reason, Skipped};
pub use mirror::Mirror;
pub use on_this_machine::reached_from;
pub use packed::{History, Packed};
pub use planted::Planted;
pub use prepared::{Elsewhere, Label, Place, Prepared, PreparedKey, Vacancy, Wanted};
pub use push::Expect;
pub use recorder::{Recorder, Saved};

/// Where mirrors and base trees are kept.
#[derive(Debug, Clone)]
pub struct Repos {
    home: PathBuf,
    git: git::Git,
    /// A remote that is looked for in a folder of this machine, whatever it is called.
    stand_in: Option<Arc<StandIn>>,
}

/// Where a remote is looked for.
#[derive(Debug)]
struct StandIn {
    remote: Remote,
    at: Remote,
}

/// A repository and what it takes to reach it.
#[derive(Clone)]
pub struct Source {
    /// The repository.
    pub remote: Remote,
    /// Whose mirror it is: one tenant never reads what another's credential fetched.
    pub tenant: Tenant,
    /// User name and password for git over HTTP; given to git by environment only.
    pub credential: Option<Credential>,
}

/// A user name and password for git over HTTP.
#[derive(Clone)]
pub struct Credential {
    /// The user name.
    pub user: String,
    /// The password or token.
    pub password: SecretString,
}

/// Reads what a sandbox changed, path by path. A port: this crate sees no sandbox.
#[async_trait]
pub trait Contents: Send + Sync {
    /// What stands at `path` now; `None` when it changed while it was read, and is to be left for the next time.
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Option<Content>, ContentsError>;
}

/// The place that holds the change cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what was changed")]
pub struct ContentsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl Repos {
    /// Makes the folders below `home` that are missing, for this user alone, and sweeps what a killed process left.
    ///
    /// # Errors
    /// [`Error::System`] when the folders cannot be made or read.
    pub async fn open(home: PathBuf) -> Result<Self, Error> {
        let home =
            std::path::absolute(&home).map_err(|e| Error::system(format!("find {}", home.display()), e))?;
        let made = home.clone();
        blocking(move || scratch::prepare(&made)).await?;
        let git = git::Git::new(PathBuf::from("git"), &scratch::folder(&home));
        Ok(Self { home, git, stand_in: None })
    }

    /// The same with another git program than the one on the system's path.
    #[must_use]
    pub fn with_git(self, program: PathBuf) -> Self {
        let git = git::Git::new(program, &scratch::folder(&self.home));
        Self { git, ..self }
    }

    /// The same that reaches remotes by https through `proxy`.
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        Self { git: self.git.through(proxy), ..self }
    }

    /// The same where `remote` is looked for in `planted`. What is told of it names `remote`, as ever.
    #[must_use]
    pub fn placing(self, remote: Remote, planted: &Planted) -> Self {
        let at = Remote::Local(planted.folder().to_owned());
        Self { stand_in: Some(Arc::new(StandIn { remote, at })), ..self }
    }

    /// Where `remote` is looked for.
    fn place<'a>(&'a self, remote: &'a Remote) -> &'a Remote {
        match &self.stand_in {
            Some(stand_in) if stand_in.remote == *remote => &stand_in.at,
            Some(_) | None => remote,
        }
    }

    /// The folder for what is being built. On one file system with everything it is renamed to.
    fn scratch(&self) -> PathBuf {
        scratch::folder(&self.home)
    }

    /// The folder of the mirror `key`.
    fn mirror_dir(&self, key: &str) -> PathBuf {
        self.home.join(scratch::MIRRORS).join(format!("{key}.git"))
    }

    /// The folder of the base trees of the mirror `key`.
    fn trees_dir(&self, key: &str) -> PathBuf {
        self.home.join(scratch::TREES).join(key)
    }
}

/// Runs work on folders and files where it holds up no other task.
async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::system("work on files", std::io::Error::other(error))),
    }
}

/// Says which file was being worked on.
fn at<T>(doing: &str, path: &Path, result: std::io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::system(format!("{doing} {}", path.display()), source))
}
