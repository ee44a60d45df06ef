//! What a base tree holds, as git lists it, for looking up paths without asking git.

use std::path::Path;

use events::Oid;

use crate::{Error, at};

/// The file beside the checkout.
const FILE: &str = "manifest";
/// Some two million paths. More cannot be worked with.
pub(super) const BYTES_MAX: usize = 256 << 20;

/// What git holds at a path: a mode and the name of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) mode: Mode,
    pub(crate) oid: Oid,
}

/// The modes that git knows for what is not a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    File,
    Executable,
    Symlink,
    /// A commit of another repository.
    Submodule,
}

impl Mode {
    /// As git writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }

    /// Old trees hold files with other permissions; git has known only these two for long.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"120000" => Some(Self::Symlink),
            b"160000" => Some(Self::Submodule),
            b"100755" => Some(Self::Executable),
            _ if text.starts_with(b"100") => Some(Self::File),
            _ => None,
        }
    }
}

/// The paths of a commit in the order of their bytes, and what stands at each.
#[derive(Debug)]
pub(crate) struct Manifest {
    listing: Vec<u8>,
    /// Where each entry and its path begin; the next entry's beginning is its end.
    entries: Vec<(usize, usize)>,
    has_submodules: bool,
}

impl Manifest {
    /// Keeps what `git ls-tree -r -z` printed in the folder of a base tree.
    pub(super) fn write(dir: &Path, listing: &[u8]) -> Result<(), Error> {
        let file = dir.join(FILE);
        at("write", &file, std::fs::write(&file, listing))
    }

    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let file = dir.join(FILE);
        Ok(Self::parse(at("read", &file, std::fs::read(&file))?))
    }

    /// Takes lines `MODE TYPE OID TAB PATH NUL`.
    pub(crate) fn parse(listing: Vec<u8>) -> Self {
        let mut entries = Vec::new();
        let mut begin = 0;
        for line in listing.split_inclusive(|byte| *byte == 0) {
            if let Some(tab) = line.iter().position(|byte| *byte == b'\t') {
                entries.push((begin, begin + tab + 1));
            }
            begin += line.len();
        }
        let mut manifest = Self { listing, entries, has_submodules: false };
        manifest.has_submodules =
            manifest.entries.iter().any(|(begin, _)| manifest.listing[*begin..].starts_with(b"160000"));
        manifest
    }

    pub(crate) fn has_submodules(&self) -> bool {
        self.has_submodules
    }

    /// What stands at `path`; nothing also where there is a folder.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Object> {
        let n = self.entries.binary_search_by(|entry| self.path(entry).cmp(path)).ok()?;
        let (begin, path_begin) = self.entries[n];
        let mut words = self.listing[begin..path_begin - 1].split(|byte| *byte == b' ');
        let mode = Mode::parse(words.next()?)?;
        let oid = std::str::from_utf8(words.nth(1)?).ok()?.parse().ok()?;
        Some(Object { mode, oid })
    }

    /// The paths of everything below the folder `dir` (of everything, when it is empty), in order.
    pub(crate) fn below(&self, dir: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut prefix = dir.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let first = self.entries.partition_point(|entry| self.path(entry) < prefix.as_slice());
        self.entries[first..]
            .iter()
            .map(|entry| self.path(entry))
            .take_while(move |path| path.starts_with(&prefix))
    }

    /// The names directly in the folder `dir`, without walking through the folders in it.
    pub(crate) fn names(&self, dir: &[u8]) -> Vec<&[u8]> {
        let skip = if dir.is_empty() { 0 } else { dir.len() + 1 };
        let mut names: Vec<&[u8]> = Vec::new();
        let mut rest = self.below(dir).next().map_or(self.entries.len(), |first| self.place(first));
        while let Some(path) = self.entries.get(rest).map(|entry| self.path(entry)) {
            if skip > 0 && !(path.starts_with(dir) && path.get(skip - 1) == Some(&b'/')) {
                break;
            }
            let name = path[skip..].split(|byte| *byte == b'/').next().unwrap_or_default();
            names.push(name);
            // Behind everything below the name: `0` is the byte after `/`.
            let mut after = path[..skip + name.len()].to_vec();
            after.push(if path.len() > after.len() { b'/' + 1 } else { 0 });
            rest += self.entries[rest..].partition_point(|entry| self.path(entry) < after.as_slice());
        }
        names
    }

    fn place(&self, path: &[u8]) -> usize {
        self.entries.partition_point(|entry| self.path(entry) < path)
    }

    fn path(&self, entry: &(usize, usize)) -> &[u8] {
        let rest = &self.listing[entry.1..];
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(paths: &[&str]) -> Manifest {
        let oid = "a".repeat(40);
        let mut sorted = paths.to_vec();
        sorted.sort_unstable();
        Manifest::parse(
            sorted.iter().flat_map(|path| format!("100644 blob {oid}\t{path}\0").into_bytes()).collect(),
        )
    }

    #[test]
    fn paths_are_found_and_folders_are_not() {
        let manifest = manifest(&["a", "a-b", "b/c", "b/d/e", "b.txt", "c"]);
        assert_eq!(manifest.get(b"b/d/e").unwrap().mode, Mode::File);
        assert_eq!(manifest.get(b"b"), None);
        assert_eq!(manifest.below(b"b").collect::<Vec<_>>(), [b"b/c".as_slice(), b"b/d/e"]);
        assert_eq!(manifest.below(b"a").count(), 0);
    }

    #[test]
    fn names_of_a_folder_come_once_each() {
        let manifest = manifest(&["a", "a-b", "b/c", "b/d/e", "b/d/f", "b.txt", "b0", "c"]);
        let names = |dir: &str| -> Vec<String> {
            manifest
                .names(dir.as_bytes())
                .iter()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect()
        };
        assert_eq!(names(""), ["a", "a-b", "b.txt", "b", "b0", "c"]);
        assert_eq!(names("b"), ["c", "d"]);
        assert!(names("x").is_empty());
    }
}
