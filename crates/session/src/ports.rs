//! What the story reaches the world through.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use events::{Budget, Oid, Redactor, Remote, SessionId, SessionState, Tenant};
use forge::Forge;
use repo::{Mirror, Repos, Source};
use store::Store;

use crate::{Clock, Egress, Providers};

/// What the story reaches the world through. Made once, at the composition root.
pub struct Ports {
    /// The log and what is kept beside it.
    pub store: Store,
    /// Mirrors and base trees.
    pub repos: Repos,
    /// Where pull requests live.
    pub forges: Forges,
    /// The pull requests of repositories on this machine.
    pub shelf: crate::LocalShelf,
    /// Who may be asked to think.
    pub providers: Providers,
    /// How often and how long a provider that does not answer is asked again.
    pub retry: model::Policy,
    /// What the operator lets any session use up.
    pub budget: Budget,
    /// Which providers are left alone for a while.
    pub breakers: model::Breakers,
    /// Where untrusted commands run.
    pub sandbox: sandbox::Config,
    /// What a sandbox may use.
    pub policy: sandbox::Policy,
    /// What its commands may reach; nothing when there is no way out at all.
    pub egress: Option<Egress>,
    /// What the setup of a project may use; nothing when none is set up.
    pub setup: Option<SetupLimits>,
    /// How long a single command may run.
    pub command_timeout: Duration,
    /// Knows our secrets, to keep them out of everything.
    pub redactor: Arc<Redactor>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Whom commits are by.
    pub identity: Identity,
    /// Where locks and patches are kept.
    pub home: PathBuf,
}

/// What the setup of a project may use.
#[derive(Debug, Clone, Copy)]
pub struct SetupLimits {
    /// How long all its commands may take together.
    pub time_max: Duration,
    /// How many bytes of disk all prepared trees may take together; with 0 none is kept.
    pub kept_bytes_max: u64,
}

impl Default for SetupLimits {
    /// A quarter of an hour, 20 GiB.
    fn default() -> Self {
        Self { time_max: Duration::from_secs(900), kept_bytes_max: 20 << 30 }
    }
}

/// Whom commits are by.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

/// The forges that are configured.
#[derive(Clone)]
pub struct Forges {
    /// By host, in lower case, with the port when it is part of the address.
    pub hosted: Vec<(String, Arc<dyn Forge>)>,
    /// For folders on this machine.
    pub local: Arc<dyn Forge>,
}

impl Forges {
    /// The forge on which `remote` lives.
    pub(crate) fn of(&self, remote: &Remote) -> Option<Arc<dyn Forge>> {
        match remote {
            Remote::Local(_) => Some(self.local.clone()),
            Remote::Hosted(hosted) => {
                self.hosted.iter().find(|(host, _)| *host == hosted.host).map(|(_, forge)| forge.clone())
            }
        }
    }
}

impl Ports {
    /// `remote` and what git needs to reach it.
    ///
    /// # Errors
    /// When the forge does not give the credential.
    pub(crate) async fn source(&self, forge: &dyn Forge, remote: &Remote) -> Result<Source, forge::Error> {
        let credential = forge.credential(remote).await?;
        Ok(Source {
            remote: remote.clone(),
            tenant: Tenant::default(),
            credential: credential.map(|c| repo::Credential { user: c.user, password: c.password }),
        })
    }

    /// The mirror that a session worked on, without asking its remote; nothing when there is none.
    ///
    /// # Errors
    /// When the forge does not give the credential, which is part of a mirror's name.
    pub(crate) async fn mirror_of(&self, state: &SessionState) -> Result<Option<Mirror>, forge::Error> {
        let remote = state.repository();
        let Some(forge) = self.forges.of(remote) else { return Ok(None) };
        let source = self.source(&*forge, remote).await?;
        Ok(self.repos.existing(&source).await)
    }

    /// Keeps `diff` as the patch of `session` and gives its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn keep_patch(&self, session: SessionId, diff: Vec<u8>) -> std::io::Result<String> {
        let folder = self.home.join("patches");
        let path = folder.join(format!("{session}.patch"));
        let text = path.display().to_string();
        let kept = tokio::task::spawn_blocking(move || write_whole(&folder, &path, &diff)).await;
        kept.map_err(std::io::Error::other)?.map(|()| text)
    }

    /// The patch from `base` to `commit` in the mirror that a session worked on.
    ///
    /// # Errors
    /// When there is no such mirror any more, or git cannot read it.
    pub(crate) async fn diff(
        &self,
        state: &SessionState,
        base: &Oid,
        commit: &Oid,
    ) -> Result<Vec<u8>, crate::Error> {
        match self.mirror_of(state).await? {
            Some(mirror) => Ok(mirror.diff(base, commit).await?),
            None => Err(crate::Error::MirrorGone(state.id)),
        }
    }
}

/// Puts `bytes` at `path` in `folder`, durably and in one piece: a patch is the only copy of somebody's work.
fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::create_dir_all(folder)?;
    // One process owns the session, so that nobody else writes to this name.
    let unfinished = path.with_extension("unfinished");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_replaces_what_was_there_and_leaves_nothing_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("patches");
        let path = folder.join("x.patch");
        write_whole(&folder, &path, b"a longer first one").unwrap();
        write_whole(&folder, &path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
