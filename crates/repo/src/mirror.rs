//! Bare mirrors of repositories: made once, then fetched when the remote's branches have moved.
//!
//! A mirror is named after tenant, remote and account, and not after the token it was fetched with: tokens of an app
//! are renewed every hour, and each would make a mirror of its own. What a token may read is asked of the remote every
//! time before its mirror is used.
//!
//! A fetch has an end in time, and a pack a bound in size, but a wide one (see `git/running.rs`). Where strangers name the
//! remotes, the folder of the mirrors wants a quota.

mod tidying;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use events::{Branch, Oid, Remote, SessionId};
use sha2::{Digest as _, Sha256};

use crate::git::{self, Call, Git, Output, Ran};
use crate::heads::Heads;
use crate::lock::{self, Held};
use crate::scratch::Scratch;
use crate::{Error, Repos, Source, at};

/// The first fetch of a very large repository over a slow line.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A listing of branches is small; a remote that takes longer is not well.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
/// Sessions tidy up when they end; so many packs are left only when none came to its end. They cost milliseconds.
const PACKS_TO_START_WITH_MAX: usize = 200;
/// Beats what a repository's own `.gitattributes` say, so that every byte is checked out as it was committed.
const ATTRIBUTES: &str = "* -text -ident -filter -working-tree-encoding\n";

/// A bare repository of ours that holds a remote's branches, and the sessions' own commits on hidden refs.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub(crate) repos: Repos,
    pub(crate) key: String,
    pub(crate) dir: PathBuf,
    heads: Arc<Heads>,
}

impl Repos {
    /// The mirror of `source`, made or brought up to date, and the commands that did it.
    ///
    /// The remote is asked every time, with this credential: a mirror is no way around a right that was withdrawn.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Auth`], [`Error::Network`] when the remote cannot be read.
    pub async fn mirror(&self, source: &Source) -> Result<(Mirror, Vec<Ran>), Error> {
        let key = key(source);
        let dir = self.mirror_dir(&key);
        let (there, listed) = self.list(source).await?;
        let mut ran = vec![listed];
        let mut branches = there.branches;
        if Heads::read(&dir).is_none_or(|here| here.branches != branches) {
            let held = lock::exclusive(dir.with_extension("lock"), "the mirror").await?;
            // Another session may have fetched the same while we waited.
            if Heads::read(&dir).is_none_or(|here| here.branches != branches) {
                let (fetched, command) = self.fetch_or_create(source, &dir, &held).await?;
                branches = fetched.branches;
                ran.push(command);
            }
        }
        let heads = Arc::new(Heads { branches, head: there.head });
        let mirror = Mirror { repos: self.clone(), key, dir, heads };
        if tidying::packs(&mirror.dir) > PACKS_TO_START_WITH_MAX {
            mirror.tidy().await?;
        }
        Ok((mirror, ran))
    }

    /// The mirror of `source` as the last fetch left it; nothing when there is none. Asks no remote.
    pub async fn existing(&self, source: &Source) -> Option<Mirror> {
        let key = key(source);
        let dir = self.mirror_dir(&key);
        let heads = Arc::new(Heads::read(&dir)?);
        Some(Mirror { repos: self.clone(), key, dir, heads })
    }

    /// What branches the remote has, and, of one on this machine, which of them is its `HEAD`.
    async fn list(&self, source: &Source) -> Result<(Heads, Ran), Error> {
        let address = git::address(self.place(&source.remote));
        let typed = |options: &str| format!("git ls-remote {options} {}", source.remote);
        let (call, typed) = match &source.remote {
            // Only with this option is the server told what we want; else it sends every pull request's ref, too.
            Remote::Hosted(_) => {
                (self.remote_call(source, "ls-remote", "list the branches").arg("--heads"), typed("--heads"))
            }
            Remote::Local(_) => (
                self.remote_call(source, "ls-remote", "list the branches").arg("--symref"),
                typed("--symref"),
            ),
        };
        let mut call = call.arg("--").arg(address);
        if source.remote.local_path().is_some() {
            call = call.arg("HEAD").arg("refs/heads/*");
        }
        let output = reached(git::run(call.timeout(LIST_TIMEOUT)).await?)?;
        let heads = Heads::parse(&output.stdout);
        let summary = match heads.branches.len() {
            1 => "1 branch".to_owned(),
            n => format!("{n} branches"),
        };
        let ran = output.ran(typed, summary);
        Ok((heads, ran))
    }

    /// A command that talks to the remote of `source`.
    pub(crate) fn remote_call(&self, source: &Source, name: &str, doing: &str) -> Call {
        let place = self.place(&source.remote);
        let call = self.git.call(format!("{doing} of {}", source.remote), [name]);
        let mut call = call.reaching(place, source.credential.as_ref());
        if place.local_path().is_some() {
            let (option, half) = match name {
                "push" => ("--receive-pack", "receive-pack"),
                _ => ("--upload-pack", "upload-pack"),
            };
            call = call.arg(format!("{option}={}", self.git.other_half(half)));
        }
        call
    }

    /// Fetches into the mirror in `dir`; a new one appears there only once it is whole.
    async fn fetch_or_create(&self, source: &Source, dir: &Path, held: &Held) -> Result<(Heads, Ran), Error> {
        if dir.exists() {
            return self.fetch(source, dir, held).await;
        }
        let scratch = Scratch::new(&self.scratch())?;
        let new = scratch.path().join("mirror");
        init(&self.git, &new).await?;
        let fetched = self.fetch(source, &new, held).await?;
        at("move a mirror to", dir, std::fs::rename(&new, dir))?;
        Ok(fetched)
    }

    async fn fetch(&self, source: &Source, dir: &Path, held: &Held) -> Result<(Heads, Ran), Error> {
        let fetch = |tips: bool| {
            let call = self.remote_call(source, "fetch", "fetch the branches").repository(dir);
            let call = call.args(["--no-auto-maintenance", "--no-write-fetch-head", "--no-tags", "--prune"]);
            let call = call.args([
                "--no-recurse-submodules",
                "--no-show-forced-updates",
                "--update-shallow",
                "--quiet",
            ]);
            // The remote is told of its own commits only, not of what sessions have made.
            let call = if tips { call.arg("--negotiation-tip=refs/heads/*") } else { call };
            call.arg("--")
                .arg(git::address(self.place(&source.remote)))
                .arg("+refs/heads/*:refs/heads/*")
                .timeout(FETCH_TIMEOUT)
                .holding(held)
        };
        let has_tips = Heads::read(dir).is_some_and(|heads| !heads.branches.is_empty());
        let mut output = git::run(fetch(has_tips)?).await?;
        if output.code != 0 && output.said.contains(".lock': File exists") {
            // We hold the lock on the mirror, which every fetch holds until it ends: whoever left these is dead.
            sweep_ref_locks(dir);
            output = git::run(fetch(has_tips)?).await?;
        }
        let output = reached(output)?;
        let format = "--format=%(objectname)%09%(refname)";
        let list = self.git.call("list the fetched branches", ["for-each-ref", format, "refs/heads"]);
        let heads = Heads::parse(&git::run(list.repository(dir)).await?.success()?.stdout);
        at("note the branches in", dir, heads.write(dir))?;
        let typed = format!("git fetch --prune {} '+refs/heads/*:refs/heads/*'", source.remote);
        let said = output.said.clone();
        Ok((heads, output.ran(typed, said)))
    }
}

impl Mirror {
    /// The commit at the head of `branch`, as of the last fetch.
    ///
    /// # Errors
    /// None so far: the branches are known from the fetch.
    pub async fn branch(&self, branch: &Branch) -> Result<Option<Oid>, Error> {
        Ok(self.heads.branches.get(branch.as_str()).cloned())
    }

    /// The branch that a repository on this machine has checked out. Of any other its forge is to be asked.
    ///
    /// # Errors
    /// None so far: it is known from the fetch.
    pub async fn default_branch(&self) -> Result<Option<Branch>, Error> {
        Ok(self.heads.head.clone())
    }

    /// The last saved step of a session: the tip of its hidden ref.
    ///
    /// # Errors
    /// [`Error::Git`] when the mirror cannot be read.
    pub async fn saved(&self, session: SessionId) -> Result<Option<Oid>, Error> {
        let hidden = hidden_ref(session);
        let call = self.call("read the saved step", ["for-each-ref", "--format=%(objectname)", &hidden]);
        Ok(git::run(call).await?.success()?.text().parse().ok())
    }

    /// A git command in this mirror.
    pub(crate) fn call<I, A>(&self, doing: impl Into<String>, args: I) -> Call
    where
        I: IntoIterator<Item = A>,
        A: AsRef<std::ffi::OsStr>,
    {
        self.repos.git.call(doing, args).repository(&self.dir)
    }
}

/// Where the steps of a session are kept. No fetch and no push touches it.
pub(crate) fn hidden_ref(session: SessionId) -> String {
    format!("refs/backspace/{session}")
}

/// Names a mirror after whose it is and what it is reached with: one tenant must not read what another fetched.
///
/// The account counts and not the token: tokens are renewed every hour, and the remote is asked with each.
fn key(source: &Source) -> String {
    let mut hash = Sha256::new();
    let remote = git::address(&source.remote);
    let account = source.credential.as_ref().map_or("", |credential| &credential.user);
    let scope = if source.credential.is_some() { "credential" } else { "anonymous" };
    for part in [source.tenant.0.as_bytes(), remote.as_encoded_bytes(), scope.as_bytes(), account.as_bytes()]
    {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

async fn init(git: &Git, dir: &Path) -> Result<(), Error> {
    let call =
        git.call("make a mirror", ["init", "--quiet", "--bare", "--template=", "--initial-branch=main"]);
    git::run(call.arg(dir)).await?.success()?;
    let info = dir.join("info");
    at("make", &info, std::fs::create_dir_all(&info))?;
    let attributes = info.join("attributes");
    at("write", &attributes, std::fs::write(&attributes, ATTRIBUTES))
}

/// Sorts what a remote, or the way to it, answered into what callers can do about it.
pub(crate) fn reached(output: Output) -> Result<Output, Error> {
    if output.code == 0 { Ok(output) } else { Err(crate::push::unreached(output.into_error())) }
}

/// Removes the locks that a killed fetch left.
fn sweep_ref_locks(dir: &Path) {
    let mut folders = vec![dir.join("refs/heads")];
    let mut locks = vec![dir.join("packed-refs.lock"), dir.join("shallow.lock")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "lock") {
                locks.push(path);
            }
        }
    }
    for lock in locks {
        let _absent = std::fs::remove_file(lock);
    }
}
