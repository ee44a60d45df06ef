//! The files that a setup is shown in the place of the whole work tree, so that what it adds holds for other commits too.
//!
//! Settings, scripts, variables and modules of a repository can make an installer run or fetch whatever they name, in more
//! ways than anybody could list. So it is shown nothing but the files that other commits must have as well: what a commit
//! hides anywhere else is not there, and is in no tree that another commit finds.

mod stubs;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use repo::BaseTree;

use super::Recipe;
use super::known::{KNOWN, Known};

/// A project with more files of the names that an installation reads is set up for one commit alone.
const FILES_MAX: usize = 500;
/// So is one whose files of such names are longer, all together: they are held in memory.
const BYTES_MAX: u64 = 16 << 20;
/// No file may be run, whatever it is in the repository.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// Files and empty folders, by their paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    files: BTreeMap<PathBuf, Vec<u8>>,
    folders: BTreeSet<PathBuf>,
}

impl Shown {
    /// What alone decides what `recipe` adds to `base`; nothing when it needs more, and when there is already something
    /// that it would add to.
    ///
    /// # Errors
    /// When the base cannot be listed.
    pub(super) async fn to(recipe: &Recipe, base: &BaseTree) -> Result<Option<Self>, repo::Error> {
        let find = |command: &String| {
            KNOWN.iter().find(|known| known.command == *command && !known.reads.is_empty())
        };
        let ways = recipe.commands.iter().map(find).collect::<Option<Vec<_>>>();
        let Some((ways, root)) = ways.zip(base.layers.last()) else { return Ok(None) };
        let Some(folders) = folders(root, &ways) else { return Ok(None) };
        let names: Vec<&str> = ways.iter().flat_map(|known| known.reads).copied().collect();
        let named = base.named(&names).await?;
        if named.len() > FILES_MAX || named.iter().any(|file| !file.is_file) {
            return Ok(None);
        }
        let mut shown = Self { folders, ..Self::default() };
        let mut left = BYTES_MAX;
        for file in named {
            let path = PathBuf::from(std::ffi::OsString::from_vec(file.path));
            // What stands there decides, and not what git calls it.
            let Some(content) = read(&root.join(&path), left) else { return Ok(None) };
            left = left.saturating_sub(content.len() as u64);
            shown.files.insert(path, content);
        }
        if shown.files.iter().any(|(path, content)| needs_more(&ways, path, content)) {
            return Ok(None);
        }
        for (path, content) in stubs::of(&shown.files) {
            shown.files.entry(path).or_insert(content);
        }
        Ok(Some(shown))
    }

    /// All of it, for the name of what is made of it.
    pub(super) fn parts(&self) -> impl Iterator<Item = Vec<u8>> {
        let counted = [self.folders.len().to_string().into_bytes()];
        let folders = self.folders.iter().map(|path| path.as_os_str().as_bytes().to_vec());
        let files = self.files.iter();
        let files = files.flat_map(|(path, content)| [path.as_os_str().as_bytes().to_vec(), content.clone()]);
        counted.into_iter().chain(folders).chain(files)
    }

    /// Writes it into `folder`, which is made.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn lay(&self, folder: &Path) -> io::Result<()> {
        make_folder(folder)?;
        self.folders.iter().try_for_each(|path| make_folders(folder, path))?;
        for (path, content) in &self.files {
            path.parent().map_or(Ok(()), |parent| make_folders(folder, parent))?;
            let mut file = File::options().write(true).create_new(true).open(folder.join(path))?;
            file.write_all(content)?;
            // Whatever this process's umask is, another user shall read it.
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        }
        Ok(())
    }
}

fn make_folders(root: &Path, path: &Path) -> io::Result<()> {
    let mut place = root.to_owned();
    path.iter().try_for_each(|part| {
        place.push(part);
        if place.is_dir() { Ok(()) } else { make_folder(&place) }
    })
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
}

/// Folders of the work tree at `root` in which `ways` make theirs; nothing when one of those is there.
fn folders(root: &Path, ways: &[&Known]) -> Option<BTreeSet<PathBuf>> {
    let mut folders = BTreeSet::new();
    for path in ways.iter().flat_map(|known| known.adds).map(Path::new) {
        if !super::is_free(root, path) {
            return None;
        }
        let parent = path.parent().filter(|parent| root.join(parent).is_dir());
        folders.extend(parent.filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned));
    }
    Some(folders)
}

/// A file of at most `bytes_max`. git has checked it out: no part of its path is a link.
fn read(path: &Path, bytes_max: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let file =
        fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).and_then(|_| File::open(path).ok())?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= bytes_max).then_some(content)
}

/// Whether the file at `path` says that one of `ways` needs more than is shown.
fn needs_more(ways: &[&Known], path: &Path, content: &[u8]) -> bool {
    let is_named = |name: &str| path.file_name() == Some(OsStr::new(name));
    let texts = ways.iter().flat_map(|known| known.unless).filter(|(name, _)| is_named(name));
    let mut texts = texts.flat_map(|(_, texts)| *texts).peekable();
    if texts.peek().is_none() {
        return false;
    }
    let Ok(content) = std::str::from_utf8(content) else { return true };
    let lines = format!("\n{content}").to_ascii_lowercase().replace(is_line_break, "\n");
    texts.any(|text| lines.contains(&text.to_ascii_lowercase()))
}

/// Whether some tool, Python's among them, begins a line after `c`.
fn is_line_break(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests;
