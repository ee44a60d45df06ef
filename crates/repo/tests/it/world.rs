//! A repository with history, a home for mirrors, and work trees that stand in for sandboxes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use async_trait::async_trait;
use events::{Branch, ChangeList, ChangedKind, ChangedPath, Content, Oid, Remote, SessionId, Stamp, Tenant};
use repo::{BaseTree, Contents, ContentsError, Mirror, NewCommit, Recorder, Repos, Source};
use tempfile::TempDir;

/// A repository on this machine and a home for mirrors of it.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) repos: Repos,
}

impl World {
    /// With a repository on `main` that holds one commit of what `fill` writes.
    pub(crate) async fn new(fill: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = dir.path().join("origin");
        fs::create_dir(&origin).unwrap();
        git(&origin, &["init", "-q", "-b", "main"]);
        fill(&origin);
        let repos = Repos::open(dir.path().join("home")).await.unwrap();
        let world = Self { dir, repos };
        world.commit_all("first");
        world
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    pub(crate) fn source(&self) -> Source {
        Source { remote: Remote::Local(self.origin()), tenant: Tenant::default(), credential: None }
    }

    /// Commits everything in the origin, byte for byte.
    pub(crate) fn commit_all(&self, message: &str) {
        git(&self.origin(), &["add", "-A", "-f"]);
        git(&self.origin(), &["commit", "-q", "--allow-empty", "-m", message]);
    }

    pub(crate) async fn mirror(&self) -> Mirror {
        self.repos.mirror(&self.source()).await.unwrap().0
    }

    /// A session on the head of `main`, with its work tree.
    pub(crate) async fn session(&self) -> Session {
        self.session_of(&self.source()).await
    }

    pub(crate) async fn session_of(&self, source: &Source) -> Session {
        let mirror = self.repos.mirror(source).await.unwrap().0;
        let commit = mirror.branch(&main_branch()).await.unwrap().unwrap();
        let base = mirror.base_tree(&commit, &main_branch()).await.unwrap();
        let id = new_id();
        let recorder = mirror.recorder(id, &base, None).await.unwrap();
        let work = Work::of(&base);
        Session { mirror, base, id, recorder, work }
    }
}

/// A session that saves its steps.
pub(crate) struct Session {
    pub(crate) mirror: Mirror,
    pub(crate) base: BaseTree,
    pub(crate) id: SessionId,
    pub(crate) recorder: Recorder,
    pub(crate) work: Work,
}

impl Session {
    pub(crate) async fn save(&mut self) -> repo::Saved {
        let list = self.work.changes();
        self.recorder.save(&list, &self.work).await.unwrap()
    }

    /// The commit that would be delivered of `step`.
    pub(crate) async fn commit(&self, step: &Oid) -> Oid {
        let new = NewCommit {
            tree_of: step.clone(),
            parent: self.base.commit.clone(),
            message: "The change".to_owned(),
            author_name: "A Bot".to_owned(),
            author_email: "bot@example.org".to_owned(),
            at_us: 1_700_000_000_000_000,
        };
        self.mirror.commit(&new).await.unwrap()
    }
}

/// A copy of a base tree that may be changed, as a sandbox would.
pub(crate) struct Work {
    base: PathBuf,
    pub(crate) dir: TempDir,
}

impl Work {
    pub(crate) fn of(base: &BaseTree) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let checkout = base.layers.last().unwrap().clone();
        run("cp", &["-a", &format!("{}/.", checkout.display()), dir.path().to_str().unwrap()]);
        Self { base: checkout, dir }
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join(Path::new(name.as_ref()))
    }

    pub(crate) fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// What differs from the base, found by comparing everything.
    pub(crate) fn changes(&self) -> ChangeList {
        let mut names = BTreeSet::new();
        walk(&self.base, &self.base, &mut names);
        walk(self.dir.path(), self.dir.path(), &mut names);
        let is_there = |root: &Path, name: &[u8]| fs::symlink_metadata(join(root, name)).is_ok();
        let differs = |name: &Vec<u8>| {
            let work = self.dir.path();
            look(&self.base, name) != look(work, name) || is_there(&self.base, name) != is_there(work, name)
        };
        let changed = |name: Vec<u8>| {
            let (kind, stamp) = match fs::symlink_metadata(join(self.dir.path(), &name)) {
                Err(_) => (ChangedKind::Deleted, Stamp::default()),
                Ok(meta) => {
                    let ctime_ns = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
                    (kind_of(&meta), Stamp { inode: meta.ino(), ctime_ns })
                }
            };
            ChangedPath { path: name, kind, stamp }
        };
        ChangeList { paths: names.into_iter().filter(differs).map(changed).collect(), truncated: false }
    }
}

#[async_trait]
impl Contents for Work {
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Option<Content>, ContentsError> {
        let content = look(self.dir.path(), &path.path).unwrap_or(Content::Deleted);
        if let Content::File { bytes, .. } = &content {
            assert!(bytes.len() as u64 <= bytes_max);
        }
        Ok(Some(content))
    }
}

/// A repository and its files, compared by what git holds: mode and bytes of every path.
pub(crate) fn look(root: &Path, name: &[u8]) -> Option<Content> {
    let path = join(root, name);
    let meta = fs::symlink_metadata(&path).ok()?;
    if meta.is_symlink() {
        return Some(Content::Symlink(fs::read_link(path).unwrap().into_os_string().into_vec()));
    }
    if !meta.is_file() {
        return None;
    }
    Some(Content::File { executable: meta.permissions().mode() & 0o100 != 0, bytes: fs::read(path).unwrap() })
}

/// Everything in `root` but `.git`, as paths and contents.
pub(crate) fn contents(root: &Path) -> Vec<(Vec<u8>, Option<Content>)> {
    let mut names = BTreeSet::new();
    walk(root, root, &mut names);
    names.into_iter().map(|name| (name.clone(), look(root, &name))).collect()
}

fn walk(root: &Path, dir: &Path, names: &mut BTreeSet<Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if dir == root && entry.file_name() == ".git" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(root, &entry.path(), names);
        } else {
            names.insert(entry.path().strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec());
        }
    }
}

fn kind_of(meta: &fs::Metadata) -> ChangedKind {
    if meta.is_symlink() {
        ChangedKind::Symlink
    } else if meta.is_file() {
        ChangedKind::File { executable: meta.permissions().mode() & 0o100 != 0, bytes: meta.len() }
    } else if meta.is_dir() {
        ChangedKind::Deleted
    } else {
        ChangedKind::Special
    }
}

fn join(root: &Path, name: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(name))
}

pub(crate) fn main_branch() -> Branch {
    "main".parse().unwrap()
}

pub(crate) fn new_id() -> SessionId {
    let random = tempfile::tempdir()
        .unwrap()
        .path()
        .as_os_str()
        .as_bytes()
        .iter()
        .rev()
        .take(6)
        .fold(0_u128, |n, b| n << 8 | u128::from(*b));
    SessionId::new(1_700_000_000_000_000, random)
}

/// Runs git as a person would, with nothing of the machine's settings, and gives what it printed.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

pub(crate) fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
