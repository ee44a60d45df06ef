//! Ignore rules: those of the base, and those that the session itself writes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use events::{ChangeList, ChangedKind, Content, RepoPath, Stamp};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::folders;
use crate::base_tree::{Manifest, Mode};
use crate::{Contents, Error};

/// The files that hold rules.
const FILE: &[u8] = b".gitignore";
/// Longer ones are cut: patterns are compiled.
const BYTES_MAX: u64 = 256 << 10;
/// Session-written rule files that are read; more are passed over.
const CHANGED_MAX: usize = 256;
/// What tools leave behind in every repository, also in those that do not say so. A `!` rule brings it back.
const LEFT_BY_TOOLS: &str = "__pycache__/
*.py[co]
.pytest_cache/
.mypy_cache/
.ruff_cache/
.venv/
node_modules/
.DS_Store
";

/// The ignore rules that hold in a session's work tree.
#[derive(Debug)]
pub(crate) struct Ignored {
    /// The checkout of the base.
    work: PathBuf,
    defaults: Gitignore,
    /// Rules by the folder that they stand in; `None` where there are none.
    rules: HashMap<Vec<u8>, Option<Gitignore>>,
    /// What is known of folders.
    folders: HashMap<Vec<u8>, bool>,
    /// Rule files that the session changed, by the folder that they stand in.
    changed: HashMap<Vec<u8>, (Stamp, Vec<u8>)>,
}

impl Ignored {
    pub(crate) fn new(work: PathBuf) -> Self {
        Self {
            work,
            defaults: compile(LEFT_BY_TOOLS.as_bytes()).unwrap_or_else(Gitignore::empty),
            rules: HashMap::new(),
            folders: HashMap::new(),
            changed: HashMap::new(),
        }
    }

    /// Reads the rule files of `list` that changed since the last call: a session that sets up a project writes them.
    pub(crate) async fn update(&mut self, list: &ChangeList, contents: &dyn Contents) -> Result<(), Error> {
        let mut changed = HashMap::new();
        for path in list.paths.iter().filter(|path| name(&path.path) == FILE).take(CHANGED_MAX) {
            let folder = folder(&path.path).to_vec();
            if let Some(known) = self.changed.get(&folder).filter(|(stamp, _)| *stamp == path.stamp) {
                changed.insert(folder, known.clone());
                continue;
            }
            let text = match path.kind {
                ChangedKind::File { bytes, .. }
                    if bytes <= BYTES_MAX && RepoPath::parse(&path.path).is_ok() =>
                {
                    match contents.content(path, BYTES_MAX).await.map_err(Error::Contents)? {
                        Some(Content::File { bytes, .. }) => bytes,
                        Some(Content::Symlink(_) | Content::Deleted) | None => continue,
                    }
                }
                // git does not follow links here either.
                ChangedKind::File { .. }
                | ChangedKind::Symlink
                | ChangedKind::Deleted
                | ChangedKind::Special => Vec::new(),
            };
            changed.insert(folder, (path.stamp, text));
        }
        if changed != self.changed {
            self.changed = changed;
            self.rules.clear();
            self.folders.clear();
        }
        Ok(())
    }

    /// Whether a rule covers `path`, or a folder that it lies in.
    pub(crate) fn covers(&mut self, path: &RepoPath, base: &Manifest) -> bool {
        let path = path.as_bytes();
        for folder in folders(path) {
            let known = self.folders.get(folder).copied();
            let covered = known.unwrap_or_else(|| {
                let covered = self.decide(folder, Is::Folder, base);
                self.folders.insert(folder.to_vec(), covered);
                covered
            });
            if covered {
                // What lies in an ignored folder cannot be brought back.
                return true;
            }
        }
        self.decide(path, Is::File, base)
    }

    /// The innermost rule file that says something about `path` decides.
    fn decide(&mut self, path: &[u8], is: Is, base: &Manifest) -> bool {
        let mut inner_first: Vec<&[u8]> = folders(path).collect();
        inner_first.insert(0, b"");
        inner_first.reverse();
        for folder in inner_first {
            let Some(rules) = self.rules_in(folder, base) else { continue };
            let within = if folder.is_empty() { path } else { &path[folder.len() + 1..] };
            match rules.matched(as_path(within), is == Is::Folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        // A project that keeps its `node_modules` in git means what is new there, too.
        self.defaults.matched(as_path(path), is == Is::Folder).is_ignore()
            && base.below(path).next().is_none()
    }

    fn rules_in(&mut self, folder: &[u8], base: &Manifest) -> Option<&Gitignore> {
        if !self.rules.contains_key(folder) {
            let text = match self.changed.get(folder) {
                Some((_, text)) => Some(text.clone()),
                None => self.of_base(folder, base),
            };
            self.rules.insert(folder.to_vec(), text.and_then(|text| compile(&text)));
        }
        self.rules.get(folder)?.as_ref()
    }

    /// The base's own rule file. Looked up in its listing first, so that no link is followed.
    fn of_base(&self, folder: &[u8], base: &Manifest) -> Option<Vec<u8>> {
        let path = if folder.is_empty() { FILE.to_vec() } else { [folder, b"/", FILE].concat() };
        let object = base.get(&path)?;
        if !matches!(object.mode, Mode::File | Mode::Executable) {
            return None;
        }
        let mut text = Vec::new();
        let file = std::fs::File::open(self.work.join(as_path(&path))).ok()?;
        file.take(BYTES_MAX).read_to_end(&mut text).ok()?;
        Some(text)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    File,
    Folder,
}

/// Lines that are no patterns are passed over, as git does.
fn compile(text: &[u8]) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for line in String::from_utf8_lossy(text).trim_start_matches('\u{feff}').lines() {
        let _bad_pattern = builder.add_line(None, line);
    }
    builder.build().ok().filter(|rules| !rules.is_empty())
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn folder(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |end| &path[..end])
}
