//! Saves the work tree of a session, step by step, as commits on its hidden ref.

mod quoting;
mod writing;

use std::collections::{BTreeMap, HashSet};

use events::{ChangeList, ChangedKind, Content, Oid, RepoPath, SessionId, Stamp};

use crate::base_tree::{BaseTree, Manifest, Mode, Object};
use crate::hygiene::{self, Collisions, Ignored, Skipped, Vetted};
use crate::mirror::{Mirror, hidden_ref};
use crate::{Contents, Error, git};

use writing::{Step, Writer};

/// Saves the work tree of one session. It holds what is saved already, so that only what changed is read.
#[derive(Debug)]
pub struct Recorder {
    base_tree: BaseTree,
    base: Manifest,
    ignored: Ignored,
    collisions: Collisions,
    writer: Writer,
    /// Every path at which the last saved step may differ from the base.
    paths: BTreeMap<RepoPath, Known>,
}

/// What is known of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// What the sandbox listed when its content was read.
    seen: Option<(ChangedKind, Stamp)>,
    /// What the last saved step holds there.
    saved: Option<Object>,
}

/// What came of saving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The commit that now holds the work tree; nothing when it is as it was at the last save.
    pub commit: Option<Oid>,
    /// Whether the work tree, as saved, differs from the base.
    pub differs_from_base: bool,
    /// Changed paths that are not part of it.
    pub skipped: Vec<Skipped>,
    /// Saved paths that differ from others by case alone.
    pub colliding: Vec<String>,
}

impl Mirror {
    /// Begins to save the steps of `session`, after `last` when it was interrupted.
    ///
    /// # Errors
    /// [`Error::Git`] when `last` is not in the mirror.
    pub async fn recorder(
        &self,
        session: SessionId,
        base: &BaseTree,
        last: Option<&Oid>,
    ) -> Result<Recorder, Error> {
        let hidden = hidden_ref(session);
        // Only the session's owner comes here: a lock on its ref was left by an owner that was killed.
        let _absent = std::fs::remove_file(self.dir.join(format!("{hidden}.lock")));
        let paths = match last {
            Some(last) => self.differences(&base.commit, last).await?,
            None => BTreeMap::new(),
        };
        let tip = last.unwrap_or(&base.commit).clone();
        Ok(Recorder {
            base_tree: base.clone(),
            base: base.manifest().await?,
            ignored: Ignored::new(base.work()),
            collisions: Collisions::default(),
            writer: Writer::new(self.clone(), hidden, tip, base.committed_at()?),
            paths,
        })
    }

    /// What an earlier attempt had saved.
    async fn differences(&self, base: &Oid, last: &Oid) -> Result<BTreeMap<RepoPath, Known>, Error> {
        let options = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev"];
        let call = self.call("read the saved step", options).args([base.as_str(), last.as_str()]);
        let listing = git::run(call).await?.success()?.stdout;
        let mut paths = BTreeMap::new();
        let mut fields = listing.split(|byte| *byte == 0);
        // `:MODE MODE OID OID STATUS NUL PATH NUL`
        while let (Some(what), Some(path)) = (fields.next(), fields.next()) {
            let words: Vec<&[u8]> = what.split(|byte| *byte == b' ').collect();
            let (Ok(path), [_, mode, _, oid, _]) = (RepoPath::parse(path), words.as_slice()) else {
                continue;
            };
            let oid = std::str::from_utf8(oid).ok().and_then(|oid| oid.parse().ok());
            let saved = Mode::parse(mode).zip(oid).map(|(mode, oid)| Object { mode, oid });
            paths.insert(path, Known { seen: None, saved });
        }
        Ok(paths)
    }
}

impl Recorder {
    /// Saves what differs from the base. When this returns, the commit and the hidden ref are on disk.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when more was changed than a change may hold; what was saved earlier stays. After any
    /// error the next save goes on from the last one that succeeded.
    pub async fn save(&mut self, list: &ChangeList, contents: &dyn Contents) -> Result<Saved, Error> {
        self.ignored.update(list, contents).await?;
        let vetted = hygiene::vet(list, &self.base, &mut self.ignored)?;
        let colliding = self.colliding(&vetted);
        let mut next = self.read(&vetted, contents).await?;
        self.imply_deletions(&vetted, &mut next);
        self.restore(&vetted, &mut next);
        let mut step = Step::default();
        for (path, known) in &next {
            let before = self.saved_at(path);
            match (&before, &known.saved) {
                (Some(_), None) => step.deleted.push(path.clone()),
                (before, Some(now)) if before.as_ref() != Some(now) => {
                    step.written.push((path.clone(), now.clone()))
                }
                (_, _) => {}
            }
        }
        let commit = if step.is_empty() { None } else { Some(self.writer.commit(&step).await?) };
        self.remember(next);
        let differs_from_base =
            self.paths.iter().any(|(path, known)| known.saved != self.base.get(path.as_bytes()));
        Ok(Saved { commit, differs_from_base, skipped: vetted.skipped, colliding })
    }

    /// Ends the process that writes, and tidies the mirror when it needs it. Nothing is lost without it.
    ///
    /// # Errors
    /// When the process does not end.
    pub async fn close(self) -> Result<(), Error> {
        self.writer.close().await
    }

    /// The tree that the session started from.
    pub fn base(&self) -> &BaseTree {
        &self.base_tree
    }

    /// What the last saved step holds at `path`.
    fn saved_at(&self, path: &RepoPath) -> Option<Object> {
        match self.paths.get(path) {
            Some(known) => known.saved.clone(),
            None => self.base.get(path.as_bytes()),
        }
    }

    /// Reads and stores the content of what changed since the last save.
    async fn read(
        &mut self,
        vetted: &Vetted<'_>,
        contents: &dyn Contents,
    ) -> Result<BTreeMap<RepoPath, Known>, Error> {
        let mut next = BTreeMap::new();
        let mut read = Vec::new();
        // Blobs of a save that failed half-way are nobody's.
        let _of_a_failed_save = self.writer.oids().await;
        for (path, changed) in &vetted.kept {
            let seen = Some((changed.kind, changed.stamp));
            if let Some(known) = self.paths.get(path).filter(|known| known.seen == seen) {
                next.insert(path.clone(), known.clone());
                continue;
            }
            if changed.kind == ChangedKind::Deleted {
                next.insert(path.clone(), Known { seen, saved: None });
                continue;
            }
            let content =
                contents.content(changed, hygiene::FILE_BYTES_MAX).await.map_err(Error::Contents)?;
            let (mode, bytes) = match content {
                Some(Content::File { executable: true, bytes }) => (Mode::Executable, bytes),
                Some(Content::File { executable: false, bytes }) => (Mode::File, bytes),
                Some(Content::Symlink(target)) => (Mode::Symlink, target),
                Some(Content::Deleted) => {
                    next.insert(path.clone(), Known { seen, saved: None });
                    continue;
                }
                // It is being written to at this moment: the next save takes it.
                None => {
                    next.insert(path.clone(), Known { seen: None, saved: self.saved_at(path) });
                    continue;
                }
            };
            self.writer.blob(&bytes).await?;
            read.push((path, seen, mode));
        }
        for ((path, seen, mode), oid) in read.into_iter().zip(self.writer.oids().await?) {
            next.insert(path.clone(), Known { seen, saved: Some(Object { mode, oid }) });
        }
        Ok(next)
    }

    /// Where a file took the place of a folder, what was in the folder is gone, and the other way round, whether or not
    /// the list says so.
    fn imply_deletions(&self, vetted: &Vetted<'_>, next: &mut BTreeMap<RepoPath, Known>) {
        let mut implied = Vec::new();
        for (path, _) in &vetted.kept {
            if next.get(path).is_none_or(|known| known.saved.is_none()) {
                continue;
            }
            let bytes = path.as_bytes();
            let above = hygiene::folders(bytes).filter(|folder| self.base.get(folder).is_some());
            implied.extend(self.base.below(bytes).chain(above).filter_map(|path| RepoPath::parse(path).ok()));
        }
        for path in implied {
            next.entry(path).or_insert(Known { seen: None, saved: None });
        }
    }

    /// What was saved and is no longer listed is as in the base again.
    fn restore(&self, vetted: &Vetted<'_>, next: &mut BTreeMap<RepoPath, Known>) {
        let held: HashSet<&RepoPath> = vetted.held.iter().collect();
        for (path, known) in &self.paths {
            if next.contains_key(path) {
                continue;
            }
            let known = match held.contains(path) {
                true => known.clone(),
                false => Known { seen: None, saved: self.base.get(path.as_bytes()) },
            };
            next.insert(path.clone(), known);
        }
    }

    /// Paths that are as in the base are forgotten, unless they are listed.
    fn remember(&mut self, mut next: BTreeMap<RepoPath, Known>) {
        next.retain(|path, known| known.seen.is_some() || known.saved != self.base.get(path.as_bytes()));
        self.paths = next;
    }

    fn colliding(&mut self, vetted: &Vetted<'_>) -> Vec<String> {
        let is_new = |path: &&RepoPath| self.base.get(path.as_bytes()).is_none();
        let there = vetted.kept.iter().filter(|(_, changed)| changed.kind != ChangedKind::Deleted);
        let new: Vec<&RepoPath> = there.map(|(path, _)| path).filter(is_new).collect();
        let gone = vetted.kept.iter().filter(|(_, changed)| changed.kind == ChangedKind::Deleted);
        let gone: HashSet<&[u8]> = gone.map(|(path, _)| path.as_bytes()).collect();
        self.collisions.find(&new, &gone, &self.base).into_iter().map(RepoPath::to_text).collect()
    }
}
