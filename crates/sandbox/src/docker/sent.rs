//! Sends a work tree to process 1, and hears from it what became of it.
//!
//! What it says is believed only in so far as it cannot harm: it could say no more than what a command could have
//! written. So its lists are bounded and its paths are looked at, and the rest is the business of whoever commits them.

mod export;

use std::time::Duration;

use backspace_init::pack::Pack;
use backspace_init::protocol::laid::{
    ADDED_DEPTH_MAX, Changed, Found, Kind, PIECE_BYTES_MAX, Piece, Place, Stamp, Wanted,
};
use backspace_init::protocol::{Ask, Said};
use events::{ChangeList, ChangedKind, ChangedPath, Content};
use tokio::sync::mpsc;

use crate::calls::Calls;
use crate::{Error, HomeFile, upper};

pub(super) use export::export;

/// A load of files is laid in milliseconds, a list of a large tree made in some hundreds of them.
const PATIENCE: Duration = Duration::from_secs(120);
/// A path of the deepest folders that process 1 lists, with the longest names that there are. The kernel takes no such path
/// in one call, but a command can make it part by part.
const PATH_BYTES_MAX: usize = (ADDED_DEPTH_MAX + 2) * (NAME_BYTES_MAX + 1);
const NAME_BYTES_MAX: usize = 255;
/// The kernel makes no link to a longer one.
const TARGET_BYTES_MAX: usize = 4096;
const HOME_FILE_MODE: u32 = 0o644;
const LAY: &str = "lay a work tree inside";
/// Loads that were read and not sent yet.
const LOADS_MAX: usize = 2;

/// Sends `packs` as the work tree and the home folder, and `files` into the home folder.
pub(super) async fn lay(calls: &Calls, packs: [Pack; 2], files: &[HomeFile]) -> Result<(), Error> {
    let [work, mut home] = packs;
    // The policy's take the place of whatever setup left there or in their way.
    home.leave_out(&files.iter().map(|file| file.path.as_bytes()).collect::<Vec<_>>());
    lay_one(calls, Place::Work, work).await?;
    lay_one(calls, Place::Home, home).await?;
    let file = |HomeFile { path, content }: &HomeFile| Piece::File {
        path: path.clone().into_bytes(),
        mode: HOME_FILE_MODE,
        modified: (0, 0),
        bytes: content.clone(),
    };
    done(calls, Ask::Lay(Place::Home, files.iter().map(file).collect()), LAY).await?;
    done(calls, Ask::Seal, LAY).await
}

async fn lay_one(calls: &Calls, place: Place, mut pack: Pack) -> Result<(), Error> {
    let (sender, mut loads) = mpsc::channel(LOADS_MAX);
    let reading = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        loop {
            let load = pack.load()?;
            let last = load.is_empty();
            // When nobody takes it, the one who should has found another fault.
            if sender.blocking_send(load).is_err() || last {
                return Ok(());
            }
        }
    });
    while let Some(load) = loads.recv().await {
        done(calls, Ask::Lay(place, load), LAY).await?;
    }
    let read = reading.await.map_err(std::io::Error::other).and_then(|read| read);
    read.map_err(|source| Error::System { doing: "read a base tree".to_owned(), source })
}

async fn done(calls: &Calls, what: Ask, doing: &'static str) -> Result<(), Error> {
    let said = ask(calls, what, doing).await?;
    if said == Said::Done { Ok(()) } else { Err(calls.answered_wrongly()) }
}

/// Asks; what the system inside refused is an error.
async fn ask(calls: &Calls, what: Ask, doing: &'static str) -> Result<Said, Error> {
    let said = calls.ask(what, PATIENCE).await?;
    if let Said::Failed(errno) = said {
        let source = std::io::Error::from_raw_os_error(errno);
        return Err(Error::System { doing: doing.to_owned(), source });
    }
    Ok(said)
}

/// See [`crate::Sandbox::changes`].
pub(super) async fn changes(calls: &Calls) -> Result<ChangeList, Error> {
    let said = ask(calls, Ask::Changes, "list what changed in a sandbox").await?;
    let Said::Changes(told) = said else { return Err(calls.answered_wrongly()) };
    let sorted = told.paths.is_sorted_by(|a, b| a.path < b.path);
    if !sorted || !told.paths.iter().all(|changed| is_path(&changed.path)) {
        return Err(calls.answered_wrongly());
    }
    let truncated = told.truncated || told.paths.len() > upper::PATHS_MAX;
    let paths = told.paths.into_iter().take(upper::PATHS_MAX).map(listed).collect();
    Ok(ChangeList { paths, truncated })
}

/// Whether it could be the path of a file of the work tree.
fn is_path(path: &[u8]) -> bool {
    let mut parts = path.split(|byte| *byte == b'/');
    let odd = |part: &[u8]| part.is_empty() || part == b"." || part == b".." || part.contains(&0);
    path.len() <= PATH_BYTES_MAX && !parts.any(odd)
}

fn listed(Changed { path, kind, stamp }: Changed) -> ChangedPath {
    let kind = match kind {
        Kind::File { executable, bytes } => ChangedKind::File { executable, bytes },
        Kind::Symlink => ChangedKind::Symlink,
        Kind::Deleted => ChangedKind::Deleted,
        Kind::Special => ChangedKind::Special,
    };
    let Stamp { inode, ctime_ns } = stamp;
    ChangedPath { path, kind, stamp: events::Stamp { inode, ctime_ns } }
}

fn told(ChangedPath { path, kind, stamp }: &ChangedPath) -> Changed {
    let kind = match *kind {
        ChangedKind::File { executable, bytes } => Kind::File { executable, bytes },
        ChangedKind::Symlink => Kind::Symlink,
        ChangedKind::Deleted => Kind::Deleted,
        ChangedKind::Special => Kind::Special,
    };
    Changed { path: path.clone(), kind, stamp: Stamp { inode: stamp.inode, ctime_ns: stamp.ctime_ns } }
}

/// See [`crate::Sandbox::content`].
pub(super) async fn content(calls: &Calls, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error> {
    let mut changed = told(path);
    let mut all = Vec::new();
    loop {
        let (offset, wanted) =
            (all.len() as u64, bytes_max.saturating_sub(all.len() as u64).min(PIECE_BYTES_MAX as u64));
        let what = Ask::Content(Wanted { changed: changed.clone(), offset, bytes_max: wanted });
        let said = ask(calls, what, "read a changed file of a sandbox").await?;
        let Said::Content(found) = said else { return Err(calls.answered_wrongly()) };
        match (found, path.kind) {
            (Found::Other, _) => return Err(Error::Changed),
            (Found::Deleted, ChangedKind::Deleted) => return Ok(Content::Deleted),
            (Found::Symlink(target), ChangedKind::Symlink) if target.len() <= TARGET_BYTES_MAX => {
                return Ok(Content::Symlink(target));
            }
            (Found::File { bytes, stamp }, ChangedKind::File { executable, .. })
                if bytes.len() as u64 <= wanted =>
            {
                let last = bytes.len() < PIECE_BYTES_MAX;
                all.extend(bytes);
                changed.stamp = stamp;
                if last || all.len() as u64 == bytes_max {
                    return Ok(Content::File { executable, bytes: all });
                }
            }
            (Found::Deleted | Found::Symlink(_) | Found::File { .. }, _) => {
                return Err(calls.answered_wrongly());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_a_work_tree_are_taken() {
        for path in ["a", "a/b", ".gitignore", "a/..b", "\n", "a\\b"] {
            assert!(is_path(path.as_bytes()), "{path:?}");
        }
        let long = format!("{}x", "x/".repeat(PATH_BYTES_MAX / 2));
        assert!(is_path(&long.as_bytes()[2..]));
        for path in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a\0b", &long] {
            assert!(!is_path(path.as_bytes()), "{path:?}");
        }
    }
}
