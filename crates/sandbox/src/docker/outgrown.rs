//! Looks how much the changes of a sandbox take on a disk that nobody bounds, and ends the sandbox when it is too much.
//!
//! A command can write more than is allowed before the next look; how much is the machine's own speed. And what has no
//! name any more is not seen here: the free space of the disk is looked at as well, see [`crate::disk`].

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::container::Size;
use crate::upper;

/// Between two looks at a small tree.
const PAUSE: Duration = Duration::from_secs(1);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// Of the folders above the one that is looked into, so many are held open. What builds and installs lies no deeper, and may
/// move folders about while they are looked at; deeper ones are found again by the way up.
const HELD_MAX: usize = 128;
/// Looks in a row that may miss something. A folder can be shut, or go, while it is looked at; one that is never to be seen
/// could hide anything.
const UNSEEN_MAX: u32 = 5;

/// Returns when `folders` hold more than `size_max` together, or what nobody can look at, with the words for that.
pub(super) async fn outgrown(mut folders: Vec<OwnedFd>, size_max: Size) -> String {
    let (mut pause, mut unseen) = (PAUSE, 0);
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        let looked = tokio::task::spawn_blocking(move || {
            let found = look(&folders, size_max);
            (folders, found)
        });
        let found;
        (folders, found) = match looked.await {
            Ok(looked) => looked,
            Err(error) => return hidden(&error),
        };
        match found {
            Found::Little => unseen = 0,
            Found::Unseen(error) => {
                unseen += 1;
                if unseen == UNSEEN_MAX {
                    return hidden(&error);
                }
            }
            Found::TooMuch => {
                let (bytes, files) = (size_max.bytes >> 20, size_max.files);
                return format!("its changes grew beyond {bytes} MiB or {files} files");
            }
        }
        pause = PAUSE.max(begun.elapsed() * SHARE);
    }
}

fn hidden(error: &dyn std::error::Error) -> String {
    format!("nobody can look at its changes ({error})")
}

/// What a look finds.
#[derive(Debug)]
enum Found {
    /// As much as is allowed, or less.
    Little,
    /// That, but for what could not be looked at.
    Unseen(io::Error),
    TooMuch,
}

/// Looks at all that is below `folders`.
fn look(folders: &[OwnedFd], size_max: Size) -> Found {
    let mut look = Look { left: size_max, unseen: None };
    match folders.iter().try_for_each(|folder| look.tree(folder.as_fd())) {
        Ok(()) => look.unseen.map_or(Found::Little, Found::Unseen),
        Err(found) => found,
    }
}

struct Look {
    /// Of what is allowed.
    left: Size,
    /// Why something was not counted.
    unseen: Option<io::Error>,
}

/// A folder that was counted, and the names of those in it that were not yet.
struct Level {
    folder: OwnedFd,
    below: Vec<Vec<u8>>,
}

/// A folder above the one that is looked into.
struct Above {
    folder: Held,
    below: Vec<Vec<u8>>,
}

enum Held {
    Open(OwnedFd),
    /// Device and inode of one that is not.
    Left(u64, u64),
}

impl Look {
    /// Counts what is below a folder. However deep that is, it takes neither stack nor more than some descriptors.
    fn tree(&mut self, root: BorrowedFd<'_>) -> Result<(), Found> {
        let Some(root) = self.seen(root.try_clone_to_owned()) else { return Ok(()) };
        let mut here = self.level(root)?;
        let mut above: Vec<Above> = Vec::new();
        loop {
            if let Some(name) = here.below.pop() {
                let Some(folder) = self.seen(open(here.folder.as_fd(), &name)).flatten() else { continue };
                let Level { folder, below } = std::mem::replace(&mut here, self.level(folder)?);
                let held = if above.len() < HELD_MAX { Ok(Held::Open(folder)) } else { left(&folder) };
                let Some(folder) = self.seen(held) else { return Ok(()) };
                above.push(Above { folder, below });
                continue;
            }
            let Some(Above { folder, below }) = above.pop() else { return Ok(()) };
            // Who moved the folder meanwhile has what is left of the tree looked at another time.
            let Some(folder) = self.seen(again(folder, here.folder.as_fd())) else { return Ok(()) };
            here = Level { folder, below };
        }
    }

    /// Counts what is in a folder itself.
    fn level(&mut self, folder: OwnedFd) -> Result<Level, Found> {
        let mut below = Vec::new();
        for name in self.seen(upper::names(folder.as_fd())).unwrap_or_default() {
            let Some(stat) = self.seen(upper::look(folder.as_fd(), &name)).flatten() else { continue };
            // Blocks of 512 bytes: what it takes, not how long it says it is.
            let taken = stat.st_blocks.unsigned_abs().saturating_mul(512);
            let (Some(files), Some(bytes)) =
                (self.left.files.checked_sub(1), self.left.bytes.checked_sub(taken))
            else {
                return Err(Found::TooMuch);
            };
            self.left = Size { files, bytes };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                below.push(name);
            }
        }
        Ok(Level { folder, below })
    }

    /// What could be looked at. A folder that was removed meanwhile holds nothing.
    fn seen<T>(&mut self, result: io::Result<T>) -> Option<T> {
        result
            .map_err(|error| {
                if error.raw_os_error() != Some(Errno::NOENT.raw_os_error()) {
                    self.unseen = Some(error);
                }
            })
            .ok()
    }
}

/// Nothing when it has gone meanwhile, or is no folder any more.
fn open(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    match upper::look(parent, name)? {
        Some(stat) => upper::open_upper(parent, name, &stat),
        None => Ok(None),
    }
}

fn left(folder: &OwnedFd) -> io::Result<Held> {
    let stat = rustix::fs::fstat(folder)?;
    Ok(Held::Left(stat.st_dev, stat.st_ino))
}

/// Opens a folder again from one that was in it, when it still is.
fn again(folder: Held, below: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (device, inode) = match folder {
        Held::Open(folder) => return Ok(folder),
        Held::Left(device, inode) => (device, inode),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::openat(below, "..", flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&parent)?;
    if (stat.st_dev, stat.st_ino) == (device, inode) {
        Ok(parent)
    } else {
        Err(io::Error::other("a folder was moved while it was looked at"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_are_counted_as_deep_as_they_lie() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("f"), vec![b'x'; 100_000]).unwrap();
        // A hole takes nothing.
        std::fs::File::create(deep.join("hole")).unwrap().set_len(1 << 40).unwrap();
        let folders = [OwnedFd::from(std::fs::File::open(place.path()).unwrap())];
        let grew = |bytes, files| matches!(look(&folders, Size { bytes, files }), Found::TooMuch);
        assert!(!grew(1 << 20, 4));
        assert!(grew(1 << 20, 3), "four files and folders");
        assert!(grew(90_000, 4), "a hundred thousand bytes");
    }

    const PLENTY: Size = Size { bytes: 1 << 30, files: 10_000 };

    #[test]
    fn what_lies_deeper_than_there_are_descriptors_is_counted() {
        const DEPTH: u64 = 5000;
        // In memory: disks take their time.
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = OwnedFd::from(std::fs::File::open(place.path()).unwrap());
        let mut folder = root.try_clone().unwrap();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&folder, "d", Mode::RWXU).unwrap();
            // Counted on the way back.
            rustix::fs::mkdirat(&folder, "a", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&folder, "z", Mode::RWXU).unwrap();
            folder = rustix::fs::openat(&folder, "d", upper::FOLDER, Mode::empty()).unwrap();
        }
        let folders = [root];
        let found = look(&folders, Size { files: 3 * DEPTH, ..PLENTY });
        assert!(matches!(found, Found::Little), "{found:?}");
        let found = look(&folders, Size { files: 3 * DEPTH - 1, ..PLENTY });
        assert!(matches!(found, Found::TooMuch), "{found:?}");
        // The standard library's way holds a descriptor for each level.
        crate::removal::remove(place.path()).unwrap();
    }

    #[test]
    fn a_folder_is_found_again_where_it_was_and_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        std::fs::create_dir_all(path("a/b")).unwrap();
        let open = |name: &str| OwnedFd::from(std::fs::File::open(path(name)).unwrap());
        let (parent, below) = (open("a"), open("a/b"));
        let held = || left(&parent).unwrap();
        assert!(again(held(), below.as_fd()).is_ok());
        std::fs::rename(path("a/b"), path("b")).unwrap();
        assert!(again(held(), below.as_fd()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_be_looked_at_is_too_much() {
        // As a folder that is shut again and again: a file, whose names nobody can list.
        let shut = || vec![OwnedFd::from(tempfile::tempfile().unwrap())];
        assert!(matches!(look(&shut(), PLENTY), Found::Unseen(_)));
        let said = outgrown(shut(), PLENTY).await;
        assert_eq!(said, "nobody can look at its changes (Not a directory (os error 20))");
    }
}
