//! Keeps the pull requests of repositories on this machine, for the local forge, which runs no git and has no disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use events::{Branch, Oid, Remote, Tenant};
use forge::local::{Added, KeptPullRequest, LocalError, Shelf};
use repo::{Mirror, Repos, Source};
use sha2::{Digest as _, Sha256};
use store::Records;
use tracing::warn;

use crate::pull_request::defuse_line;

/// Where the records are kept in the store.
const PULL_REQUESTS: &str = "local_pull_request";

/// Keeps pull requests in the store, and a page of each in a folder so that it can be looked at without a server.
#[derive(Clone)]
pub struct LocalShelf {
    repos: Repos,
    records: Arc<dyn Records>,
    pages: PathBuf,
}

impl LocalShelf {
    /// A shelf whose pages lie below `pages`.
    pub fn new(repos: Repos, records: Arc<dyn Records>, pages: PathBuf) -> Self {
        Self { repos, records, pages }
    }

    /// The local forge over this shelf. A pull request's address is a page of the service that `serves_at` an
    /// address, or the page in the folder.
    pub fn forge_config(&self, serves_at: Option<String>) -> forge::local::Config {
        let pages = self.pages.clone();
        let page_url = move |repository: &Path, number: u64| {
            let key = key(repository);
            match &serves_at {
                Some(address) => format!("http://{address}/local/{key}/pull/{number}"),
                None => format!("file://{}", page(&pages, &key, number).display()),
            }
        };
        forge::local::Config { shelf: Arc::new(self.clone()), page_url: Arc::new(page_url) }
    }

    /// The page of pull request `number` of the repository with this `key` (the part of its address after `/local/`),
    /// as Markdown; nothing when there is none.
    ///
    /// # Errors
    /// When the record or the repository cannot be read.
    pub async fn page(&self, key: &str, number: u64) -> Result<Option<String>, LocalError> {
        let record = self.records.get(PULL_REQUESTS, &format!("{key}/{number:08}")).await;
        let Some(text) = record.map_err(|error| failed("read the pull requests", error))? else {
            return Ok(None);
        };
        let kept: KeptPullRequest =
            serde_json::from_str(&text).map_err(|error| failed("read a pull request", error))?;
        let (mirror, _) = self.mirror(&kept.repository).await?;
        Ok(Some(page_text(&kept, &diff(&kept, &mirror).await)))
    }

    async fn mirror(&self, repository: &Path) -> Result<(Mirror, Source), LocalError> {
        let remote = Remote::Local(repository.to_owned());
        let source = Source { remote, tenant: Tenant::default(), credential: None };
        match self.repos.mirror(&source).await {
            Ok((mirror, _)) => Ok((mirror, source)),
            Err(repo::Error::NotFound { .. }) => Err(LocalError::Missing(repository.to_owned())),
            Err(error) => Err(failed("read the repository", error)),
        }
    }

    /// Writes the page. It is a copy for people: that it cannot be written stops nothing.
    async fn write_page(&self, kept: &KeptPullRequest, mirror: &Mirror) {
        let path = page(&self.pages, &key(&kept.repository), kept.number);
        let text = page_text(kept, &diff(kept, mirror).await);
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        if let Err(error) = written {
            warn!("Cannot write {}: {error}", path.display());
        }
    }
}

#[async_trait]
impl Shelf for LocalShelf {
    async fn default_branch(&self, repository: &Path) -> Result<Option<Branch>, LocalError> {
        let (mirror, _) = self.mirror(repository).await?;
        mirror.default_branch().await.map_err(|error| failed("ask for the default branch", error))
    }

    async fn branch_head(&self, repository: &Path, branch: &Branch) -> Result<Option<Oid>, LocalError> {
        let remote = Remote::Local(repository.to_owned());
        let source = Source { remote, tenant: Tenant::default(), credential: None };
        let mirror = match self.repos.existing(&source).await {
            Some(mirror) => mirror,
            None => self.mirror(repository).await?.0,
        };
        mirror.remote_head(&source, branch).await.map_err(|error| failed("ask for a branch", error))
    }

    async fn kept(&self, repository: &Path) -> Result<Vec<KeptPullRequest>, LocalError> {
        let records = self.records.list(PULL_REQUESTS, &format!("{}/", key(repository))).await;
        let records = records.map_err(|error| failed("read the pull requests", error))?;
        records
            .iter()
            .map(|(_, text)| serde_json::from_str(text).map_err(|error| failed("read a pull request", error)))
            .collect()
    }

    async fn add(&self, kept: &KeptPullRequest) -> Result<Added, LocalError> {
        let text = serde_json::to_string(kept).map_err(|error| failed("write a pull request", error))?;
        let there = self.records.put_new(PULL_REQUESTS, &record(kept), &text).await;
        if there.map_err(|error| failed("keep a pull request", error))?.is_some() {
            return Ok(Added::NumberTaken);
        }
        let (mirror, _) = self.mirror(&kept.repository).await?;
        self.write_page(kept, &mirror).await;
        Ok(Added::Kept)
    }

    async fn replace(&self, kept: &KeptPullRequest) -> Result<(), LocalError> {
        let text = serde_json::to_string(kept).map_err(|error| failed("write a pull request", error))?;
        let put = self.records.put(PULL_REQUESTS, &record(kept), &text).await;
        put.map_err(|error| failed("keep a pull request", error))?;
        let (mirror, _) = self.mirror(&kept.repository).await?;
        self.write_page(kept, &mirror).await;
        Ok(())
    }
}

/// What the pull request changes since it left its base, as `git diff BASE...HEAD` shows it: what was committed to the
/// base meanwhile is none of it. Empty when its branches are gone.
async fn diff(kept: &KeptPullRequest, mirror: &Mirror) -> String {
    let base = match &kept.base_commit {
        Some(base) => Some(base.clone()),
        None => mirror.branch(&kept.base).await.ok().flatten(),
    };
    let Some(base) = base else { return String::new() };
    let Ok(Some(left_at)) = mirror.merge_base(&base, &kept.head_commit).await else { return String::new() };
    let diff = mirror.diff(&left_at, &kept.head_commit).await.unwrap_or_default();
    String::from_utf8_lossy(&diff).into_owned()
}

fn failed(doing: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> LocalError {
    LocalError::Failed { doing, source: Box::new(error) }
}

/// The folder's name, and enough of a digest of its path to tell two of one name apart.
fn key(repository: &Path) -> String {
    let name = repository.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let digest = Sha256::digest(repository.as_os_str().as_encoded_bytes());
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{plain}-{digest}")
}

/// Numbers of one width sort as text.
fn record(kept: &KeptPullRequest) -> String {
    format!("{}/{:08}", key(&kept.repository), kept.number)
}

fn page(pages: &Path, key: &str, number: u64) -> PathBuf {
    pages.join(key).join(format!("{number}.md"))
}

/// The pull request as Markdown, with how to look at it and merge it, and its diff.
fn page_text(kept: &KeptPullRequest, diff: &str) -> String {
    let (repository, head, base) = (kept.repository.display(), &kept.head, &kept.base);
    let draft = if kept.draft { " (draft)" } else { "" };
    // A fence longer than any in the diff cannot be closed by it.
    let longest = diff.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!(
        "# {}{draft}\n\nPull request {} of {repository}: `{head}` into `{base}`.\n\n    git -C {repository} diff {base}...{head}\n    git -C {repository} merge {head}\n\n---\n\n{}\n\n---\n\n{fence}diff\n{diff}{fence}\n",
        // A title is plain text; here it stands in Markdown.
        defuse_line(&kept.title),
        kept.number,
        kept.body
    )
}

#[cfg(test)]
mod tests;
