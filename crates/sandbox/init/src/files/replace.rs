//! Puts new content at a place in one step: whoever looks sees the old file or the new one, whole.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::Refusal;
use super::confine::{Place, Tree, trouble};

/// What git gives a file that is not executable.
const MODE_NEW: u32 = 0o644;
/// What the system's usual mask leaves of a new folder's mode.
const MODE_FOLDER: u32 = 0o755;
/// Of a mode, what a file keeps: permissions and the three bits above them.
const MODE_KEPT: u32 = 0o7777;
/// A name that is taken is a stray of somebody; so many strays in a row are no accident.
const NAMES_TRIED_MAX: usize = 100;

/// Writes `bytes` to `place`. With `before`, what stands there must still be that file, and its mode is kept; without,
/// nothing may stand there, and missing folders are made.
pub(super) fn replace(
    tree: &Tree,
    asked: &str,
    place: &Place,
    bytes: &[u8],
    before: Option<&Stat>,
) -> Result<(), Refusal> {
    let (Some(parent), Some(name)) = (place.path.parent(), place.path.file_name()) else {
        return Err(trouble(asked, Errno::ISDIR));
    };
    let put = || -> Result<(), Errno> {
        if before.is_none() {
            make_folders(tree, parent)?;
        }
        let folder = tree.folder(parent)?;
        let (temporary, file) = create_beside(&folder)?;
        let done =
            fill(file, bytes, before).and_then(|()| settle(&folder, &temporary, Path::new(name), before));
        if done.is_err() {
            // Nothing more can be done when this fails too; the first failure is the one to tell.
            let _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
        }
        done
    };
    put().map_err(|errno| match errno {
        Errno::STALE => Refusal(format!(
            "{asked} was changed by something else meanwhile. Nothing was done: read it again."
        )),
        Errno::EXIST => Refusal(format!(
            "{asked} was created by something else meanwhile. Nothing was done: read it first."
        )),
        other => trouble(asked, other),
    })
}

/// Makes the folders of `path` that are missing. Each is opened before the next is made in it, so that a link put in
/// between leads nowhere.
fn make_folders(tree: &Tree, path: &Path) -> Result<(), Errno> {
    let folders: Vec<&Path> = path.ancestors().collect();
    for pair in folders.windows(2).rev() {
        let (&[folder, parent], Some(name)) = (pair, pair[0].file_name()) else { continue };
        match tree.folder(folder) {
            Err(Errno::NOENT) => {}
            Ok(_) => continue,
            Err(errno) => return Err(errno),
        }
        match rustix::fs::mkdirat(tree.folder(parent)?, name, Mode::from_raw_mode(MODE_FOLDER)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A new file beside the one to be replaced, so that a rename suffices.
fn create_beside(folder: &OwnedFd) -> Result<(String, File), Errno> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..NAMES_TRIED_MAX {
        let name = format!(".backspace-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        match rustix::fs::openat(folder, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => return Ok((name, File::from(fd))),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}

fn fill(mut file: File, bytes: &[u8], before: Option<&Stat>) -> Result<(), Errno> {
    file.write_all(bytes).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let mode = before.map_or(MODE_NEW, |stat| stat.st_mode & MODE_KEPT);
    rustix::fs::fchmod(file.as_fd(), Mode::from_raw_mode(mode))
}

/// Gives the new file its name. A rename replaces a link that was put there meanwhile; it never follows one.
fn settle(folder: &OwnedFd, temporary: &str, name: &Path, before: Option<&Stat>) -> Result<(), Errno> {
    let Some(before) = before else {
        return match rustix::fs::renameat_with(folder, temporary, folder, name, RenameFlags::NOREPLACE) {
            // Not every file system knows this flag; every one knows hard links or is not for us.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(folder, temporary, folder, name, AtFlags::empty())?;
                rustix::fs::unlinkat(folder, temporary, AtFlags::empty())
            }
            settled => settled,
        };
    };
    let now = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Errno::STALE)?;
    if identity(&now) != identity(before) {
        return Err(Errno::STALE);
    }
    rustix::fs::renameat(folder, temporary, folder, name)
}

/// What differs as soon as somebody else wrote or replaced the file.
fn identity(stat: &Stat) -> impl PartialEq {
    (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
}
