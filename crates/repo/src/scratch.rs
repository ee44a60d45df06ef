//! The folders below the home, and the temporary ones in which everything is built before it is renamed into place.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tracing::warn;

use crate::{Error, at, lock};

/// Mirrors.
pub(crate) const MIRRORS: &str = "mirrors";
/// Base trees.
pub(crate) const TREES: &str = "trees";
/// Prepared trees.
pub(crate) const PREPARED: &str = "prepared";
/// What is being built.
const SCRATCH: &str = "scratch";
/// The file in a temporary folder that its owner keeps locked.
const OWNED: &str = "owned";
/// A temporary folder without a lock file is as old as this before it counts as left behind.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(3600);

/// The folder that holds the temporary ones.
pub(crate) fn folder(home: &Path) -> PathBuf {
    home.join(SCRATCH)
}

/// Makes the folders below `home` and sweeps temporary ones that nobody owns.
pub(crate) fn prepare(home: &Path) -> Result<(), Error> {
    for part in [MIRRORS, TREES, PREPARED, SCRATCH] {
        let dir = home.join(part);
        // Private repositories lie here: other users of the machine have no business in it.
        at("make", &dir, DirBuilder::new().recursive(true).mode(0o700).create(&dir))?;
    }
    let scratch = folder(home);
    for entry in at("list", &scratch, fs::read_dir(&scratch))? {
        let path = at("list", &scratch, entry)?.path();
        if is_left_behind(&path)
            && let Err(error) = fs::remove_dir_all(&path)
        {
            warn!("Left-over {} cannot be removed: {error}", path.display());
        }
    }
    Ok(())
}

/// Whether no process works in `dir` any more.
fn is_left_behind(dir: &Path) -> bool {
    match File::open(dir.join(OWNED)) {
        Ok(file) => file.try_lock().is_ok(),
        Err(_) => {
            let changed = fs::metadata(dir).and_then(|meta| meta.modified());
            changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_BEHIND_AFTER))
        }
    }
}

/// Removes the folder `dir`, which sessions hold by the lock file beside it, unless one does.
pub(crate) fn bury(dir: &Path, scratch: &Path) -> Result<bool, Error> {
    let lock_file = dir.with_extension("lock");
    let Some(_unused) = lock::try_exclusive(&lock_file)? else { return Ok(false) };
    // Out of sight first: nobody may find half of it.
    let grave = Scratch::new(scratch)?;
    at("move", dir, fs::rename(dir, grave.path().join("gone")))?;
    at("remove", &lock_file, fs::remove_file(&lock_file))?;
    Ok(true)
}

/// A temporary folder that is removed with this value, or by the next start when the process dies.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
    _owned: lock::Held,
}

impl Scratch {
    /// A new one in `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let dir = at("make a folder in", folder, tempfile::Builder::new().prefix("b-").tempdir_in(folder))?;
        let owned = lock::try_exclusive(&dir.path().join(OWNED))?;
        let owned = owned.ok_or_else(|| Error::Busy { what: "a new folder".to_owned() })?;
        Ok(Self { dir, _owned: owned })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}
