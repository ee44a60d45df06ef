//! Decides which of the changed paths become part of a change, before anything is read.

mod collisions;
mod ignored;

use std::fmt;

use events::{ChangeList, ChangedKind, ChangedPath, PathError, RepoPath};

pub(crate) use collisions::Collisions;
pub(crate) use ignored::Ignored;

use crate::Error;
use crate::base_tree::{Manifest, Mode};

/// A larger file is a build product or a download; forges warn from 50 MiB and refuse at 100.
pub(crate) const FILE_BYTES_MAX: u64 = 10 << 20;
/// All files of a change together.
const CHANGE_BYTES_MAX: u64 = 200 << 20;
/// Nobody reviews a change of more files.
const CHANGE_PATHS_MAX: usize = 50_000;
/// More is not listed of what was left out: it is read by people and a model.
const SKIPPED_MAX: usize = 100;

/// A changed path that does not become part of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The path as text; what is not UTF-8 in it became U+FFFD.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

/// Why a changed path is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// git must not be given such a path.
    #[error("{0}")]
    Path(PathError),
    /// It belongs to a repository of its own, which was made inside the work tree.
    #[error("is part of a nested git repository's own data")]
    NestedGit,
    /// A new name with a newline, an escape or the like.
    #[error("has control characters in its name")]
    ControlCharacter,
    /// A submodule, or something in its folder: a change never moves it to another commit.
    #[error("belongs to a submodule")]
    Submodule,
    /// A device, socket or named pipe.
    #[error("is neither a file nor a symbolic link")]
    Special,
    /// More than 10 MiB.
    #[error("is larger than {} MiB", FILE_BYTES_MAX >> 20)]
    FileTooLarge,
    /// A link where git reads settings.
    #[error("must not be a symbolic link")]
    SettingsLink,
}

/// What is left of a list of changed paths.
#[derive(Debug, Default)]
pub(crate) struct Vetted<'a> {
    /// Part of the change, as listed.
    pub(crate) kept: Vec<(RepoPath, &'a ChangedPath)>,
    /// Not part of it; what was saved of them earlier stays as it is.
    pub(crate) held: Vec<RepoPath>,
    /// The same for people.
    pub(crate) skipped: Vec<Skipped>,
}

/// Sorts the paths of `list`. What an ignore rule covers is dropped without a word, unless the base holds it; so is what
/// is gone and was not in the base.
///
/// # Errors
/// [`Error::TooLarge`] when more was changed than a change may hold.
pub(crate) fn vet<'a>(
    list: &'a ChangeList,
    base: &Manifest,
    ignored: &mut Ignored,
) -> Result<Vetted<'a>, Error> {
    if list.truncated {
        return Err(Error::TooLarge { what: "more paths changed than can be listed".to_owned() });
    }
    let mut vetted = Vetted::default();
    let mut bytes = 0_u64;
    for changed in &list.paths {
        let path = match RepoPath::parse(&changed.path) {
            Ok(path) => path,
            Err(error) => {
                vetted.skip(&changed.path, of_path(error));
                continue;
            }
        };
        let tracked = base.get(path.as_bytes());
        // What setup added lies below the session's own changes: without it the tree is as the base has it.
        if tracked.is_none() && changed.kind == ChangedKind::Deleted {
            continue;
        }
        if tracked.is_none() && ignored.covers(&path, base) {
            continue;
        }
        let submodule = base.has_submodules() && in_submodule(&path, base);
        match reason_to_skip(changed, tracked.is_some(), submodule) {
            Some(reason) => {
                vetted.skip(&changed.path, reason);
                vetted.held.push(path);
            }
            None => {
                bytes += size(changed);
                vetted.kept.push((path, changed));
            }
        }
    }
    bounded(vetted.kept.len(), bytes)?;
    Ok(vetted)
}

impl Vetted<'_> {
    fn skip(&mut self, path: &[u8], reason: Reason) {
        // A nested repository has hundreds of files: one line for it is enough.
        let path = if reason == Reason::NestedGit { up_to_dot_git(path) } else { path };
        let skipped = Skipped { path: events::escape_control(&String::from_utf8_lossy(path)), reason };
        if self.skipped.len() < SKIPPED_MAX && self.skipped.last() != Some(&skipped) {
            self.skipped.push(skipped);
        }
    }
}

fn reason_to_skip(changed: &ChangedPath, tracked: bool, submodule: bool) -> Option<Reason> {
    if submodule {
        return Some(Reason::Submodule);
    }
    let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
    match changed.kind {
        ChangedKind::Special => Some(Reason::Special),
        ChangedKind::File { .. } | ChangedKind::Symlink
            if !tracked && changed.path.iter().any(is_control) =>
        {
            Some(Reason::ControlCharacter)
        }
        ChangedKind::File { bytes, .. } if bytes > FILE_BYTES_MAX => Some(Reason::FileTooLarge),
        ChangedKind::Symlink if changed.path.ends_with(b".gitmodules") => Some(Reason::SettingsLink),
        ChangedKind::File { .. } | ChangedKind::Symlink | ChangedKind::Deleted => None,
    }
}

fn of_path(error: PathError) -> Reason {
    match error {
        PathError::DotGit => Reason::NestedGit,
        PathError::Shape | PathError::Length | PathError::Dots | PathError::Nul => Reason::Path(error),
    }
}

/// Whether the path, or a folder it lies in, is a submodule of the base.
fn in_submodule(path: &RepoPath, base: &Manifest) -> bool {
    let is_submodule = |at: &[u8]| base.get(at).is_some_and(|object| object.mode == Mode::Submodule);
    folders(path.as_bytes()).any(is_submodule) || is_submodule(path.as_bytes())
}

/// The folders that `path` lies in, the outermost first.
pub(crate) fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(n, _)| &path[..n])
}

fn up_to_dot_git(path: &[u8]) -> &[u8] {
    let parts = folders(path).chain([path]);
    parts.into_iter().find(|part| RepoPath::parse(part).is_err()).unwrap_or(path)
}

fn size(changed: &ChangedPath) -> u64 {
    match changed.kind {
        ChangedKind::File { bytes, .. } => bytes,
        ChangedKind::Symlink | ChangedKind::Deleted | ChangedKind::Special => 0,
    }
}

fn bounded(paths: usize, bytes: u64) -> Result<(), Error> {
    if paths > CHANGE_PATHS_MAX {
        return Err(Error::TooLarge {
            what: format!("{paths} changed paths, at most {CHANGE_PATHS_MAX} are taken"),
        });
    }
    if bytes > CHANGE_BYTES_MAX {
        let (is, max) = (bytes >> 20, CHANGE_BYTES_MAX >> 20);
        return Err(Error::TooLarge {
            what: format!("{is} MiB in changed files, at most {max} MiB are taken"),
        });
    }
    Ok(())
}

/// A sentence: `PATH is larger than 10 MiB`.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.reason)
    }
}
