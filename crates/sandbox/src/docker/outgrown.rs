//! Looks how much the changes of a sandbox take on a disk that nobody bounds, and ends the sandbox when it is too much.
//!
//! A command can write more than is allowed before the next look; how much is the machine's own speed. And what has no
//! name any more is not seen here: the free space of the disk is looked at as well, see [`crate::disk`].

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::container::Size;
use crate::upper;

/// Between two looks at a small tree.
const PAUSE: Duration = Duration::from_secs(1);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// The deepest folder that is looked into: every level holds a descriptor open. What lies deeper could be of any size, so
/// nothing may. Git takes no path as deep as that, and what installs dependencies stays far above.
const DEPTH_MAX: usize = 128;
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
            Found::TooDeep => return format!("its changes lie more than {DEPTH_MAX} folders deep"),
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
    TooDeep,
}

/// Looks at all that is below `folders`.
fn look(folders: &[OwnedFd], size_max: Size) -> Found {
    let mut look = Look { left: size_max, unseen: None };
    let all = folders.iter().try_for_each(|folder| {
        // Whoever owns them inside can shut these two as well.
        look.seen(open_again(folder.as_fd()));
        look.folder(folder.as_fd(), 1)
    });
    match all {
        Ok(()) => look.unseen.map_or(Found::Little, Found::Unseen),
        Err(found) => found,
    }
}

fn open_again(folder: BorrowedFd<'_>) -> io::Result<()> {
    let stat = rustix::fs::fstat(folder)?;
    upper::allow_owner(folder, &stat, 0o500).map(drop)
}

struct Look {
    /// Of what is allowed.
    left: Size,
    /// Why something was not counted.
    unseen: Option<io::Error>,
}

impl Look {
    /// Counts what is in a folder whose names lie `depth` deep.
    fn folder(&mut self, folder: BorrowedFd<'_>, depth: usize) -> Result<(), Found> {
        for name in self.seen(upper::names(folder)).unwrap_or_default() {
            let Some(stat) = self.seen(upper::look(folder, &name)).flatten() else { continue };
            // Blocks of 512 bytes: what it takes, not how long it says it is.
            let taken = stat.st_blocks.unsigned_abs().saturating_mul(512);
            let (Some(files), Some(bytes)) =
                (self.left.files.checked_sub(1), self.left.bytes.checked_sub(taken))
            else {
                return Err(Found::TooMuch);
            };
            self.left = Size { files, bytes };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                continue;
            }
            if depth > DEPTH_MAX {
                return Err(Found::TooDeep);
            }
            if let Some(below) = self.seen(upper::open_upper(folder, &name, &stat)).flatten() {
                self.folder(below.as_fd(), depth + 1)?;
            }
        }
        Ok(())
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
    fn what_lies_too_deep_to_look_at_is_too_much() {
        let place = tempfile::tempdir().unwrap();
        let folders = [OwnedFd::from(std::fs::File::open(place.path()).unwrap())];
        let deepest: std::path::PathBuf = std::iter::repeat_n("d", DEPTH_MAX).collect();
        let deepest = place.path().join(deepest);
        std::fs::create_dir_all(&deepest).unwrap();
        std::fs::write(deepest.join("f"), "x").unwrap();
        assert!(matches!(look(&folders, PLENTY), Found::Little));
        let all_but_one = look(&folders, Size { files: 128, ..PLENTY });
        assert!(matches!(all_but_one, Found::TooMuch), "the deepest file is counted: {all_but_one:?}");
        std::fs::create_dir(deepest.join("d")).unwrap();
        let found = look(&folders, PLENTY);
        assert!(matches!(found, Found::TooDeep), "{found:?}");
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
