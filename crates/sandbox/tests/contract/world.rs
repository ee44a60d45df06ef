//! A base tree, a sandbox over it, and what the tests ask of both.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use events::{ChangedKind, ChangedPath, Content};
use sandbox::docker;
use sandbox::namespaces::{self, Changes};
use sandbox::{Command, Config, Ended, Error, Policy, Ran, Sandbox, Terms, Tree};

/// Enough for any file of these tests.
const CONTENT_BYTES_MAX: u64 = 1 << 20;

/// Says in what the suite is run: nothing for namespaces, else `docker`, or `docker+` and a runtime.
pub(crate) const BACKEND: &str = "BACKSPACE_CONTRACT_BACKEND";
/// Says where the engine listens.
pub(crate) const ENGINE: &str = "BACKSPACE_CONTRACT_ENGINE";

/// Says where a disk of [`SMALL_DISK_BYTES`] is.
pub(crate) const SMALL_DISK: &str = "BACKSPACE_CONTRACT_SMALL_DISK";
/// Less than the changes of a sandbox may take.
pub(crate) const SMALL_DISK_BYTES: u64 = 40 << 20;

/// In what the suite is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Namespaces,
    /// A container over a work tree that the engine lays.
    Container,
    /// A container with a work tree that is sent.
    Sent,
    /// The same with gVisor's kernel.
    Gvisor,
}

#[expect(clippy::disallowed_methods, reason = "the tests' own switch")]
pub(crate) fn kind() -> Kind {
    match std::env::var(BACKEND).ok().as_deref() {
        None => Kind::Namespaces,
        Some("docker") if rustix::process::geteuid().is_root() => Kind::Sent,
        Some("docker") => Kind::Container,
        Some("docker+runsc") => Kind::Gvisor,
        Some(other) => panic!("{BACKEND}={other}"),
    }
}

/// Where the engine listens.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch")]
pub(crate) fn engine_address() -> String {
    std::env::var(ENGINE).unwrap()
}

/// A disk that is soon full.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch")]
pub(crate) fn small_disk() -> PathBuf {
    std::env::var_os(SMALL_DISK).unwrap().into()
}

/// Whether a test says nothing of the kind of sandbox that the suite is run in, because of `reason`.
pub(crate) fn says_nothing_of(kinds: &[Kind], reason: &str) -> bool {
    let nothing = kinds.contains(&kind());
    if nothing {
        println!("NOT APPLICABLE in {:?}: {reason}", kind());
    }
    nothing
}

pub(crate) struct World {
    pub(crate) base: tempfile::TempDir,
    pub(crate) tree: Tree,
    pub(crate) config: Config,
    pub(crate) policy: Policy,
}

impl World {
    /// A small repository: files, an executable, links, a folder with a few files, awkward names, a `.git` of its own.
    pub(crate) fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let tree = base.path().join("tree");
        let git = base.path().join("git");
        let write = |path: &[u8], content: &str| {
            let path = tree.join(OsStr::from_bytes(path));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write(b"README", "hello\n");
        write(b"run.sh", "#!/bin/sh\necho ran\n");
        fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        write(b"src/a", "a\n");
        write(b"src/b", "b\n");
        write(b"src/deep/c", "c\n");
        write(b"src/deep/d", "d\n");
        write(b"-rf", "dash\n");
        write(b"new\nline", "newline\n");
        write(b"\xff\xfe", "bytes\n");
        std::os::unix::fs::symlink("README", tree.join("link")).unwrap();
        fs::create_dir_all(git.join(".git")).unwrap();
        fs::write(git.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        let policy = Policy {
            work_bytes_max: 64 << 20,
            work_inodes_max: 2000,
            memory_bytes_max: 256 << 20,
            processes_max: 64,
            processors_max: None,
            lifetime: Duration::from_secs(300),
            relays: Vec::new(),
            environment: Vec::new(),
            home: Vec::new(),
        };
        let tree = Tree::of(vec![git, tree]);
        let config = config(Place::Memory, base.path());
        Self { base, tree, config, policy }
    }

    /// The same with the changes in a folder on disk.
    pub(crate) fn on_disk() -> Self {
        let mut world = Self::new();
        world.config = config(Place::Folder, world.base.path());
        world
    }

    /// The same with the changes below `place`, which another world made.
    pub(crate) fn at(place: &Path) -> Self {
        let mut world = Self::new();
        world.config = config(Place::Folder, place.parent().unwrap());
        world
    }

    /// Where the changes of [`World::on_disk`] go.
    pub(crate) fn place(&self) -> PathBuf {
        self.base.path().join("changes")
    }

    /// The checked-out files.
    pub(crate) fn files(&self) -> &Path {
        self.tree.layers.last().unwrap()
    }

    /// Nothing when this machine cannot, and nobody said that it must.
    pub(crate) async fn open(&self) -> Option<Open> {
        match sandbox::open(&self.config, &self.tree, &self.policy).await {
            Ok(sandbox) => Some(Open(sandbox)),
            #[expect(clippy::disallowed_methods, reason = "the tests' own switch")]
            Err(error @ Error::Unavailable { .. })
                if std::env::var_os("BACKSPACE_REQUIRE_SANDBOX").is_none() =>
            {
                println!("SKIPPED, this machine opens no sandbox: {error}");
                None
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
}

/// Where changes go, where both can be had.
#[derive(Clone, Copy)]
enum Place {
    Memory,
    Folder,
}

/// A configuration for the kind that the suite is run in.
fn config(place: Place, base: &Path) -> Config {
    let folder = base.join("changes");
    let docker = |changes, runtime: Option<&str>| {
        Config::Docker(docker::Config {
            engine: engine_address(),
            image: if runtime.is_some() { "backspace-sandbox-gvisor" } else { "backspace-sandbox" }
                .to_owned(),
            runtime: runtime.map(str::to_owned),
            changes,
        })
    };
    match (kind(), place) {
        (Kind::Namespaces, Place::Memory) => Config::Namespaces(namespaces::Config::default()),
        (Kind::Namespaces, Place::Folder) => Config::Namespaces(namespaces::Config {
            changes: Changes::Folder(folder),
            ..namespaces::Config::default()
        }),
        (Kind::Container, _) => docker(docker::Changes::Folder(folder), None),
        (Kind::Sent, _) => docker(docker::Changes::Memory, None),
        (Kind::Gvisor, _) => docker(docker::Changes::Memory, Some("runsc")),
    }
}

/// An open sandbox.
pub(crate) struct Open(pub(crate) Arc<dyn Sandbox>);

impl Open {
    /// Runs a script with time and room enough.
    pub(crate) async fn sh(&self, script: &str) -> Ran {
        self.sh_for(script, Duration::from_secs(60)).await
    }

    pub(crate) async fn sh_for(&self, script: &str, timeout: Duration) -> Ran {
        let command = Command { script: script.to_owned(), timeout, output_bytes_max: 1 << 20, live: None };
        self.0.run(&command).await.unwrap()
    }

    /// Runs a script that must succeed; gives its output.
    pub(crate) async fn ok(&self, script: &str) -> String {
        let ran = self.sh(script).await;
        assert_eq!(ran.ended, Ended::Exited(0), "{script}\n{}", ran.output);
        ran.output
    }

    /// Runs a script that must fail in its own way, not in ours.
    pub(crate) async fn fails(&self, script: &str) -> String {
        let ran = self.sh(script).await;
        assert!(matches!(ran.ended, Ended::Exited(1..=126)), "{script}\n{ran:?}");
        ran.output
    }

    /// Runs a script that must lose the sandbox; gives the reason.
    pub(crate) async fn lost(&self, script: &str) -> String {
        let timeout = Duration::from_secs(60);
        let command = Command { script: script.to_owned(), timeout, output_bytes_max: 10, live: None };
        match self.0.run(&command).await {
            Err(Error::Lost { reason }) => reason,
            other => panic!("{script}\n{other:?}"),
        }
    }

    /// What differs, as text: path, then what stands there.
    pub(crate) async fn changes(&self) -> BTreeMap<String, String> {
        let list = self.0.changes().await.unwrap();
        assert!(!list.truncated);
        assert!(list.paths.is_sorted_by(|a, b| a.path < b.path), "sorted, each path once: {:?}", list.paths);
        let mut changes = BTreeMap::new();
        for changed in &list.paths {
            let said = self.said(changed).await;
            changes.insert(changed.path.escape_ascii().to_string(), said);
        }
        changes
    }

    async fn said(&self, changed: &ChangedPath) -> String {
        if changed.kind == ChangedKind::Special {
            return "special".to_owned();
        }
        match self.0.content(changed, CONTENT_BYTES_MAX).await.unwrap() {
            Content::Deleted => "deleted".to_owned(),
            Content::Symlink(target) => format!("-> {}", target.escape_ascii()),
            Content::File { executable, bytes } => {
                let kind = if executable { "program" } else { "file" };
                format!("{kind} {}", bytes.escape_ascii())
            }
        }
    }

    pub(crate) async fn close(self) -> Terms {
        self.0.close().await.unwrap();
        self.0.terms().clone()
    }
}
