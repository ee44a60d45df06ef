//! Looks at what stands in a folder that others change all the while, and follows no link.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::protocol::laid::{Kind, Stamp};

/// A folder that is shut while it is looked at is opened again so often.
const ATTEMPTS_MAX: usize = 16;
/// How a folder is opened that is not looked into: whatever it allows.
const ENTRY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
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
    unless_gone(with_leave(folder, || rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)))
}

/// Nothing when it has gone meanwhile.
pub(crate) fn open_folder(parent: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<Option<OwnedFd>> {
    let open = |flags| {
        let opened = with_leave(parent, || rustix::fs::openat(parent, name, flags, Mode::empty()));
        unless_gone(opened)
    };
    if stat.st_mode & 0o500 != 0o500
        && let Some(folder) = open(ENTRY)?
    {
        allow_owner(folder.as_fd(), stat, 0o500)?;
    }
    for _ in 1..ATTEMPTS_MAX {
        match open(FOLDER) {
            Err(Errno::ACCESS) => {
                if let Some(folder) = open(ENTRY)? {
                    open_up(folder.as_fd())?;
                }
            }
            opened => return Ok(opened?),
        }
    }
    Ok(open(FOLDER)?)
}

pub(crate) fn names(folder: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in with_leave(folder, || Dir::read_from(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// Lets this process look into a folder that its owner may have shut.
fn open_up(folder: BorrowedFd<'_>) -> io::Result<()> {
    allow_owner(folder, &rustix::fs::fstat(folder)?, 0o500).map(drop)
}

/// Does `work`, which looks into `folder`. A command can shut that at any time, the work tree itself among them, so it is
/// opened as often as it takes, within reason.
fn with_leave<T>(folder: BorrowedFd<'_>, work: impl Fn() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    for _ in 1..ATTEMPTS_MAX {
        match work() {
            Err(Errno::ACCESS) if open_up(folder).is_ok() => {}
            done => return done,
        }
    }
    work()
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
