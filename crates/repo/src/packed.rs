//! A commit with what is needed to work on it, as one git pack: what a recording carries of a repository.

use std::collections::BTreeSet;

use events::{Oid, Redactor};

use crate::history::{DEPTH, shallow_lines};
use crate::mirror::Mirror;
use crate::scratch::Scratch;
use crate::{Error, at, git};

/// What is packed is read once as a whole, for secrets; more than this is not held in memory.
pub(crate) const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// How much of a history goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// As far back as commands in a sandbox see it.
    AsInside,
    /// The base alone, without the commits before it.
    BaseAlone,
}

/// A commit with what is needed to work on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The commit.
    pub base: Oid,
    /// The commits at which the history ends although they have parents.
    pub ends: Vec<Oid>,
    /// A git pack.
    pub bytes: Vec<u8>,
}

impl Mirror {
    /// Packs `base` with its `history`, and with `steps`, which were made on it; nothing when that takes more than
    /// `bytes_max`.
    ///
    /// # Errors
    /// [`Error::Git`] when one of the commits is not in the mirror.
    pub async fn pack(
        &self,
        base: &Oid,
        steps: &BTreeSet<Oid>,
        history: History,
        bytes_max: usize,
    ) -> Result<Option<Packed>, Error> {
        let depth = match history {
            History::AsInside => DEPTH,
            History::BaseAlone => 1,
        };
        let ends = self.history_ends(base, depth).await?;
        let mut wanted = shallow_lines(&ends);
        for commit in steps.iter().chain([base]) {
            wanted.push_str(commit.as_str());
            wanted.push('\n');
        }
        // One thread: the same commits are to give the same bytes.
        let args = ["pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset", "--threads=1"];
        let call = self.call("pack the base", args).stdin(wanted.into_bytes());
        let output = git::run(call.stdout_bytes_max(bytes_max)).await?;
        if output.overflow {
            return Ok(None);
        }
        let bytes = output.success()?.stdout;
        Ok(Some(Packed { base: base.clone(), ends: oids(&ends)?, bytes }))
    }

    /// Whether `redactor` finds a secret in any file, name or message of `packed`. More than 64 MiB of them are not
    /// looked through: then, too, it is not known that there is none.
    ///
    /// # Errors
    /// [`Error::Git`] when the pack cannot be read.
    pub async fn may_hold_secret(&self, packed: &Packed, redactor: &Redactor) -> Result<bool, Error> {
        let scratch = Scratch::new(&self.repos.scratch())?;
        let objects = scratch.path().join("objects");
        let packs = objects.join("pack");
        at("make", &packs, std::fs::create_dir_all(&packs))?;
        let unpack = self
            .call("look through the pack", ["index-pack", "--stdin"])
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .config("core.fsync", "none")
            .stdin(packed.bytes.clone());
        git::run(unpack).await?.success()?;
        let read = self
            .call("look through the pack", ["cat-file", "--batch", "--batch-all-objects", "--unordered"])
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .stdout_bytes_max(UNPACKED_BYTES_MAX);
        let output = git::run(read).await?;
        if output.overflow {
            return Ok(true);
        }
        Ok(redactor.finds(&output.success()?.stdout))
    }
}

fn oids(names: &[String]) -> Result<Vec<Oid>, Error> {
    let odd = |error| Error::system("read the history", std::io::Error::other(error));
    names.iter().map(|name| name.parse().map_err(odd)).collect()
}
