//! A sandbox that is looked on: which command it runs at the moment is told to whoever waits for it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use events::{ChangeList, ChangedPath, Content};
use sandbox::{
    Allowance, Command, Error, Exported, FileAnswer, FileTool, Inside, Opens, Policy, Ran, Sandbox, Terms,
    Tree,
};
use tokio::sync::watch;

/// What is looked on.
pub(super) enum Inner {
    /// A sandbox that is opened when it is needed.
    Real(sandbox::Config),
    /// One that answers from a recording.
    Played(Arc<dyn Sandbox>),
}

/// Opens `inner`, and tells what runs in it.
pub(super) fn observed(inner: Inner) -> (Opening, Running) {
    let (tells, hears) = watch::channel(None);
    (Opening { inner, tells }, Running(hears))
}

/// Hears which command runs at the moment.
pub(super) struct Running(watch::Receiver<Option<String>>);

impl Running {
    /// Waits until `script` runs. A sandbox that is gone runs nothing any more.
    pub(super) async fn wait_for(&mut self, script: &str) {
        let _gone = self.0.wait_for(|running| running.as_deref() == Some(script)).await;
    }
}

/// See [`observed`].
pub(super) struct Opening {
    inner: Inner,
    tells: watch::Sender<Option<String>>,
}

#[async_trait]
impl Opens for Opening {
    async fn open(&self, tree: &Tree, policy: &Policy) -> Result<Arc<dyn Sandbox>, Error> {
        let inner = match &self.inner {
            Inner::Real(config) => sandbox::open(config, tree, policy).await?,
            Inner::Played(played) => Arc::clone(played),
        };
        Ok(Arc::new(Observed { inner, tells: self.tells.clone() }))
    }

    async fn inside(&self, tree: &Tree, policy: &Policy, names: &[&str]) -> Result<Inside, Error> {
        match &self.inner {
            Inner::Real(config) => sandbox::inside(config, tree, policy, names).await,
            Inner::Played(_) => Ok(Inside::default()),
        }
    }
}

struct Observed {
    inner: Arc<dyn Sandbox>,
    tells: watch::Sender<Option<String>>,
}

#[async_trait]
impl Sandbox for Observed {
    async fn run(&self, command: &Command) -> Result<Ran, Error> {
        self.tells.send_replace(Some(command.script.clone()));
        let ran = self.inner.run(command).await;
        self.tells.send_replace(None);
        ran
    }

    async fn file(&self, tool: &FileTool) -> Result<FileAnswer, Error> {
        self.inner.file(tool).await
    }

    async fn changes(&self) -> Result<ChangeList, Error> {
        self.inner.changes().await
    }

    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error> {
        self.inner.content(path, bytes_max).await
    }

    async fn export(&self, into: &Path, allowance: Allowance) -> Result<Exported, Error> {
        self.inner.export(into, allowance).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }

    fn terms(&self) -> &Terms {
        self.inner.terms()
    }
}
