//! Looks after the disk that the changes of a sandbox lie on, where they do not lie in memory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::StatVfs;

use crate::Error;

/// How often the disk is looked at. A fast one takes a few GiB meanwhile, so the bound is a soft one.
const LOOK: Duration = Duration::from_secs(1);
/// What is left to this machine: so many bytes, or this part of a small disk.
const FREE_BYTES_MIN: u64 = 1 << 30;
const FREE_PART_MIN: u64 = 20;
/// This part of the file system's inodes is left to this machine, where it counts them.
const FREE_INODES_PART_MIN: u64 = 50;

/// The file system of a sandbox's changes.
pub(crate) struct Disk {
    place: PathBuf,
    /// With less than this left, the sandbox ends.
    pub(crate) free_bytes_min: u64,
}

impl Disk {
    /// The one below `place`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is nearly full already.
    pub(crate) fn of(place: &Path) -> Result<Self, Error> {
        let failed = |source| Error::System { doing: "look at the disk of a sandbox".to_owned(), source };
        let stat = rustix::fs::statvfs(place).map_err(|errno| failed(io::Error::from(errno)))?;
        let disk = Self { place: place.to_owned(), free_bytes_min: free_bytes_min(&stat) };
        if disk.is_short(&stat) {
            return Err(Error::Unavailable {
                reason: format!(
                    "the disk of {} is nearly full",
                    events::escape_control(&place.to_string_lossy())
                ),
                mend: "Make room there, or give backspace a BACKSPACE_HOME on another disk".to_owned(),
            });
        }
        Ok(disk)
    }

    /// Returns when little is left of it, with the words for that.
    pub(crate) async fn fills_up(self) -> String {
        loop {
            tokio::time::sleep(LOOK).await;
            // A disk that cannot be looked at is gone, and with it the sandbox.
            if rustix::fs::statvfs(&self.place).is_ok_and(|stat| self.is_short(&stat)) {
                return format!(
                    "the disk of its changes has less than {} MiB left",
                    self.free_bytes_min >> 20
                );
            }
        }
    }

    fn is_short(&self, stat: &StatVfs) -> bool {
        let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        bytes < self.free_bytes_min || stat.f_files > 0 && stat.f_favail < stat.f_files / FREE_INODES_PART_MIN
    }
}

fn free_bytes_min(stat: &StatVfs) -> u64 {
    FREE_BYTES_MIN.min(stat.f_blocks.saturating_mul(stat.f_frsize) / FREE_PART_MIN)
}
