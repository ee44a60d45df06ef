//! Where git comes when it is asked for a repository on this machine: its files may lead anywhere, and were written by who
//! knows whom.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// A file that names other folders has a line or two, settings have many.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;
/// Files and folders of a repository that are looked at; `git gc` leaves few of any.
const ENTRIES_MAX: usize = 200_000;
/// The folders of a repository that are not looked at: nothing runs its hooks, submodules are repositories of their own, and
/// the others are not git's.
const NOT_READ: [&str; 4] = ["hooks", "modules", "lfs", "annex"];
/// The list of a reftable's files: of names, but git takes paths.
const TABLES: &str = "tables.list";
/// Where the settings of a repository stand.
const SETTINGS: [&str; 2] = ["config", "config.worktree"];
/// What a branch begins with that stands for another one.
const SYMBOLIC: &str = "ref:";

/// What git reads and writes when it is asked for the repository in `folder`, all links followed: its own folder, the one
/// that it shares with other work trees, every store that it borrows objects from, and whatever links in these lead to.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when it cannot be followed to its end; else what the system says, where there is no
/// repository.
pub fn reached_from(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut walk = Walk::default();
    for Places { own, common } in places(folder)? {
        for place in [own, common] {
            walk.repository(&place)?;
        }
    }
    walk.follow_all()?;
    Ok(walk.reached)
}

/// Refuses a push to `full_ref` that would be written elsewhere: git follows links, branches that stand for others, and paths
/// in its list of tables.
///
/// # Errors
/// [`Error::LeadsAway`] with the file that leads there.
pub(crate) fn refuse_links(folder: &Path, full_ref: &str) -> Result<(), Error> {
    let places =
        places(folder).map_err(|error| Error::system(format!("look at {}", folder.display()), error))?;
    let written = places.iter().flat_map(|Places { own, common }| {
        let of_the_ref = Path::new(full_ref).ancestors().filter(|path| !path.as_os_str().is_empty());
        of_the_ref
            .flat_map(|path| [common.join(path), common.join("logs").join(path)])
            .chain(["logs", "objects", "objects/pack", "reftable"].map(|name| common.join(name)))
            .chain([own.join("logs"), own.join("logs/HEAD")])
    });
    if let Some(link) = written.into_iter().find(|path| path.is_symlink()) {
        let what = format!("{} is a link, and a push would be written where it leads", link.display());
        return Err(Error::LeadsAway { what });
    }
    let leads_on = |path: &PathBuf| {
        let said = text(path).ok().flatten().unwrap_or_default();
        if path.ends_with(TABLES) { said.contains('/') } else { said.starts_with(SYMBOLIC) }
    };
    let mut noted = places.iter().flat_map(|Places { own, common }| {
        let tables = [own, common].map(|place| place.join("reftable").join(TABLES));
        [common.join(full_ref)].into_iter().chain(tables)
    });
    match noted.find(leads_on) {
        None => Ok(()),
        Some(file) => Err(Error::LeadsAway {
            what: format!("{} leads elsewhere, and a push would be written there", file.display()),
        }),
    }
}

/// The two folders of a repository; most have but one.
pub(crate) struct Places {
    /// What is this work tree's.
    pub(crate) own: PathBuf,
    /// What all work trees share.
    common: PathBuf,
}

/// The repositories that git may come to, in the order in which it tries the places (`enter_repo` in its `path.c`). It takes
/// the last of them for certain; those before have something that it may not take.
///
/// # Errors
/// When there is none that it takes for certain.
pub(crate) fn places(folder: &Path) -> io::Result<Vec<Places>> {
    let beside = |ending: &str| {
        let mut name = OsString::from(folder);
        name.push(ending);
        PathBuf::from(name)
    };
    let mut found = Vec::new();
    for place in [folder.join(".git"), folder.to_owned(), beside(".git/.git"), beside(".git")] {
        if place.is_file() || place.join("HEAD").symlink_metadata().is_ok() {
            let places = Places::at(&place)?;
            let is_certain = places.are_certain();
            found.push(places);
            if is_certain {
                return Ok(found);
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "there is no git repository"))
}

impl Places {
    /// Of the repository at `place`, a folder or the file that stands for one.
    fn at(place: &Path) -> io::Result<Self> {
        let own = match note(place)? {
            Some(note) => {
                let led = note.strip_prefix("gitdir: ");
                let led = led.ok_or_else(|| not_understood("its .git names no folder"))?;
                place.parent().unwrap_or(place).join(led)
            }
            None => place.to_owned(),
        };
        let own = own.canonicalize()?;
        let common = match note(&own.join("commondir"))? {
            Some(shared) => own.join(shared).canonicalize()?,
            None => own.clone(),
        };
        Ok(Self { own, common })
    }

    /// Whether git takes them, whichever version it is.
    fn are_certain(&self) -> bool {
        let head = self.own.join("HEAD");
        let is_oid =
            |text: &str| matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let says_one = match fs::read_link(&head) {
            Ok(target) => target.to_str().is_some_and(|target| target.starts_with("refs/")),
            Err(_) => note(&head)
                .is_ok_and(|head| head.is_some_and(|head| head.starts_with("ref: refs/") || is_oid(&head))),
        };
        // What is below can be looked up only by whoever may enter.
        let may_enter = |name: &str| self.common.join(name).join(".").is_dir();
        says_one && may_enter("refs") && may_enter("objects")
    }
}

/// What was come to, and what is still to be looked at. A list, since a chain of links may be long.
#[derive(Default)]
struct Walk {
    reached: BTreeSet<PathBuf>,
    entries: usize,
    folders: Vec<PathBuf>,
    /// Object stores whose lenders are not known yet.
    stores: Vec<PathBuf>,
    known_stores: BTreeSet<PathBuf>,
}

impl Walk {
    /// Looks at the folder of a repository.
    fn repository(&mut self, folder: &Path) -> io::Result<()> {
        self.reached.insert(folder.to_owned());
        for entry in fs::read_dir(folder)? {
            let (entry, name) = entry.map(|entry| (entry.file_type(), entry.file_name()))?;
            let (kind, path) = (entry?, folder.join(&name));
            if NOT_READ.iter().any(|other| name == *other) {
                continue;
            }
            if kind.is_symlink() {
                self.link(&path)?;
            } else if kind.is_dir() {
                self.folders.push(path);
            }
        }
        // Settings may stand anywhere, and what they come to tells what stands there.
        for settings in SETTINGS.map(|name| folder.join(name)) {
            if text(&settings)?.is_some_and(|text| text.to_ascii_lowercase().contains("[include")) {
                return Err(not_understood("its settings include others"));
            }
        }
        self.stores.push(folder.join("objects"));
        Ok(())
    }

    fn follow_all(&mut self) -> io::Result<()> {
        loop {
            if let Some(folder) = self.folders.pop() {
                self.folder(&folder)?;
            } else if let Some(store) = self.stores.pop() {
                self.store(&store)?;
            } else {
                return Ok(());
            }
        }
    }

    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(not_understood("it has too many files: `git gc` puts them together"));
            }
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                self.link(&entry.path())?;
            } else if kind.is_dir() {
                self.folders.push(entry.path());
            } else {
                self.file(folder, &entry.path())?;
            }
        }
        Ok(())
    }

    /// Takes in what a file in `folder` leads to.
    fn file(&mut self, folder: &Path, file: &Path) -> io::Result<()> {
        let of_a_work_tree = folder.parent().is_some_and(|parent| parent.ends_with("worktrees"));
        if of_a_work_tree && file.ends_with("commondir") {
            if let Some(shared) = note(file)? {
                self.reached.insert(folder.join(shared).canonicalize()?);
            }
        } else if file.ends_with(TABLES) {
            if text(file)?.is_some_and(|tables| tables.contains('/')) {
                return Err(not_understood("a list of tables in it holds paths"));
            }
        // Wherever it stands: a link may have led here from among the branches.
        } else if begins_symbolic(file)? {
            let stands_for = note(file)?.unwrap_or_default();
            let target = stands_for.trim_start_matches(SYMBOLIC).trim_start();
            if !target.starts_with("refs/") || target.contains("..") {
                return Err(not_understood("a branch in it stands for what is none"));
            }
        }
        Ok(())
    }

    /// Takes in what a link leads to.
    fn link(&mut self, link: &Path) -> io::Result<()> {
        match link.canonicalize() {
            Ok(target) => {
                let is_folder = target.is_dir();
                if self.reached.insert(target.clone()) && is_folder {
                    self.folders.push(target);
                }
                Ok(())
            }
            // So git once said which branch is the current one, whether that has a file or not.
            Err(_) if fs::read_link(link).is_ok_and(|target| target.starts_with("refs/")) => Ok(()),
            Err(_) => Err(not_understood("a link in it leads nowhere")),
        }
    }

    /// Takes in the stores that `store` borrows from.
    fn store(&mut self, store: &Path) -> io::Result<()> {
        let store = match store.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            store => store?,
        };
        if !self.known_stores.insert(store.clone()) {
            return Ok(());
        }
        let alternates = text(&store.join("info/alternates"))?.unwrap_or_default();
        // A carriage return belongs to the name.
        for line in alternates.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('"') {
                return Err(not_understood("it borrows objects from a folder whose name is quoted"));
            }
            let borrowed = match store.join(line).canonicalize() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                borrowed => borrowed?,
            };
            if self.reached.insert(borrowed.clone()) {
                self.folders.push(borrowed.clone());
            }
            self.stores.push(borrowed);
        }
        Ok(())
    }
}

/// Whether a file begins as a branch does that stands for another one.
fn begins_symbolic(file: &Path) -> io::Result<bool> {
    if !file.is_file() {
        return Ok(false);
    }
    let mut begin = Vec::new();
    fs::File::open(file)?.take(SYMBOLIC.len() as u64).read_to_end(&mut begin)?;
    Ok(begin == SYMBOLIC.as_bytes())
}

/// What a small file says, without the end of its last line; nothing when there is no such file.
fn note(path: &Path) -> io::Result<Option<String>> {
    if path.is_dir() {
        return Ok(None);
    }
    let mut note = text(path)?;
    if let Some(note) = &mut note {
        note.truncate(note.trim_end_matches(['\n', '\r']).len());
    }
    Ok(note)
}

fn text(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.is_file() => {}
        // Whoever opens a pipe waits.
        Ok(_) => return Err(not_understood("a file of its that names folders is none")),
        Err(error) => return Err(error),
    }
    let mut text = String::new();
    fs::File::open(path)?.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(not_understood("a file of its that names folders is too long"));
    }
    Ok(Some(text))
}

fn not_understood(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
