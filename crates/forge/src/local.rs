//! A forge without a server: pull requests on a repository in a folder of this machine.
//!
//! Everything that needs git or a disk comes through the [`Shelf`], so that this crate does neither.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use events::{Branch, Oid, Remote};
use serde::{Deserialize, Serialize};

use crate::{Credential, Error, Forge, NewPullRequest, PullRequest, Repository};

/// So often another process may take the next number before we do; more is a shelf that does not remember.
const ADD_TRIES_MAX: usize = 20;

/// What the local forge needs.
#[derive(Clone)]
pub struct Config {
    /// Where repositories are read and pull requests are kept.
    pub shelf: Arc<dyn Shelf>,
    /// The addresses of pull requests.
    pub page_url: Arc<PageUrl>,
}

/// Makes the address of a pull request's page from the repository's folder and the number.
pub type PageUrl = dyn Fn(&Path, u64) -> String + Send + Sync;

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("local::Config")
    }
}

/// Reads the repositories of this machine and keeps their pull requests.
#[async_trait]
pub trait Shelf: Send + Sync {
    /// The branch that the repository's HEAD is on; nothing when it is on none.
    async fn default_branch(&self, repository: &Path) -> Result<Option<Branch>, LocalError>;

    /// The head of a branch now.
    async fn branch_head(&self, repository: &Path, branch: &Branch) -> Result<Option<Oid>, LocalError>;

    /// Every pull request that is kept for the repository.
    async fn kept(&self, repository: &Path) -> Result<Vec<KeptPullRequest>, LocalError>;

    /// Keeps a new pull request under its number, or nothing when that number is taken: in one step, also against
    /// other processes (a file created exclusively, a unique key).
    async fn add(&self, pull_request: &KeptPullRequest) -> Result<Added, LocalError>;

    /// Writes a pull request over the one of the same repository and number.
    async fn replace(&self, pull_request: &KeptPullRequest) -> Result<(), LocalError>;
}

/// What became of [`Shelf::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is kept.
    Kept,
    /// Another one has that number.
    NumberTaken,
}

/// A pull request as a [`Shelf`] keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPullRequest {
    /// The repository's folder.
    pub repository: PathBuf,
    /// Its number: from 1, per repository.
    pub number: u64,
    /// Whether it is open.
    pub open: bool,
    /// Whether it is a draft.
    pub draft: bool,
    /// One line.
    pub title: String,
    /// Markdown; holds the marker of the session that opened it.
    pub body: String,
    /// The branch to merge.
    pub head: Branch,
    /// The commit at its head when it was opened; shown when the branch is gone.
    pub head_commit: Oid,
    /// The branch to merge into.
    pub base: Branch,
    /// The commit at its head when this was opened: later it may hold our commits, too. Older records have none.
    #[serde(default)]
    pub base_commit: Option<Oid>,
}

/// Why a [`Shelf`] did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The folder holds no git repository.
    #[error("there is no git repository at {}", .0.display())]
    Missing(PathBuf),
    /// A disk, git, or what was kept.
    #[error("cannot {doing}")]
    Failed {
        /// What we were doing, as in "cannot …".
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens the local forge.
pub(crate) fn open(config: &Config) -> Arc<dyn Forge> {
    Arc::new(Local(config.clone()))
}

struct Local(Config);

#[async_trait]
impl Forge for Local {
    async fn repository(&self, remote: &Remote) -> Result<Repository, Error> {
        let path = folder(remote)?;
        let doing = "asking for the default branch";
        let head = self.0.shelf.default_branch(path).await.map_err(|error| refusal(doing, error))?;
        let Some(default_branch) = head else {
            let message =
                format!("HEAD of {} is on no branch; run `git switch BRANCH` there", path.display());
            return Err(Error::Refused { doing, message });
        };
        Ok(Repository { remote: remote.clone(), default_branch, can_push: true, read_only: false })
    }

    async fn credential(&self, _remote: &Remote) -> Result<Option<Credential>, Error> {
        Ok(None)
    }

    async fn branch_head(&self, remote: &Remote, branch: &Branch) -> Result<Option<Oid>, Error> {
        let head = self.0.shelf.branch_head(folder(remote)?, branch).await;
        head.map_err(|error| refusal("asking for the head of a branch", error))
    }

    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let doing = "opening the pull request";
        let path = folder(&new.remote)?;
        let head_commit = self.existing_head(new, &new.head).await?;
        let base_commit = self.existing_head(new, &new.base).await?;
        for _try in 0..ADD_TRIES_MAX {
            let all = self.0.shelf.kept(path).await.map_err(|error| refusal(doing, error))?;
            if let Some(found) = already_there(&all, new)? {
                return self.adopt(found, new).await;
            }
            let number = all.iter().map(|kept| kept.number).max().unwrap_or(0) + 1;
            let kept = fresh(path, number, new, head_commit.clone(), base_commit.clone());
            match self.0.shelf.add(&kept).await.map_err(|error| refusal(doing, error))? {
                Added::Kept => return self.shown(kept).await,
                // Somebody was faster, perhaps with this very pull request: look again.
                Added::NumberTaken => {}
            }
        }
        Err(Error::Unavailable { doing, message: "every number that we tried was taken".to_owned() })
    }

    async fn pull_request(&self, remote: &Remote, number: u64) -> Result<PullRequest, Error> {
        let path = folder(remote)?;
        let all = self.0.shelf.kept(path).await;
        let all = all.map_err(|error| refusal("reading the pull request", error))?;
        match all.into_iter().find(|kept| kept.number == number) {
            Some(kept) => self.shown(kept).await,
            None => Err(Error::NotFound(format!("pull request {number} of {}", path.display()))),
        }
    }

    fn compare_url(&self, _remote: &Remote, _base: &Branch, _head: &Branch) -> Option<String> {
        None
    }
}

impl Local {
    /// The head of a branch that a pull request needs.
    async fn existing_head(&self, new: &NewPullRequest, branch: &Branch) -> Result<Oid, Error> {
        self.branch_head(&new.remote, branch).await?.ok_or_else(|| Error::Refused {
            doing: "opening the pull request",
            message: format!("{} has no branch {branch}", new.remote),
        })
    }

    /// Brings a pull request of ours up to date; one that was closed stays as it is.
    async fn adopt(&self, found: &KeptPullRequest, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let mut kept = found.clone();
        if kept.open && (kept.title != new.title || kept.body != new.body) {
            kept.title.clone_from(&new.title);
            kept.body.clone_from(&new.body);
            let replaced = self.0.shelf.replace(&kept).await;
            replaced.map_err(|error| refusal("updating the pull request", error))?;
        }
        Ok(PullRequest { adopted: true, ..self.shown(kept).await? })
    }

    /// A kept pull request as it stands now: its head is where the branch is, and without a branch it is not open.
    async fn shown(&self, kept: KeptPullRequest) -> Result<PullRequest, Error> {
        let head = self.0.shelf.branch_head(&kept.repository, &kept.head).await;
        let head = head.map_err(|error| refusal("reading the pull request", error))?;
        Ok(PullRequest {
            number: kept.number,
            url: (self.0.page_url)(&kept.repository, kept.number),
            open: kept.open && head.is_some(),
            draft: kept.draft,
            title: kept.title,
            body: kept.body,
            head: kept.head,
            head_commit: head.unwrap_or(kept.head_commit),
            base: kept.base,
            adopted: false,
            warnings: Vec::new(),
        })
    }
}

fn folder(remote: &Remote) -> Result<&Path, Error> {
    remote.local_path().ok_or_else(|| Error::Refused {
        doing: "reading the repository",
        message: format!("{remote} is not a folder on this machine"),
    })
}

/// The pull request that `new` would repeat: ours by its marker, open or closed. One open pull request for a head
/// and base is enough, so somebody else's is refused, as GitHub refuses it.
fn already_there<'a>(
    all: &'a [KeptPullRequest],
    new: &NewPullRequest,
) -> Result<Option<&'a KeptPullRequest>, Error> {
    let same_branches = |kept: &&KeptPullRequest| kept.head == new.head && kept.base == new.base;
    let ours = |kept: &&KeptPullRequest| kept.body.contains(&new.marker);
    let of_ours = all.iter().filter(same_branches).filter(ours);
    if let Some(found) = of_ours.max_by_key(|kept| (kept.open, kept.number)) {
        return Ok(Some(found));
    }
    match all.iter().filter(same_branches).find(|kept| kept.open) {
        Some(other) => Err(Error::Refused {
            doing: "opening the pull request",
            message: format!("pull request {} is open for {} and is not ours", other.number, new.head),
        }),
        None => Ok(None),
    }
}

fn fresh(
    path: &Path,
    number: u64,
    new: &NewPullRequest,
    head_commit: Oid,
    base_commit: Oid,
) -> KeptPullRequest {
    KeptPullRequest {
        repository: path.to_owned(),
        number,
        open: true,
        draft: new.draft,
        title: new.title.clone(),
        body: new.body.clone(),
        head: new.head.clone(),
        head_commit,
        base: new.base.clone(),
        base_commit: Some(base_commit),
    }
}

/// What a shelf's error means to the caller of a forge.
fn refusal(doing: &'static str, error: LocalError) -> Error {
    match error {
        LocalError::Missing(path) => Error::NotFound(format!("a git repository at {}", path.display())),
        LocalError::Failed { .. } => Error::Unavailable { doing, message: crate::with_causes(&error) },
    }
}
