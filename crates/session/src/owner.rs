//! Who is at a session: a lock on a file, held for the owner's life.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use events::SessionId;

/// Holds a session. The system lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct Ownership {
    path: PathBuf,
    _lock: File,
}

impl Ownership {
    /// Takes hold of `session`; nothing when some living process has it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn take(home: &Path, session: SessionId) -> io::Result<Option<Self>> {
        let folder = home.join("owners");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(session.to_string());
        let lock = OpenOptions::new().create(true).append(true).open(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its former owner may have removed the file between our opening and locking it.
        if is_still_at(&lock, &path) {
            Ok(Some(Self { path, _lock: lock }))
        } else {
            Self::take(home, session)
        }
    }
}

/// Whether `path` still names the open file.
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // A file that stays is locked by nobody and does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_one_owner() {
        let home = tempfile::tempdir().unwrap();
        let session = SessionId::new(1, 2);
        let first = Ownership::take(home.path(), session).unwrap().unwrap();
        assert!(Ownership::take(home.path(), session).unwrap().is_none());
        drop(first);
        assert!(Ownership::take(home.path(), session).unwrap().is_some());
    }
}
