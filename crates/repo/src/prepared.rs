//! Prepared trees: what setup added to a base tree, kept as folders that lie over it in later sessions.
//!
//! A prepared tree belongs to one mirror, and so to one tenant, repository and account. Whoever asks for one names all
//! that decides what is in it. It is made from a base tree alone: nothing that an agent did is ever in one.

mod eviction;
mod label;

use std::cmp::Reverse;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::warn;

pub use label::{Elsewhere, Label};

use crate::base_tree::{BaseTree, Manifest, Mode};
use crate::hygiene::folders;
use crate::lock::{self, Held};
use crate::mirror::Mirror;
use crate::scratch::Scratch;
use crate::{Error, Repos, at, blocking};

/// The folders within the folder that is being built.
const TREE: &str = "tree";
const BESIDE: &str = "beside";

/// A digest of what decides what a prepared tree holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedKey(String);

impl PreparedKey {
    /// Of `parts`, in their order. Where one ends and the next begins counts.
    pub fn of<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.as_ref().len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hex::encode(&hash.finalize()[..16]))
    }
}

/// Which prepared tree is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of all that decides what setup adds to the base tree; the commit is among it.
    pub here: PreparedKey,
    /// Of all that decides what setup adds to whatever commit, when setup is known to read nothing else.
    pub elsewhere: Option<PreparedKey>,
}

/// A prepared tree, or the place for one.
#[derive(Debug)]
pub enum Place {
    /// It was made earlier.
    Taken(Prepared),
    /// Nobody else makes the same until this value is dropped.
    Vacant(Vacancy),
}

/// A prepared tree. It stays for as long as this value lives.
#[derive(Debug)]
pub struct Prepared {
    /// Where it is.
    pub folder: PathBuf,
    /// What is known of it.
    pub label: Label,
    lease: Lease,
}

#[derive(Debug)]
enum Lease {
    /// Kept for others, and not to be evicted meanwhile.
    Kept { _held: Held },
    /// This session's alone; removed with this value.
    Lent { _scratch: Scratch },
}

/// The place for a prepared tree that is to be made.
#[derive(Debug)]
pub struct Vacancy {
    repos: Repos,
    /// Where it goes.
    dir: PathBuf,
    scratch: Scratch,
    _making: Making,
}

/// The right to make a prepared tree.
#[derive(Debug)]
struct Making {
    lock_file: PathBuf,
    _held: Held,
}

impl Mirror {
    /// The prepared tree that is `wanted` over `base`, or the place for it. Waits while another session makes the same.
    ///
    /// # Errors
    /// [`Error::Busy`] when that takes too long; [`Error::System`] when folders cannot be made or read.
    pub async fn prepared(&self, base: &BaseTree, wanted: &Wanted) -> Result<Place, Error> {
        let shelf = self.repos.prepared_dir(&self.key);
        at("make", &shelf, fs::create_dir_all(&shelf))?;
        if let Some(prepared) = find(&shelf, base, wanted).await? {
            return Ok(Place::Taken(prepared));
        }
        let dir = shelf.join(&wanted.here.0);
        let lock_file = dir.with_extension("making");
        let held = lock::exclusive(lock_file.clone(), "the prepared tree").await?;
        let making = Making { lock_file, _held: held };
        // Another session may have made it while we waited.
        if let Some(prepared) = find(&shelf, base, wanted).await? {
            return Ok(Place::Taken(prepared));
        }
        let scratch = Scratch::new(&self.repos.scratch())?;
        Ok(Place::Vacant(Vacancy { repos: self.repos.clone(), dir, scratch, _making: making }))
    }
}

impl Prepared {
    /// Whether later sessions find it.
    pub fn is_kept(&self) -> bool {
        matches!(self.lease, Lease::Kept { .. })
    }

    /// Gives it up, where removing what nobody else uses holds up no other task.
    pub async fn release(self) {
        if let Err(panic) = tokio::task::spawn_blocking(move || drop(self)).await {
            warn!("A prepared tree was not given up in order: {panic}");
        }
    }
}

impl Vacancy {
    /// Where the tree is to be written. The folder is not there yet.
    pub fn folder(&self) -> PathBuf {
        self.scratch.path().join(TREE)
    }

    /// A place for what the tree is made of. It is not there yet, and goes once the tree is made and used.
    pub fn beside(&self) -> PathBuf {
        self.scratch.path().join(BESIDE)
    }

    /// Keeps what was written for later sessions. All prepared trees together may take `bytes_max`: those that were not
    /// used for the longest time go. What cannot be kept is lent.
    pub async fn keep(self, label: Label, bytes_max: u64) -> Prepared {
        if label.taken() > bytes_max {
            return self.lend(label);
        }
        match self.place(&label).await {
            Ok(held) => {
                let (home, scratch) = (self.repos.prepared_home(), self.repos.scratch());
                let evicted = blocking(move || eviction::make_room(&home, &scratch, bytes_max)).await;
                if let Err(error) = evicted {
                    warn!("Prepared trees cannot be evicted: {error}");
                }
                Prepared { folder: self.dir, label, lease: Lease::Kept { _held: held } }
            }
            Err(error) => {
                warn!("A prepared tree cannot be kept: {error}");
                self.lend(label)
            }
        }
    }

    /// Removes what was written, where that holds up no other task.
    pub async fn give_up(self) {
        if let Err(panic) = tokio::task::spawn_blocking(move || drop(self)).await {
            warn!("The place of a prepared tree was not given up in order: {panic}");
        }
    }

    /// Lets this session alone use what was written.
    pub fn lend(self, label: Label) -> Prepared {
        Prepared { folder: self.folder(), label, lease: Lease::Lent { _scratch: self.scratch } }
    }

    /// Puts what was written where others find it, whole and on disk.
    async fn place(&self, label: &Label) -> Result<Held, Error> {
        let (folder, dir, label) = (self.folder(), self.dir.clone(), label.clone());
        // Before it is there, or it could be evicted before it is held.
        let held = lock::shared(dir.with_extension("lock"), "the prepared tree").await?;
        held.mark_used();
        blocking(move || {
            label.write(&folder)?;
            // Unlike a base tree nobody can check it: after a loss of power it is whole or not there.
            let synced = File::open(&folder).and_then(|file| Ok(rustix::fs::syncfs(file)?));
            at("bring to disk", &folder, synced)?;
            at("move a prepared tree to", &dir, fs::rename(&folder, &dir))
        })
        .await?;
        Ok(held)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // While it is still held. A file that stays is empty and does no harm.
        let _stays = fs::remove_file(&self.lock_file);
    }
}

impl Repos {
    /// The folder of all prepared trees.
    fn prepared_home(&self) -> PathBuf {
        self.home.join(crate::scratch::PREPARED)
    }

    /// The folder of the prepared trees of the mirror `key`.
    fn prepared_dir(&self, key: &str) -> PathBuf {
        self.prepared_home().join(key)
    }
}

/// The one for this commit, else one that holds over it as well.
async fn find(shelf: &Path, base: &BaseTree, wanted: &Wanted) -> Result<Option<Prepared>, Error> {
    if let Some(prepared) = lease(shelf.join(&wanted.here.0)).await? {
        return Ok(Some(prepared));
    }
    let Some(key) = &wanted.elsewhere else { return Ok(None) };
    let (shelf, key) = (shelf.to_owned(), key.clone());
    let found = blocking(move || of_other_commits(&shelf, &key)).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let manifest = base.manifest().await?;
    for (dir, folders) in found {
        if folders.iter().all(|folder| is_free(folder.as_bytes(), &manifest))
            && let Some(prepared) = lease(dir).await?
        {
            return Ok(Some(prepared));
        }
    }
    Ok(None)
}

/// The prepared tree in `dir`, unless there is none.
async fn lease(dir: PathBuf) -> Result<Option<Prepared>, Error> {
    if !dir.exists() {
        return Ok(None);
    }
    let held = lock::shared(dir.with_extension("lock"), "the prepared tree").await?;
    // It may have been evicted meanwhile.
    let Some(label) = Label::read(&dir) else { return Ok(None) };
    held.mark_used();
    Ok(Some(Prepared { folder: dir, label, lease: Lease::Kept { _held: held } }))
}

/// Trees with that key and the folders that each consists of, the one that was used last first.
fn of_other_commits(shelf: &Path, key: &PreparedKey) -> Result<Vec<(PathBuf, Vec<String>)>, Error> {
    let mut found = Vec::new();
    for entry in at("list", shelf, fs::read_dir(shelf))?.flatten() {
        let dir = entry.path();
        if dir.extension().is_none()
            && let Some(Label { elsewhere: Some(elsewhere), .. }) = Label::read(&dir)
            && elsewhere.key == *key
        {
            found.push((used(&dir), dir, elsewhere.folders));
        }
    }
    found.sort_by_key(|(used, _, _)| Reverse(*used));
    Ok(found.into_iter().map(|(_, dir, folders)| (dir, folders)).collect())
}

/// Whether `folder` may lie over a tree: it would hide what the tree holds there.
fn is_free(folder: &[u8], tree: &Manifest) -> bool {
    let is_leaf = |path: &[u8]| tree.get(path).is_some_and(|object| object.mode != Mode::Submodule);
    tree.get(folder).is_none() && tree.below(folder).next().is_none() && !folders(folder).any(is_leaf)
}

/// When the tree in `dir` was used last.
fn used(dir: &Path) -> SystemTime {
    let used = fs::metadata(dir.with_extension("lock")).and_then(|metadata| metadata.modified());
    used.unwrap_or(SystemTime::UNIX_EPOCH)
}
