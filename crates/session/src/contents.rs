//! Joins a sandbox, which knows what changed, to the recorder, which commits it: neither may see the other.

use std::sync::PoisonError;

use agent::{Checkpoint, CheckpointError, Kept};
use async_trait::async_trait;
use events::{ChangedPath, Content, Oid, Redactor};
use repo::{Contents, ContentsError, Recorder};
use sandbox::Sandbox;
use tokio::sync::Mutex;
use tracing::warn;

use crate::failure;

/// Keeps the work tree of a sandbox on the session's hidden ref after each step.
pub(crate) struct Keeper<'a> {
    sandbox: &'a dyn Sandbox,
    redactor: &'a Redactor,
    state: Mutex<State>,
}

struct State {
    recorder: Recorder,
    /// The last saved commit, when the work tree differs from the base.
    tree: Option<Oid>,
    /// Why the last step could not be kept: what is kept is not the work then.
    too_large: Option<String>,
    /// What was told already: once is enough.
    told: Vec<String>,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(sandbox: &'a dyn Sandbox, recorder: Recorder, redactor: &'a Redactor) -> Self {
        let state = State { recorder, tree: None, too_large: None, told: Vec::new() };
        Self { sandbox, redactor, state: Mutex::new(state) }
    }

    /// Ends the keeping; the commit whose tree is the work, nothing when that is the base's.
    ///
    /// # Errors
    /// Why the last step could not be kept.
    pub(crate) async fn close(self) -> Result<Option<Oid>, String> {
        let State { recorder, tree, too_large, .. } = self.state.into_inner();
        if let Err(error) = recorder.close().await {
            warn!("The process that saved a session's steps did not end: {}", failure::chain(&error));
        }
        too_large.map_or(Ok(tree), Err)
    }
}

#[async_trait]
impl Checkpoint for Keeper<'_> {
    async fn save(&self) -> Result<Kept, CheckpointError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| CheckpointError(error);
        let list = self.sandbox.changes().await.map_err(|error| failed(error.into()))?;
        let mut state = self.state.lock().await;
        let contents = FromSandbox {
            sandbox: self.sandbox,
            redactor: self.redactor,
            withheld: std::sync::Mutex::default(),
        };
        let saved = match state.recorder.save(&list, &contents).await {
            Ok(saved) => saved,
            // The agent can help it: it takes away what does not belong.
            Err(repo::Error::TooLarge { what }) => {
                let note = format!(
                    "the change is too large to be kept ({what}): remove or ignore what does not belong"
                );
                state.too_large = Some(what);
                return Ok(Kept { commit: None, notes: vec![note] });
            }
            Err(error) => return Err(failed(error.into())),
        };
        state.too_large = None;
        if let Some(commit) = &saved.commit {
            state.tree = saved.differs_from_base.then(|| commit.clone());
        }
        let withheld = contents.withheld.into_inner().unwrap_or_else(PoisonError::into_inner);
        let withheld =
            withheld.iter().map(|path| format!("{path} holds a secret and is not part of the change"));
        let left_out =
            saved.skipped.iter().map(|s| format!("{} is not part of the change: {}", s.path, s.reason));
        let colliding =
            saved.colliding.iter().map(|path| format!("{path} differs from another path by case alone"));
        let notes: Vec<String> =
            withheld.chain(left_out).chain(colliding).filter(|note| !state.told.contains(note)).collect();
        state.told.extend(notes.iter().cloned());
        Ok(Kept { commit: saved.commit, notes })
    }
}

/// Reads changed paths out of a sandbox.
struct FromSandbox<'a> {
    sandbox: &'a dyn Sandbox,
    redactor: &'a Redactor,
    /// Files that hold a secret of ours, in their content or in their name: the model may have been told it, a commit never
    /// is.
    withheld: std::sync::Mutex<Vec<String>>,
}

impl FromSandbox<'_> {
    /// Notes it; its name is told without the secret.
    fn withhold(&self, path: &ChangedPath) {
        let path = self.redactor.mask_held(&String::from_utf8_lossy(&path.path)).into_owned();
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }
}

#[async_trait]
impl Contents for FromSandbox<'_> {
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Option<Content>, ContentsError> {
        if self.redactor.finds(&path.path) {
            self.withhold(path);
            return Ok(None);
        }
        match self.sandbox.content(path, bytes_max).await {
            Ok(Content::File { bytes, .. } | Content::Symlink(bytes)) if self.redactor.finds(&bytes) => {
                self.withhold(path);
                Ok(None)
            }
            Ok(content) => Ok(Some(content)),
            Err(sandbox::Error::Changed) => Ok(None),
            Err(error) => Err(ContentsError(error.into())),
        }
    }
}
