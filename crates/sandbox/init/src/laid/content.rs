//! Reads what stands at a changed path, when it is what was listed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::beneath;
use crate::look::{allow_owner, kind, stamp};
use crate::protocol::laid::{Found, Kind, Stamp, Wanted};

/// Reads at most `bytes_max` of what is `wanted` below `root`.
pub(super) fn content(root: BorrowedFd<'_>, wanted: &Wanted, bytes_max: usize) -> io::Result<Found> {
    let path = Path::new(std::ffi::OsStr::from_bytes(&wanted.changed.path));
    // A descriptor of the entry itself: to take one of a device or a pipe does nothing to it.
    let entry = match beneath::open(root, path, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(entry) => Some(entry),
        Err(errno) if is_gone(errno) => None,
        Err(errno) => return Err(errno.into()),
    };
    let listed = &wanted.changed;
    let Some(entry) = entry else {
        return Ok(if listed.kind == Kind::Deleted { Found::Deleted } else { Found::Other });
    };
    let stat = rustix::fs::fstat(&entry)?;
    let found = kind(&stat);
    match listed.kind {
        // A folder may stand where a file was.
        Kind::Deleted if found == Kind::Special => Ok(Found::Deleted),
        Kind::Deleted | Kind::Special => Ok(Found::Other),
        Kind::File { .. } | Kind::Symlink if found != listed.kind || stamp(&stat) != listed.stamp => {
            Ok(Found::Other)
        }
        Kind::Symlink => Ok(Found::Symlink(rustix::fs::readlinkat(&entry, "", Vec::new())?.into_bytes())),
        Kind::File { .. } => {
            // Leave to read changes the stamp; what it was before has just been compared.
            let leave = allow_owner(entry.as_fd(), &stat, 0o400)?;
            let stamp = if leave { stamp(&rustix::fs::fstat(&entry)?) } else { listed.stamp };
            let room = usize::try_from(wanted.bytes_max).map_or(bytes_max, |wanted| wanted.min(bytes_max));
            read(root, path, Listed { kind: listed.kind, stamp }, Range { offset: wanted.offset, room })
        }
    }
}

struct Listed {
    kind: Kind,
    stamp: Stamp,
}

struct Range {
    offset: u64,
    room: usize,
}

fn read(root: BorrowedFd<'_>, path: &Path, listed: Listed, range: Range) -> io::Result<Found> {
    let mut file = match beneath::open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW) {
        Ok(file) => File::from(file),
        Err(errno) if is_gone(errno) => return Ok(Found::Other),
        Err(errno) => return Err(errno.into()),
    };
    let as_listed = |file: &File| -> io::Result<bool> {
        let stat = rustix::fs::fstat(file)?;
        Ok(kind(&stat) == listed.kind && stamp(&stat) == listed.stamp)
    };
    if !as_listed(&file)? {
        return Ok(Found::Other);
    }
    file.seek(SeekFrom::Start(range.offset))?;
    let mut bytes = Vec::new();
    (&file).take(range.room as u64).read_to_end(&mut bytes)?;
    Ok(if as_listed(&file)? { Found::File { bytes, stamp: listed.stamp } } else { Found::Other })
}

/// Whether the path leads no longer, or not within bounds, to what it led to. All folders on its way were open when it was
/// listed, so one that is shut was shut since.
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
