//! Keeps a mirror quick: gathers small packs, and removes what killed processes left.

use std::path::Path;
use std::time::Duration;

use tracing::warn;

use super::Mirror;
use crate::{Error, git, lock};

/// With more packs look-ups get slower; git's own bound for cleaning up.
const PACKS_MAX: usize = 50;
/// Loose objects in one of the 256 folders, so about 7,000 in all; git's own bound for cleaning up.
const LOOSE_PER_FOLDER_MAX: usize = 27;
/// No session lives as long: a half-written file of this age has no writer any more.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(24 * 3600);

impl Mirror {
    /// Gathers loose objects and small packs into few packs, when there are many. Nothing is lost by it, whether a
    /// ref leads to it or not.
    ///
    /// Every now and then this takes a while: the place for it is after a session's end.
    ///
    /// # Errors
    /// When git cannot be started.
    pub async fn tidy(&self) -> Result<(), Error> {
        if packs(&self.dir) <= PACKS_MAX && count(&self.dir, "17", "") <= LOOSE_PER_FOLDER_MAX {
            return Ok(());
        }
        let Some(held) = lock::try_exclusive(&self.dir.with_extension("lock"))? else { return Ok(()) };
        sweep(&self.dir.join("objects/pack"), |name| name.starts_with("tmp_") || name.ends_with(".keep"));
        sweep(&self.dir, |name| name.starts_with("fast_import_crash_"));
        let call = self.call("tidy the mirror", ["repack", "--geometric=2", "-d", "-q", "-n"]);
        let output = git::run(call.config("repack.writeBitmaps", "false").holding(&held)?).await?;
        if output.code != 0 {
            // It only gets slower; the next session tries again.
            warn!("The mirror {} could not be tidied: {}", self.dir.display(), output.said);
        }
        Ok(())
    }
}

/// How many packs the mirror in `dir` has.
pub(super) fn packs(dir: &Path) -> usize {
    count(dir, "pack", ".pack")
}

fn count(dir: &Path, folder: &str, end: &str) -> usize {
    let entries = std::fs::read_dir(dir.join("objects").join(folder)).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(end)).count()
}

/// Removes old files that only a killed process leaves. Packs marked `.keep` are those of a living one.
fn sweep(folder: &Path, is_left: impl Fn(&str) -> bool) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let changed = entry.metadata().and_then(|meta| meta.modified());
        let is_old = changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_BEHIND_AFTER));
        if is_old && is_left(&entry.file_name().to_string_lossy()) {
            let _gone = std::fs::remove_file(entry.path());
        }
    }
}
