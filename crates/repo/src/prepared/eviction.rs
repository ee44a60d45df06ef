//! Which prepared trees go when there are too many: those that were not used for the longest time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::warn;

use super::label::Label;
use super::used;
use crate::scratch::bury;
use crate::{Error, at};

/// A tree that nobody used for so long will not be used again: its lock files have changed.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Removes prepared trees of all mirrors below `home` until they take `bytes_max` at most; never one that is in use.
pub(super) fn make_room(home: &Path, scratch: &Path, bytes_max: u64) -> Result<(), Error> {
    let mut found = all(home)?;
    found.sort();
    let mut taken = found.iter().fold(0_u64, |sum, tree| sum.saturating_add(tree.taken));
    let old = SystemTime::now().checked_sub(AGE_MAX).unwrap_or(SystemTime::UNIX_EPOCH);
    for Found { used, taken: bytes, dir } in found {
        if taken <= bytes_max && used > old {
            break;
        }
        match bury(&dir, scratch) {
            Ok(true) => taken -= bytes,
            Ok(false) => {}
            Err(error) => warn!("The prepared tree {} cannot be removed: {error}", dir.display()),
        }
    }
    Ok(())
}

/// A prepared tree. The one that was used first is the least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    used: SystemTime,
    taken: u64,
    dir: PathBuf,
}

fn all(home: &Path) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for shelf in at("list", home, fs::read_dir(home))?.flatten() {
        let shelf = shelf.path();
        for entry in at("list", &shelf, fs::read_dir(&shelf))?.flatten() {
            let dir = entry.path();
            if dir.extension().is_none() {
                // One that cannot be read is of no use to anybody, and the first to go.
                let label = Label::read(&dir);
                let used = if label.is_some() { used(&dir) } else { SystemTime::UNIX_EPOCH };
                found.push(Found { used, taken: label.map_or(0, |label| label.taken()), dir });
            }
        }
    }
    Ok(found)
}
