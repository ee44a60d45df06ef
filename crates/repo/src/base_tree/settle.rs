//! Gives a fresh checkout the permissions and times that it keeps.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::{Error, at};

/// The file beside the checkout with the time of its commit.
const FILE: &str = "committed-at";
/// How far back the times of files lie at least.
const PAST: Duration = Duration::from_secs(24 * 3600);

/// Notes the commit's time, as seconds after 1970, beside the checkout in `dir`.
pub(super) fn note_commit_time(dir: &Path, seconds: &str) -> Result<(), Error> {
    let file = dir.join(FILE);
    at("write", &file, fs::write(&file, seconds))
}

/// The commit's time; 0 when its author wrote nonsense.
pub(super) fn committed_at(dir: &Path) -> Result<u64, Error> {
    let file = dir.join(FILE);
    Ok(at("read", &file, fs::read_to_string(&file))?.trim().parse().unwrap_or(0))
}

/// Makes everything in `work` readable for another user, whatever this process's umask is, and as old as its commit.
///
/// The `git` inside takes a file for unchanged when size and second are those of its index: with times that lie in the
/// past, an edit in the very second of the checkout is still seen. Equal commits also get equal times on every machine.
pub(super) fn settle(work: &Path, committed_at_s: u64) -> Result<(), Error> {
    let made = at("look at", work, fs::metadata(work).and_then(|meta| meta.modified()))?;
    let latest = made.checked_sub(PAST).unwrap_or(UNIX_EPOCH);
    let wanted = UNIX_EPOCH.checked_add(Duration::from_secs(committed_at_s)).unwrap_or(latest);
    at("set times in", work, settle_folder(work, &times(wanted.min(latest))))
}

fn times(at: SystemTime) -> Timestamps {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// `git` refuses paths of more parts than the stack holds long before this does.
fn settle_folder(folder: &Path, times: &Timestamps) -> std::io::Result<()> {
    // Read to its end first: a deep tree would hold a descriptor open for every level.
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            settle_folder(&path, times)?;
            continue;
        }
        if kind.is_file() {
            let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
            fs::set_permissions(&path, Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
        }
        utimensat(CWD, &path, times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    Ok(utimensat(CWD, folder, times, AtFlags::SYMLINK_NOFOLLOW)?)
}
