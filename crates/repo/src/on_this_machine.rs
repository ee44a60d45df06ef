//! Where git comes when it is asked for a repository on this machine: its files may lead anywhere, and were written by who
//! knows whom.

use std::fs;
use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// A file that names other folders has a line or two.
const NOTE_BYTES_MAX: u64 = 64 * 1024;
/// More object stores than this, one behind the other, are nobody's who means well. git itself follows five.
const STORES_MAX: usize = 64;

/// Files that git repeats a line of when it does not understand them, by their places in a repository.
const REPEATED: &[&str] = &["HEAD", "packed-refs", "shallow", "config", "config.worktree", "info/grafts"];

/// What git reads and writes when it is asked for the repository in `folder`, with all links followed: its own folder, the
/// one that it shares with other work trees, its refs, its objects and every store that these borrow from, and the files
/// that it could repeat.
///
/// # Errors
/// When there is no repository, or when what it names cannot be read.
pub fn reached_from(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Places { own, common } = Places::of(folder)?;
    let refs = common.join("refs").canonicalize()?;
    let mut stores = vec![common.join("objects").canonicalize()?];
    let mut looked_at = 0;
    while let Some(store) = stores.get(looked_at).cloned() {
        let borrowed = alternates(&store)?;
        stores.extend(borrowed.into_iter().filter(|store| !stores.contains(store)).collect::<Vec<_>>());
        if stores.len() > STORES_MAX {
            return Err(not_understood("it borrows objects from too many others"));
        }
        looked_at += 1;
    }
    let of_stores = stores.iter().map(|store| store.join("info/alternates"));
    let files = REPEATED.iter().flat_map(|name| [own.join(name), common.join(name)]).chain(of_stores);
    let files = files.filter_map(|file| file.canonicalize().ok()).collect::<Vec<_>>();
    Ok([own, common, refs].into_iter().chain(stores).chain(files).collect())
}

/// Refuses a push to `full_ref` that would be written where a link leads: git follows them.
///
/// # Errors
/// [`Error::Unfit`] with the link.
pub(crate) fn refuse_links(folder: &Path, full_ref: &str) -> Result<(), Error> {
    let doing = || format!("look at {}", folder.display());
    let Places { own, common } = Places::of(folder).map_err(|error| Error::system(doing(), error))?;
    let of_the_ref = Path::new(full_ref).ancestors().filter(|path| !path.as_os_str().is_empty());
    let written: Vec<PathBuf> = of_the_ref
        .flat_map(|path| [common.join(path), common.join("logs").join(path)])
        .chain(["logs", "objects", "objects/pack", "reftable"].map(|name| common.join(name)))
        .chain([own.join("logs"), own.join("logs/HEAD")])
        .collect();
    match written.iter().find(|path| path.is_symlink()) {
        None => Ok(()),
        Some(link) => Err(Error::Unfit {
            what: format!("{} is a link, and a push would be written where it leads", link.display()),
        }),
    }
}

/// The two folders of a repository; most have but one.
struct Places {
    own: PathBuf,
    common: PathBuf,
}

impl Places {
    /// As git finds them, without its further guesses by endings of the name.
    fn of(folder: &Path) -> io::Result<Self> {
        let dot_git = folder.join(".git");
        let own = match fs::metadata(&dot_git) {
            Ok(metadata) if metadata.is_file() => {
                let note = note(&dot_git)?.unwrap_or_default();
                let led = note.strip_prefix("gitdir: ");
                folder.join(led.ok_or_else(|| not_understood("its .git names no folder"))?)
            }
            Ok(_) => dot_git,
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder.to_owned(),
            Err(error) => return Err(error),
        };
        let own = own.canonicalize()?;
        let common = match note(&own.join("commondir"))? {
            Some(shared) => own.join(shared).canonicalize()?,
            None => own.clone(),
        };
        // Without these git would look elsewhere.
        if own.join("HEAD").exists() && common.join("refs").is_dir() && common.join("objects").is_dir() {
            Ok(Self { own, common })
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, "there is no git repository"))
        }
    }
}

/// The object stores that `store` borrows from, as far as they are there.
fn alternates(store: &Path) -> io::Result<Vec<PathBuf>> {
    let note = note(&store.join("info/alternates"))?.unwrap_or_default();
    let mut borrowed = Vec::new();
    for line in note.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('"') {
            return Err(not_understood("it borrows objects from a folder whose name is quoted"));
        }
        match store.join(line).canonicalize() {
            Ok(path) => borrowed.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(borrowed)
}

/// What a small file says, without the end of its last line; nothing when there is none.
fn note(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.is_file() => {}
        // Whoever opens a pipe waits.
        Ok(_) => return Err(not_understood("a file of its that names folders is none")),
        Err(error) => return Err(error),
    }
    let mut text = String::new();
    fs::File::open(path)?.take(NOTE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > NOTE_BYTES_MAX {
        return Err(not_understood("a file of its that names folders is too long"));
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(Some(text))
}

fn not_understood(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
