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
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let arguments = [&["-c", "user.name=x", "-c", "user.email=x"], arguments].concat();
        let done = Command::new("git").args(arguments).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A folder without links in its path, and an empty repository in it.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().canonicalize().unwrap();
        git(&place, &["init", "-q", "a"]);
        (folder, place)
    }

    fn reached(folder: &Path) -> Vec<PathBuf> {
        let mut reached = reached_from(folder).unwrap();
        reached.retain(|path| path.is_dir());
        reached.sort();
        reached.dedup();
        reached
    }

    #[test]
    fn what_is_reached_is_what_git_uses() {
        let (_folder, place) = world();
        let at = |names: &[&str]| names.iter().map(|name| place.join(name)).collect::<Vec<_>>();
        let alone = at(&["a/.git", "a/.git/objects", "a/.git/refs"]);
        assert_eq!(reached(&place.join("a")), alone);
        // The folder itself may be named, or be one without a work tree.
        assert_eq!(reached(&place.join("a/.git")), alone);
        git(&place.join("a"), &["commit", "-q", "--allow-empty", "-m", "x"]);
        git(&place.join("a"), &["worktree", "add", "-q", "../w"]);
        let worktree = [alone, at(&["a/.git/worktrees/w"])].concat();
        assert_eq!(reached(&place.join("w")), worktree);
        git(&place, &["clone", "-q", "--shared", "--bare", "a", "b.git"]);
        git(&place, &["clone", "-q", "--shared", "b.git", "c"]);
        let borrowing = at(&["a/.git/objects", "b.git/objects", "c/.git", "c/.git/objects", "c/.git/refs"]);
        assert_eq!(reached(&place.join("c")), borrowing);
    }

    #[test]
    fn files_that_are_links_count_by_what_they_lead_to() {
        let (_folder, place) = world();
        let private = place.join("private");
        fs::write(&private, "canary\n").unwrap();
        for name in ["packed-refs", "shallow", "info/grafts", "objects/info/alternates"] {
            let link = place.join("a/.git").join(name);
            symlink(&private, &link).unwrap();
            assert!(reached_from(&place.join("a")).unwrap().contains(&private), "{name}");
            fs::remove_file(link).unwrap();
        }
        assert!(!reached_from(&place.join("a")).unwrap().contains(&private));
    }

    #[test]
    fn what_cannot_be_followed_to_its_end_is_no_repository() {
        let (_folder, place) = world();
        let alternates = place.join("a/.git/objects/info/alternates");
        let refused = || reached_from(&place.join("a")).unwrap_err().to_string();
        fs::write(&alternates, "\"quoted\\n\"\n").unwrap();
        assert!(refused().contains("quoted"), "{}", refused());
        fs::write(&alternates, "x".repeat(100_000)).unwrap();
        assert!(refused().contains("too long"), "{}", refused());
        fs::remove_file(&alternates).unwrap();
        assert!(Command::new("mkfifo").arg(&alternates).status().unwrap().success());
        assert!(refused().contains("is none"), "{}", refused());
        fs::remove_file(&alternates).unwrap();
        // Each borrows from the next one.
        for number in 0..100 {
            let store = place.join(format!("s{number}/info"));
            fs::create_dir_all(&store).unwrap();
            fs::write(store.join("alternates"), format!("../s{}\n", number + 1)).unwrap();
        }
        fs::write(&alternates, format!("{}\n", place.join("s0").display())).unwrap();
        assert!(refused().contains("too many"), "{}", refused());
        fs::write(&alternates, "# nothing\n\n/nowhere\n").unwrap();
        assert!(reached_from(&place.join("a")).is_ok());
        fs::remove_file(place.join("a/.git/HEAD")).unwrap();
        assert_eq!(refused(), "there is no git repository");
    }

    #[test]
    fn a_push_is_refused_wherever_a_link_would_lead_it() {
        for link in [
            "refs/heads/x/y",
            "refs/heads/x",
            "refs/heads",
            "refs",
            "logs/refs/heads/x",
            "logs",
            "objects/pack",
        ] {
            let (_folder, place) = world();
            let dot_git = place.join("a/.git");
            assert!(refuse_links(&place.join("a"), "refs/heads/x/y").is_ok());
            let target = place.join("target");
            let link = dot_git.join(link);
            if link.exists() {
                fs::rename(&link, &target).unwrap();
            } else {
                fs::create_dir_all(link.parent().unwrap()).unwrap();
            }
            symlink(&target, &link).unwrap();
            let refused = refuse_links(&place.join("a"), "refs/heads/x/y").unwrap_err().to_string();
            assert!(refused.contains(&*link.to_string_lossy()), "{refused}");
        }
    }
}
