//! Looks how much the changes of a sandbox take on a disk that nobody bounds, and ends the sandbox when it is too much.
//!
//! A command can write more than is allowed before the next look; how much is the machine's own speed.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use super::container::Size;
use crate::upper;

/// Between two looks at a small tree.
const PAUSE: Duration = Duration::from_secs(1);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// The deepest folder that is looked into; a command that digs deeper has other bounds.
const DEPTH_MAX: usize = 128;

/// Returns when `folders` hold more than `size_max` together, with the words for that.
pub(super) async fn outgrown(mut folders: Vec<OwnedFd>, size_max: Size) -> String {
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        let looked = tokio::task::spawn_blocking(move || {
            let grown = grew(&folders, size_max);
            (folders, grown)
        });
        let grown;
        (folders, grown) = match looked.await {
            Ok(looked) => looked,
            // It cannot be looked at any more.
            Err(error) => return format!("nobody can look at its changes ({error})"),
        };
        if grown {
            return format!(
                "its changes grew beyond {} MiB or {} files",
                size_max.bytes >> 20,
                size_max.files
            );
        }
        pause = PAUSE.max(begun.elapsed() * SHARE);
    }
}

/// Whether there is more below `folders` than is allowed. What cannot be looked at counts nothing.
fn grew(folders: &[OwnedFd], size_max: Size) -> bool {
    let mut left = size_max;
    !folders.iter().all(|folder| fits(folder.as_fd(), 0, &mut left))
}

fn fits(folder: BorrowedFd<'_>, depth: usize, left: &mut Size) -> bool {
    for name in upper::names(folder).unwrap_or_default() {
        let Ok(Some(stat)) = upper::look(folder, &name) else { continue };
        // Blocks of 512 bytes: what it takes, not how long it says it is.
        let taken = stat.st_blocks.unsigned_abs().saturating_mul(512);
        let (Some(files), Some(bytes)) = (left.files.checked_sub(1), left.bytes.checked_sub(taken)) else {
            return false;
        };
        *left = Size { files, bytes };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && depth < DEPTH_MAX
            && let Ok(Some(below)) = upper::open_upper(folder, &name, &stat)
            && !fits(below.as_fd(), depth + 1, left)
        {
            return false;
        }
    }
    true
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
        let grew = |bytes, files| grew(&folders, Size { bytes, files });
        assert!(!grew(1 << 20, 4));
        assert!(grew(1 << 20, 3), "four files and folders");
        assert!(grew(90_000, 4), "a hundred thousand bytes");
    }
}
