//! Makes the one commit that is delivered, and tells what is in it.

use events::{FileStat, Oid};

use crate::git;
use crate::mirror::Mirror;
use crate::scratch::Scratch;
use crate::{Error, at};

/// A larger patch is of no use to anybody who reads it, and this much is held in memory.
const DIFF_BYTES_MAX: usize = 256 << 20;
/// Longer messages are cut: what is longer is no message.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The commit that is to be delivered.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// The commit whose tree is taken: the last saved step.
    pub tree_of: Oid,
    /// Its one parent: the base.
    pub parent: Oid,
    /// The message.
    pub message: String,
    /// The name of the author, who is the committer as well.
    pub author_name: String,
    /// Their address.
    pub author_email: String,
    /// When it is made, in microseconds after 1970. The same values give the same commit.
    pub at_us: i64,
}

impl Mirror {
    /// Makes one commit on its parent with the tree of the last saved step, and has git check every new object.
    ///
    /// # Errors
    /// [`Error::Unsound`] when git would refuse the objects if it were sent them.
    pub async fn commit(&self, new: &NewCommit) -> Result<Oid, Error> {
        // With the `@` git takes every number for seconds, also a small one.
        let at = format!("@{} +0000", new.at_us.div_euclid(1_000_000).max(0));
        let tree = format!("{}^{{tree}}", new.tree_of);
        let call = self
            .call(
                "make the commit",
                ["commit-tree", "--no-gpg-sign", "-p", new.parent.as_str(), tree.as_str()],
            )
            .env("GIT_AUTHOR_NAME", &new.author_name)
            .env("GIT_AUTHOR_EMAIL", &new.author_email)
            .env("GIT_AUTHOR_DATE", &at)
            .env("GIT_COMMITTER_NAME", &new.author_name)
            .env("GIT_COMMITTER_EMAIL", &new.author_email)
            .env("GIT_COMMITTER_DATE", &at)
            .config("core.fsync", "committed")
            .stdin(message(&new.message).into_bytes());
        let made = git::run(call).await?.success()?.text();
        let commit = made.parse().map_err(|e| Error::system("make the commit", std::io::Error::other(e)))?;
        self.check(&new.parent, &commit).await?;
        Ok(commit)
    }

    /// How much `commit` changed in each file since `base`.
    ///
    /// # Errors
    /// [`Error::Git`] when one of them is not in the mirror.
    pub async fn stats(&self, base: &Oid, commit: &Oid) -> Result<Vec<FileStat>, Error> {
        let options =
            ["diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv"];
        let call = self.call("compare two commits", options).args([base.as_str(), commit.as_str()]);
        let output = git::run(call).await?.success()?;
        Ok(output.stdout.split(|byte| *byte == 0).filter_map(stat).collect())
    }

    /// The last commit that both have; nothing when they have none in common.
    ///
    /// # Errors
    /// [`Error::Git`] when one of them is not in the mirror.
    pub async fn merge_base(&self, one: &Oid, other: &Oid) -> Result<Option<Oid>, Error> {
        let call = self.call("find where two branches part", ["merge-base", one.as_str(), other.as_str()]);
        let output = git::run(call).await?;
        // Having none is an answer.
        if output.code == 1 { Ok(None) } else { Ok(output.success()?.text().parse().ok()) }
    }

    /// What `commit` changed since `base`, as a patch that `git apply` takes, binary files included.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 256 MiB; [`Error::Git`] when one of the commits is not in the mirror.
    pub async fn diff(&self, base: &Oid, commit: &Oid) -> Result<Vec<u8>, Error> {
        let options =
            ["diff-tree", "-r", "-p", "-M", "--binary", "--full-index", "--no-ext-diff", "--no-textconv"];
        let call = self.call("make the patch", options).args([base.as_str(), commit.as_str()]);
        let output = git::run(call.stdout_bytes_max(DIFF_BYTES_MAX)).await?;
        if output.overflow {
            return Err(Error::TooLarge {
                what: format!("a patch of more than {} MiB", DIFF_BYTES_MAX >> 20),
            });
        }
        Ok(output.success()?.stdout)
    }

    /// Sends the objects of `commit` that `base` does not have to a strict receiver, as a push would.
    async fn check(&self, base: &Oid, commit: &Oid) -> Result<(), Error> {
        let scratch = Scratch::new(&self.repos.scratch())?;
        let objects = scratch.path().join("objects");
        let packs = objects.join("pack");
        at("make", &packs, std::fs::create_dir_all(&packs))?;
        let send = self
            .call(
                "pack the change",
                ["pack-objects", "--revs", "--thin", "--stdout", "-q", "--delta-base-offset"],
            )
            .stdin(format!("{commit}\n^{base}\n").into_bytes());
        let receive = self
            .call("check the change", ["index-pack", "--stdin", "--strict", "--fix-thin"])
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", self.dir.join("objects"))
            .config("core.fsync", "none");
        let (sent, received) = git::run_piped(send, receive).await?;
        if received.code != 0 && (sent.code == 0 || sent.unread) {
            return Err(Error::Unsound { message: received.said });
        }
        sent.success()?;
        received.success().map(|_| ())
    }
}

/// git takes no NUL, and what is cut must stay text.
fn message(text: &str) -> String {
    let text = text.replace('\0', "");
    let text = &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)];
    format!("{}\n", text.trim_end())
}

/// Reads `added TAB deleted TAB path`; both are `-` for a binary file.
fn stat(line: &[u8]) -> Option<FileStat> {
    let mut parts = line.splitn(3, |byte| *byte == b'\t');
    let mut number = || std::str::from_utf8(parts.next()?).ok().map(|text| text.parse().ok());
    let (added, deleted) = (number()?, number()?);
    Some(FileStat { path: String::from_utf8_lossy(parts.next()?).into_owned(), added, deleted })
}
