//! Looks at what stands in a folder that others change all the while, and follows no link.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::protocol::laid::{Kind, Stamp};

/// How a folder is opened.
pub(crate) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(crate) fn stamp(stat: &Stat) -> Stamp {
    let ctime_ns = i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
    Stamp { inode: stat.st_ino, ctime_ns }
}

/// What stands there. No folder is asked for.
pub(crate) fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File {
            executable: stat.st_mode & 0o100 != 0,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
        },
        FileType::Symlink => Kind::Symlink,
        FileType::Directory
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => Kind::Special,
    }
}

pub(crate) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Nothing when it has gone meanwhile.
pub(crate) fn at(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, Errno> {
    unless_gone(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))
}

/// Nothing when it has gone meanwhile.
pub(crate) fn open_folder(parent: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<Option<OwnedFd>> {
    if stat.st_mode & 0o500 != 0o500 {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Some(shut) = unless_gone(rustix::fs::openat(parent, name, flags, Mode::empty()))? {
            allow_owner(shut.as_fd(), stat, 0o500)?;
        }
    }
    Ok(unless_gone(rustix::fs::openat(parent, name, FOLDER, Mode::empty()))?)
}

pub(crate) fn names(folder: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

fn unless_gone<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Lets this process read what its owner may not, as `chmod 0` leaves it; tells whether it had to.
pub(crate) fn allow_owner(file: BorrowedFd<'_>, stat: &Stat, bits: u32) -> io::Result<bool> {
    if stat.st_mode & bits == bits {
        return Ok(false);
    }
    let mode = Permissions::from_mode((stat.st_mode | bits) & 0o7777);
    std::fs::set_permissions(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)?;
    Ok(true)
}

/// Whether an overlay hides what lies below this folder.
pub(crate) fn is_opaque(folder: &OwnedFd) -> io::Result<bool> {
    let mut value = [0; 2];
    match rustix::fs::fgetxattr(folder, "user.overlay.opaque", &mut value) {
        Ok(length) => Ok(value[..length] == *b"y"),
        // No such attribute, none at all on this file system, or a longer value, which is not the overlay's.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
