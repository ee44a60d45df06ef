//! A bare repository that stands where a remote would: what a recording carried, to be worked on again.

use std::path::{Path, PathBuf};

use events::{Branch, ChangedKind, ChangedPath, Content, Oid, RepoPath, Stamp};

use crate::base_tree::Mode;
use crate::git::{self, Call, Git};
use crate::mirror::Mirror;
use crate::packed::{Packed, UNPACKED_BYTES_MAX};
use crate::{Error, Repos, at};

/// A bare repository that stands where a remote would.
#[derive(Debug, Clone)]
pub struct Planted {
    dir: PathBuf,
    git: Git,
}

impl Repos {
    /// Makes a bare repository in the new folder `dir` with `packed` at the head of `branch`; an empty one without.
    ///
    /// The pack may be anybody's. git checks that it is one; what it holds is checked when it is fetched from here, and
    /// the steps of a session, which are not fetched, are data that is never checked out.
    ///
    /// # Errors
    /// [`Error::Unsound`] when git cannot read the pack, [`Error::TooLarge`] when it unpacks to more than 64 MiB.
    pub async fn plant(
        &self,
        dir: PathBuf,
        branch: &Branch,
        packed: Option<&Packed>,
    ) -> Result<Planted, Error> {
        let planted = Planted { dir, git: self.git.clone() };
        let init = ["init", "--quiet", "--bare", "--template="];
        let call = self.git.call("make a repository", init).arg(format!("--initial-branch={branch}"));
        git::run(call.arg(&planted.dir)).await?.success()?;
        if let Some(packed) = packed {
            planted.take(packed).await?;
            planted.set(branch, &packed.base).await?;
        }
        Ok(planted)
    }
}

impl Mirror {
    /// Makes a bare repository in the new folder `dir` with `commit` of this mirror at the head of `branch`. It reads the
    /// objects where they are: the mirror must stay.
    ///
    /// # Errors
    /// [`Error::Unsound`] when the mirror does not hold the commit.
    pub async fn plant(&self, dir: PathBuf, branch: &Branch, commit: &Oid) -> Result<Planted, Error> {
        let planted = self.repos.plant(dir, branch, None).await?;
        let (objects, alternates) = (self.dir.join("objects"), planted.dir.join("objects/info/alternates"));
        at("write", &alternates, std::fs::write(&alternates, format!("{}\n", objects.display())))?;
        let (ends, there) = (self.dir.join("shallow"), planted.dir.join("shallow"));
        if ends.exists() {
            at("copy", &ends, std::fs::copy(&ends, there))?;
        }
        planted.set(branch, commit).await?;
        Ok(planted)
    }
}

impl Planted {
    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// The commit at the head of `branch`.
    ///
    /// # Errors
    /// [`Error::Git`] when the repository cannot be read.
    pub async fn head(&self, branch: &Branch) -> Result<Option<Oid>, Error> {
        let format = ["for-each-ref", "--format=%(objectname)"];
        let call = self.call("read a branch", format).arg("--").arg(branch.full_ref());
        Ok(git::run(call).await?.success()?.text().parse().ok())
    }

    /// Whether it has `commit`.
    ///
    /// # Errors
    /// When git cannot be started.
    pub async fn holds(&self, commit: &Oid) -> Result<bool, Error> {
        let call = self.call("look for a commit", ["cat-file", "-e"]).arg(format!("{commit}^{{commit}}"));
        Ok(git::run(call).await?.code == 0)
    }

    /// What `commit` changed since `base`, as a sandbox would list and give it. Equal content has equal stamps.
    ///
    /// # Errors
    /// [`Error::Git`] when one of the commits is not here.
    pub async fn change(&self, base: &Oid, commit: &Oid) -> Result<Vec<(ChangedPath, Content)>, Error> {
        let options = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev"];
        let call = self.call("read a step", options).args([base.as_str(), commit.as_str()]);
        let listing = git::run(call).await?.success()?.stdout;
        let mut change = Vec::new();
        let mut fields = listing.split(|byte| *byte == 0);
        // `:MODE MODE OID OID STATUS NUL PATH NUL`
        while let (Some(what), Some(path)) = (fields.next(), fields.next()) {
            let words: Vec<&[u8]> = what.split(|byte| *byte == b' ').collect();
            let (Ok(_), [_, mode, _, oid, _]) = (RepoPath::parse(path), words.as_slice()) else { continue };
            let oid = String::from_utf8_lossy(oid).into_owned();
            let content = match Mode::parse(mode) {
                None => Content::Deleted,
                Some(Mode::File) => Content::File { executable: false, bytes: self.blob(&oid).await? },
                Some(Mode::Executable) => Content::File { executable: true, bytes: self.blob(&oid).await? },
                Some(Mode::Symlink) => Content::Symlink(self.blob(&oid).await?),
                Some(Mode::Submodule) => continue,
            };
            let kind = match &content {
                Content::Deleted => ChangedKind::Deleted,
                Content::Symlink(_) => ChangedKind::Symlink,
                Content::File { executable, bytes } => {
                    ChangedKind::File { executable: *executable, bytes: bytes.len() as u64 }
                }
            };
            let inode = u64::from_str_radix(oid.get(..16).unwrap_or_default(), 16).unwrap_or_default();
            let stamp = Stamp { inode, ctime_ns: 0 };
            change.push((ChangedPath { path: path.to_owned(), kind, stamp }, content));
        }
        change.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        Ok(change)
    }

    async fn blob(&self, oid: &str) -> Result<Vec<u8>, Error> {
        let call = self.call("read a step", ["cat-file", "blob", oid]).stdout_bytes_max(UNPACKED_BYTES_MAX);
        Ok(git::run(call).await?.success()?.stdout)
    }

    /// Takes in a pack of unknown origin.
    async fn take(&self, packed: &Packed) -> Result<(), Error> {
        // Before the pack: git would miss the parents otherwise.
        let ends: String = packed.ends.iter().map(|oid| format!("{oid}\n")).collect();
        if !ends.is_empty() {
            let shallow = self.dir.join("shallow");
            at("write", &shallow, std::fs::write(&shallow, ends))?;
        }
        let receive = self.call("take in the pack", ["index-pack", "--stdin"]);
        let output = git::run(receive.config("core.fsync", "none").stdin(packed.bytes.clone())).await?;
        if output.code != 0 {
            return Err(Error::Unsound { message: output.said });
        }
        let sizes = ["cat-file", "--batch-all-objects", "--batch-check=%(objectsize)", "--unordered"];
        let sizes = git::run(self.call("measure the pack", sizes)).await?;
        let overflow = sizes.overflow;
        let sizes = sizes.success()?.text();
        let unpacked = sizes.lines().filter_map(|line| line.parse().ok()).fold(0_u64, u64::saturating_add);
        if unpacked > UNPACKED_BYTES_MAX as u64 || overflow {
            let what = format!("a pack that unpacks to more than {} MiB", UNPACKED_BYTES_MAX >> 20);
            return Err(Error::TooLarge { what });
        }
        Ok(())
    }

    /// Puts `commit`, which must be here, at the head of `branch`.
    async fn set(&self, branch: &Branch, commit: &Oid) -> Result<(), Error> {
        if !self.holds(commit).await? {
            return Err(Error::Unsound { message: format!("commit {commit} is not there") });
        }
        let call = self.call("set the branch", ["update-ref"]).arg(branch.full_ref()).arg(commit.as_str());
        git::run(call).await?.success().map(|_| ())
    }

    fn call<I, A>(&self, doing: &str, args: I) -> Call
    where
        I: IntoIterator<Item = A>,
        A: AsRef<std::ffi::OsStr>,
    {
        self.git.call(doing, args).repository(&self.dir)
    }
}
