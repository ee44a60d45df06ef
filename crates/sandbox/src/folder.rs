//! A folder on disk for one sandbox: of its changes, or of its sockets.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;

use crate::removal;

/// Folders of this module, as against whatever else stands beside them.
const PREFIX: &str = "sandbox.";

/// A folder that is this sandbox's alone.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Locked. The lock ends with this process, and the next sandbox sweeps the folder.
    held: File,
}

/// Who comes into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The service alone.
    Owner,
    /// The sandbox's user as well, who passes through to what is its own below.
    Passage,
}

/// Makes an empty one below `place`, and sweeps those whose owners are gone.
pub(crate) fn make(place: &Path, reach: Reach) -> io::Result<Folder> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(place)?;
    sweep(place)?;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = place.join(format!("{PREFIX}{}.{number}", std::process::id()));
        let mode = match reach {
            Reach::Owner => 0o700,
            Reach::Passage => 0o711,
        };
        match DirBuilder::new().mode(mode).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        // Between the two lines another process may have swept it.
        if let Ok(Some(held)) = lock(&path) {
            return Ok(Folder { path, held });
        }
    }
}

impl Folder {
    /// Removes it with all that is in it. Nothing inside runs any more.
    pub(crate) fn remove(&self) -> io::Result<()> {
        removal::remove(&self.path)?;
        let _ = rustix::fs::flock(&self.held, FlockOperation::Unlock);
        Ok(())
    }
}

/// What cannot be removed now is tried again by the next one; it is in nobody's way.
fn sweep(place: &Path) -> io::Result<()> {
    for folder in left(place)? {
        drop(folder.remove());
    }
    Ok(())
}

/// The folders below `place` whose owners are gone.
pub(crate) fn left(place: &Path) -> io::Result<Vec<Folder>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        let ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if ours && let Ok(Some(held)) = lock(&entry.path()) {
            left.push(Folder { path: entry.path(), held });
        }
    }
    Ok(left)
}

fn lock(path: &Path) -> io::Result<Option<File>> {
    let folder = File::open(path)?;
    match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(folder)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_is_swept_when_nobody_holds_it_whatever_its_modes() {
        let place = tempfile::tempdir().unwrap();
        let make = || make(place.path(), Reach::Passage).unwrap();
        let (first, second) = (make(), make());
        let shut = second.path.join("a/b");
        fs::create_dir_all(shut.join("c")).unwrap();
        fs::set_permissions(&shut, Permissions::from_mode(0o000)).unwrap();
        let gone = second.path.clone();
        drop(second);
        let third = make();
        assert!(!gone.exists() && first.path.exists());
        first.remove().unwrap();
        third.remove().unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
