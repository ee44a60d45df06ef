//! Runs commands in a container of a Docker or Podman engine.
//!
//! One container a session; its process 1 is ours and is spoken with over the engine's attached streams, so that nothing
//! has to be reachable but the engine. The work tree is an overlay that the engine mounts where it shares this machine's
//! file systems, and is sent into memory where it does not.

mod belongings;
mod container;
mod engine;
mod image;
mod mend;
mod outgrown;
mod overlay;
mod owner;
mod programs;
mod sent;
mod start;
mod starved;
mod sweep;
mod terms;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backspace_init::protocol::{FileAnswer, FileTool, Ran};
use events::{ChangeList, ChangedPath, Content};

use crate::calls::Calls;
use crate::{Allowance, Command, Error, Exported, Inside, Policy, Sandbox, Terms, Tree};
use belongings::Belongings;
use overlay::Overlay;

/// How to open sandboxes in containers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the engine listens: `unix://PATH`, or `tcp://HOST:PORT` in the clear.
    pub engine: String,
    /// The image of every container, which must be there: none is ever pulled. Any Linux image with a shell will do.
    pub image: String,
    /// The engine's name of the runtime, such as `runsc`; the engine's own choice when absent.
    pub runtime: Option<String>,
    /// Where the changes of a work tree live.
    pub changes: Changes,
}

/// Where the changes of a work tree live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// In memory, with the whole work tree: bounded in bytes and in files, and slow to open when the tree is large.
    Memory,
    /// Below this folder, over the base tree, where the engine can mount that; else in memory.
    FolderElseMemory(PathBuf),
    /// Below this folder, over the base tree. The size is looked at, not held by the kernel.
    Folder(PathBuf),
}

pub(crate) async fn open(config: &Config, tree: &Tree, policy: &Policy) -> Result<Docker, Error> {
    let engine = engine::connect(&config.engine).await?;
    sweep::sweep_once(&engine).await;
    start::start(&engine, config, tree, policy).await
}

/// See [`crate::inside()`].
pub(crate) async fn inside(config: &Config, policy: &Policy, names: &[&str]) -> Result<Inside, Error> {
    programs::look(config, policy, names).await
}

/// The names and versions of the engine and its parts.
pub(crate) async fn versions(config: &Config) -> Vec<String> {
    match engine::connect(&config.engine).await {
        Ok(engine) => engine.facts.versions.clone(),
        // Why it is not there is told by whoever opens a sandbox.
        Err(_) => Vec::new(),
    }
}

/// What the changes of the work tree are read from.
enum WorkTree {
    /// From outside.
    Overlay(Overlay),
    /// By process 1.
    Sent,
}

/// A sandbox in a container.
pub(crate) struct Docker {
    calls: Calls,
    work_tree: WorkTree,
    belongings: tokio::sync::Mutex<Belongings>,
    /// Nothing is run any more.
    exported: AtomicBool,
    terms: Terms,
}

impl Docker {
    /// Says that these were wanted before.
    pub(crate) fn having_passed_over(mut self, others: &[String]) -> Self {
        self.terms.passed_over = others.to_vec();
        self
    }

    fn runs(&self) -> Result<(), Error> {
        if self.exported.load(Ordering::SeqCst) {
            return Err(Error::Lost { reason: "what it holds was exported".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl Sandbox for Docker {
    async fn run(&self, command: &Command) -> Result<Ran, Error> {
        self.runs()?;
        self.calls.run(command).await
    }

    async fn file(&self, tool: &FileTool) -> Result<FileAnswer, Error> {
        self.runs()?;
        self.calls.file(tool).await
    }

    async fn changes(&self) -> Result<ChangeList, Error> {
        match &self.work_tree {
            WorkTree::Overlay(overlay) => overlay.changes().await,
            WorkTree::Sent => sent::changes(&self.calls).await,
        }
    }

    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error> {
        match &self.work_tree {
            WorkTree::Overlay(overlay) => overlay.content(path, bytes_max).await,
            WorkTree::Sent => sent::content(&self.calls, path, bytes_max).await,
        }
    }

    async fn export(&self, into: &Path, allowance: Allowance) -> Result<Exported, Error> {
        self.exported.store(true, Ordering::SeqCst);
        match &self.work_tree {
            WorkTree::Overlay(overlay) => {
                self.calls.end("what it holds is exported");
                self.belongings.lock().await.end().await?;
                overlay.export(into, allowance).await
            }
            WorkTree::Sent => sent::export(&self.calls, into, allowance).await,
        }
    }

    async fn close(&self) -> Result<(), Error> {
        self.calls.end("it was closed");
        self.belongings.lock().await.take_down().await
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }
}

impl Drop for Docker {
    /// The container's process 1 ends when it is hung up on, and the engine removes the container then.
    fn drop(&mut self) {
        self.calls.end("it was dropped");
    }
}
