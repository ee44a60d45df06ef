//! Reads what stands at a changed path, and nothing that took its place meanwhile.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use events::{ChangedKind, ChangedPath, Content};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::upper::{allow_owner, kind, stamp};

/// Reads at most `bytes_max` of `path` below `upper`; nothing when it is no longer what the list said.
pub(crate) fn read(upper: BorrowedFd<'_>, path: &ChangedPath, bytes_max: u64) -> io::Result<Option<Content>> {
    // A descriptor of the entry itself: to take one of a device or a pipe does nothing to it.
    let entry = match open(upper, &path.path, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(entry) => Some(entry),
        Err(errno) if is_gone(errno) => None,
        Err(errno) => return Err(errno.into()),
    };
    let Some(entry) = entry else {
        return Ok((path.kind == ChangedKind::Deleted).then_some(Content::Deleted));
    };
    let stat = rustix::fs::fstat(&entry)?;
    let found = kind(&stat);
    match path.kind {
        // A folder may stand where a file was.
        ChangedKind::Deleted => {
            let gone = matches!(found, ChangedKind::Deleted | ChangedKind::Special);
            Ok(gone.then_some(Content::Deleted))
        }
        ChangedKind::Special => Ok(None),
        _ if found != path.kind || stamp(&stat) != path.stamp => Ok(None),
        ChangedKind::Symlink => {
            let target = rustix::fs::readlinkat(&entry, "", Vec::new())?;
            Ok(Some(Content::Symlink(target.into_bytes())))
        }
        ChangedKind::File { executable, .. } => {
            // Leave to read changes the stamp; what it was before has just been compared.
            let leave = allow_owner(entry.as_fd(), &stat, 0o400)?;
            let stamp = if leave { stamp(&rustix::fs::fstat(&entry)?) } else { path.stamp };
            let bytes = read_file(upper, &ChangedPath { stamp, ..path.clone() }, bytes_max)?;
            Ok(bytes.map(|bytes| Content::File { executable, bytes }))
        }
    }
}

fn read_file(upper: BorrowedFd<'_>, path: &ChangedPath, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open(upper, &path.path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW) {
        Ok(file) => File::from(file),
        Err(errno) if is_gone(errno) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let as_listed = || -> io::Result<bool> {
        let stat = rustix::fs::fstat(&file)?;
        Ok(kind(&stat) == path.kind && stamp(&stat) == path.stamp)
    };
    if !as_listed()? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    (&file).take(bytes_max).read_to_end(&mut bytes)?;
    Ok(as_listed()?.then_some(bytes))
}

/// Opens below `upper` alone: by no link, no `..`, no other file system.
fn open(upper: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(upper, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Whether the path leads no longer, or not within bounds, to what it led to. Whoever listed it could look into all folders
/// on its way, so one that is shut was shut since.
fn is_gone(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NXIO
            | Errno::AGAIN
            | Errno::ACCESS
            | Errno::NAMETOOLONG
    )
}
