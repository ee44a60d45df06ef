//! The throw-away `.git` that lies over a base tree: the last commits in a pack of its own, a ready index, no remote.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use events::{Branch, Oid};
use sha2::{Digest as _, Sha256};

use crate::git::{self, Call};
use crate::history::{DEPTH, shallow_lines};
use crate::mirror::Mirror;
use crate::scratch::Scratch;
use crate::{Error, at, blocking};

/// The index that was made with the checkout, beside it.
pub(super) const INDEX: &str = "index";
/// The pack of the last commits, beside the checkout; each layer links to it.
const PACK: &str = "pack";

/// The layer's settings. What is not compared changes when a tree is mounted elsewhere. The identity is that of
/// commits inside, which nobody else sees.
const CONFIG: &str = "[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tcheckStat = minimal
\ttrustctime = false
[gc]
\tauto = 0
[user]
\tname = backspace
\temail = backspace@localhost
";
/// The same rule that the checkout was made by: else `git status` finds line endings and filters to complain of.
const ATTRIBUTES: &str = "* -text -ident -filter -working-tree-encoding\n";

/// How the index compares a file with what it noted; the layer's own settings say the same.
pub(super) fn stat_settings(call: Call) -> Call {
    call.config("core.checkStat", "minimal").config("core.trustctime", "false")
}

/// The layer of the base tree in `dir` in which `branch` is checked out; made on first use.
pub(super) async fn layer(
    mirror: &Mirror,
    dir: &Path,
    commit: &Oid,
    branch: &Branch,
) -> Result<PathBuf, Error> {
    let name = hex::encode(&Sha256::digest(branch.as_str())[..8]);
    let layer = dir.join(format!("git-{name}"));
    if layer.exists() {
        return Ok(layer);
    }
    let scratch = Scratch::new(&mirror.repos.scratch())?;
    if !dir.join(PACK).exists() {
        pack(mirror, commit, &scratch.path().join(PACK), &dir.join(PACK)).await?;
    }
    let (new, from) = (scratch.path().join("layer"), dir.to_owned());
    let head = format!("ref: {}\n", branch.full_ref());
    let refs = format!("# pack-refs with: peeled fully-peeled sorted \n{commit} {}\n", branch.full_ref());
    let target = layer.clone();
    blocking(move || {
        let written = write(&new.join(".git"), &from, &head, &refs).and_then(|()| rename_once(&new, &target));
        at("make", &target, written)
    })
    .await?;
    Ok(layer)
}

/// Packs the last commits with everything in them; the folder becomes `dir` when it is whole.
async fn pack(mirror: &Mirror, commit: &Oid, new: &Path, dir: &Path) -> Result<(), Error> {
    at("make", new, fs::create_dir_all(new))?;
    let ends = mirror.history_ends(commit, DEPTH).await?;
    let mut wanted = shallow_lines(&ends);
    wanted.push_str(commit.as_str());
    wanted.push('\n');
    // Deltas are taken over as they are; looking for new ones would cost seconds.
    let args = ["pack-objects", "--revs", "--delta-base-offset", "--window=0", "-q"];
    let call = mirror.call("pack the history", args).arg(new.join("pack")).stdin(wanted.into_bytes());
    git::run(call.config("core.fsync", "none").config("pack.writeReverseIndex", "false")).await?.success()?;
    let boundary: String = ends.iter().map(|oid| format!("{oid}\n")).collect();
    let noted = fs::write(new.join("shallow"), boundary).and_then(|()| rename_once(new, dir));
    at("make", dir, noted)
}

/// Writes the files of a `.git` folder, and links those that take room.
fn write(git: &Path, from: &Path, head: &str, refs: &str) -> std::io::Result<()> {
    let packs = git.join("objects/pack");
    for folder in [&packs, &git.join("objects/info"), &git.join("refs/heads"), &git.join("info")] {
        fs::create_dir_all(folder)?;
    }
    fs::write(git.join("HEAD"), head)?;
    fs::write(git.join("packed-refs"), refs)?;
    fs::write(git.join("config"), CONFIG)?;
    fs::write(git.join("info/attributes"), ATTRIBUTES)?;
    fs::hard_link(from.join(INDEX), git.join("index"))?;
    for entry in fs::read_dir(from.join(PACK))? {
        let entry = entry?;
        let name = entry.file_name();
        if name != "shallow" {
            fs::hard_link(entry.path(), packs.join(name))?;
        } else if entry.metadata()?.len() > 0 {
            fs::copy(entry.path(), git.join("shallow"))?;
        }
    }
    open_up(git.parent().unwrap_or(git))
}

/// Makes everything readable for another user, whatever this process's umask is.
fn open_up(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        } else {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o644))?;
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Renames, unless somebody else has put the same there meanwhile.
fn rename_once(new: &Path, target: &Path) -> std::io::Result<()> {
    match fs::rename(new, target) {
        Err(_) if target.exists() => Ok(()),
        result => result,
    }
}
