//! Checked-out trees that sandboxes start from: one per commit, made once, never changed, shared by all sessions.

mod inside;
mod manifest;
mod measure;
mod settle;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use events::{Branch, Oid};
use tracing::warn;

pub(crate) use manifest::{Manifest, Mode, Object};

use crate::git;
use crate::lock::{self, Held, Patience};
use crate::mirror::Mirror;
use crate::scratch::{Scratch, bury};
use crate::{Error, at, blocking};

/// Trees of one mirror beyond this many go, the longest unused first: each takes the disk of a checkout.
const TREES_MAX: usize = 8;
/// The checkout within a tree's folder.
const WORK: &str = "work";

/// A checked-out commit, immutable. It stays for as long as this value, or a clone of it, lives.
#[derive(Debug, Clone)]
pub struct BaseTree {
    /// The commit.
    pub commit: Oid,
    /// Read-only folders laid over each other, the uppermost first: a throw-away `.git`, then the checkout.
    pub layers: Vec<PathBuf>,
    dir: PathBuf,
    _lease: Arc<Held>,
}

/// A file of a base tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Where it stands.
    pub path: Vec<u8>,
    /// git's name of its content.
    pub oid: Oid,
    /// Whether it is a regular file, and no link.
    pub is_file: bool,
}

impl NamedFile {
    /// Whether the last part of its path is `name`.
    pub fn is_named(&self, name: &str) -> bool {
        self.path.rsplit(|byte| *byte == b'/').next() == Some(name.as_bytes())
    }
}

impl BaseTree {
    /// Everything that has one of `names`, in whatever folder, in the order of the paths.
    ///
    /// # Errors
    /// [`Error::System`] when the listing of the tree cannot be read.
    pub async fn named(&self, names: &[&str]) -> Result<Vec<NamedFile>, Error> {
        let manifest = self.manifest().await?;
        let is_wanted = |path: &&[u8]| {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            names.iter().any(|wanted| wanted.as_bytes() == name)
        };
        let found = manifest.below(b"").filter(is_wanted).filter_map(|path| {
            let Object { mode, oid } = manifest.get(path)?;
            let is_file = matches!(mode, Mode::File | Mode::Executable);
            Some(NamedFile { path: path.to_vec(), oid, is_file })
        });
        Ok(found.collect())
    }

    /// The checkout without the `.git` over it.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.join(WORK)
    }

    /// What the commit holds.
    pub(crate) async fn manifest(&self) -> Result<Manifest, Error> {
        let dir = self.dir.clone();
        blocking(move || Manifest::read(&dir)).await
    }

    /// When the commit was made, in seconds after 1970.
    pub(crate) fn committed_at(&self) -> Result<u64, Error> {
        settle::committed_at(&self.dir)
    }
}

impl Mirror {
    /// The tree of `commit`, checked out now or earlier. In its `.git`, `branch` is checked out.
    ///
    /// # Errors
    /// [`Error::Git`] when the commit is not in the mirror or holds a path that must not be checked out, [`Error::Unfit`]
    /// when a checkout would fill memory or disk.
    pub async fn base_tree(&self, commit: &Oid, branch: &Branch) -> Result<BaseTree, Error> {
        let trees = self.repos.trees_dir(&self.key);
        at("make", &trees, std::fs::create_dir_all(&trees))?;
        let dir = trees.join(commit.as_str());
        let lock_file = dir.with_extension("lock");
        let mut patience = Patience::new("the base tree");
        loop {
            let lease = lock::try_shared(&lock_file)?.filter(|_| dir.exists());
            if let Some(lease) = lease {
                lease.mark_used();
                let inside = inside::layer(self, &dir, commit, branch).await?;
                let layers = vec![inside, dir.join(WORK)];
                return Ok(BaseTree { commit: commit.clone(), layers, dir, _lease: Arc::new(lease) });
            }
            // Between the two locks another process may build or evict it, so that everything is looked at again; and
            // nobody waits for the second one alone, for whoever builds it before us then leases it for a whole session.
            match lock::try_exclusive(&lock_file)? {
                Some(_building) if !dir.exists() => {
                    self.build(commit, &dir).await?;
                    let (trees, scratch) = (trees.clone(), self.repos.scratch());
                    blocking(move || evict(&trees, &scratch)).await?;
                }
                Some(_) => {}
                None => patience.pause().await?,
            }
        }
    }

    /// Checks the commit out in a temporary folder, which becomes `dir` once it is whole.
    async fn build(&self, commit: &Oid, dir: &Path) -> Result<(), Error> {
        let scratch = Scratch::new(&self.repos.scratch())?;
        let listing = self.measured(commit, scratch.path()).await?;
        let new = scratch.path().join("tree");
        let work = new.join(WORK);
        at("make", &work, std::fs::create_dir_all(&work))?;
        let index = new.join(inside::INDEX);
        let within = |doing: &str, args: &[&str]| {
            let call = self.call(doing, args).env("GIT_INDEX_FILE", &index).env("GIT_WORK_TREE", &work);
            inside::stat_settings(call).config("core.fsync", "none")
        };
        git::run(within("read the base", &["read-tree", commit.as_str()])).await?.success()?;
        let checkout = within("check the base out", &["checkout-index", "--all", "--quiet"]);
        git::run(checkout.config("checkout.workers", "0")).await?.success()?;
        self.describe(commit, &listing, &new).await?;
        let (folder, at_s) = (work.clone(), settle::committed_at(&new)?);
        blocking(move || settle::settle(&folder, at_s)).await?;
        // Only now are the files as they stay, so that the index can note what they look like.
        git::run(within("index the base", &["update-index", "-q", "--refresh"])).await?.success()?;
        at("move a base tree to", dir, std::fs::rename(&new, dir))
    }

    /// Notes beside the checkout what it holds, for those who must not ask git for each path.
    async fn describe(&self, commit: &Oid, listing: &[u8], new: &Path) -> Result<(), Error> {
        Manifest::write(new, listing)?;
        let time = self
            .call("read the base", ["show", "-s", "--no-show-signature", "--format=%ct", commit.as_str()]);
        settle::note_commit_time(new, &git::run(time).await?.success()?.text())
    }
}

/// Removes the trees that were not used for the longest time; never one that is in use.
fn evict(trees: &Path, scratch: &Path) -> Result<(), Error> {
    let mut found = Vec::new();
    for entry in at("list", trees, std::fs::read_dir(trees))?.flatten() {
        let dir = entry.path();
        if dir.extension().is_none() {
            let used = std::fs::metadata(dir.with_extension("lock")).and_then(|meta| meta.modified());
            found.push((used.unwrap_or(std::time::UNIX_EPOCH), dir));
        }
    }
    found.sort();
    let mut surplus = found.len().saturating_sub(TREES_MAX);
    for (_, dir) in found {
        if surplus == 0 {
            break;
        }
        match bury(&dir, scratch) {
            Ok(true) => surplus -= 1,
            Ok(false) => {}
            Err(error) => warn!("The base tree {} cannot be removed: {error}", dir.display()),
        }
    }
    Ok(())
}
