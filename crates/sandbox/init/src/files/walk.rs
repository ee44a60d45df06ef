//! The files below a folder as git would see them: `.gitignore` honoured, `.git` left out, no link followed.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::vec;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::confine::Tree;

/// Longer ones are no rules that somebody wrote; reading them would only cost memory.
const IGNORE_BYTES_MAX: u64 = 1 << 20;

/// Goes through the files and links below a folder, folder by folder, each in the order of names.
pub(super) struct Walk<'a> {
    tree: &'a Tree,
    open: Vec<Folder>,
    ignores: Vec<Ignores>,
}

/// A name found in a folder.
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) kind: FileType,
}

/// A folder that is gone through at the moment.
struct Folder {
    path: PathBuf,
    left: vec::IntoIter<Entry>,
    /// How many rules hold above it.
    ignores_above: usize,
}

/// The rules of one `.gitignore`.
struct Ignores {
    folder: PathBuf,
    rules: Gitignore,
}

impl<'a> Walk<'a> {
    /// Begins at the folder `start`, also when it is itself ignored: it was asked for. The rules of the folders above
    /// it, up to the work tree, hold below it as well.
    pub(super) fn new(tree: &'a Tree, start: &Path) -> Self {
        let mut walk = Self { tree, open: Vec::new(), ignores: Vec::new() };
        let above: Vec<&Path> = start.ancestors().skip(1).collect();
        for folder in above.into_iter().rev() {
            walk.take_rules(folder);
        }
        walk.enter(start.to_owned());
        walk
    }

    fn enter(&mut self, path: PathBuf) {
        // A folder that vanished or may not be read has nothing to show.
        let Ok(mut entries) = entries(self.tree, &path) else { return };
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let ignores_above = self.ignores.len();
        if entries.iter().any(|entry| entry.name == ".gitignore") {
            self.take_rules(&path);
        }
        self.open.push(Folder { path, left: entries.into_iter(), ignores_above });
    }

    /// Reads the rules of a folder. Like git, this follows no link here; a rule that is no glob is left out.
    fn take_rules(&mut self, folder: &Path) {
        let Ok((file, _)) = self.tree.file(&folder.join(".gitignore")) else { return };
        let mut bytes = Vec::new();
        if file.take(IGNORE_BYTES_MAX).read_to_end(&mut bytes).is_err() {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut builder = GitignoreBuilder::new(".");
        for line in text.trim_start_matches('\u{feff}').lines() {
            let _ = builder.add_line(None, line);
        }
        if let Ok(rules) = builder.build() {
            self.ignores.push(Ignores { folder: folder.to_owned(), rules });
        }
    }

    /// The nearest rule that speaks of a path decides.
    fn is_ignored(&self, path: &Path, kind: FileType) -> bool {
        let mut verdicts = self.ignores.iter().rev().filter_map(|ignores| {
            let relative = path.strip_prefix(&ignores.folder).ok()?;
            let verdict = ignores.rules.matched(relative, kind == FileType::Directory);
            if verdict.is_none() { None } else { Some(verdict.is_ignore()) }
        });
        verdicts.next().unwrap_or(false)
    }
}

impl Iterator for Walk<'_> {
    type Item = (PathBuf, FileType);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let folder = self.open.last_mut()?;
            let Some(Entry { name, kind }) = folder.left.next() else {
                self.ignores.truncate(folder.ignores_above);
                self.open.pop();
                continue;
            };
            let path = folder.path.join(&name);
            if name == OsStr::new(".git") || self.is_ignored(&path, kind) {
                continue;
            }
            if kind == FileType::Directory {
                self.enter(path);
            } else {
                return Some((path, kind));
            }
        }
    }
}

/// The names in a folder, unsorted, without the two that every folder has.
pub(super) fn entries(tree: &Tree, path: &Path) -> Result<Vec<Entry>, Errno> {
    let folder = tree.folder(path)?;
    let mut entries = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
        if name == "." || name == ".." {
            continue;
        }
        // Not every file system tells the type along with the name.
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let stat = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW);
            kind = stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode));
        }
        entries.push(Entry { name, kind });
    }
    Ok(entries)
}
