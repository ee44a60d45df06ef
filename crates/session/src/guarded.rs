//! A sandbox whose words pass the redactor before anybody hears them: the agent, the model behind it, the log.
//!
//! No secret of this process ever enters a sandbox. One that comes out of it all the same stood in the repository, or a
//! wall has a hole; either way its owner has to know.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use events::{ChangeList, ChangedPath, Content, Event, Journal as _, Warned};
use sandbox::{Allowance, Applied, Command, Error, Exported, FileAnswer, FileTool, Ran, Sandbox, Terms};

use crate::journal::SessionJournal;

/// A sandbox and who is told when a secret comes out of it.
pub(crate) struct Guarded {
    sandbox: Arc<dyn Sandbox>,
    journal: SessionJournal,
    /// One warning is enough: a command could print the secret a million times.
    warned: AtomicBool,
}

impl Guarded {
    pub(crate) fn new(sandbox: Arc<dyn Sandbox>, journal: SessionJournal) -> Self {
        Self { sandbox, journal, warned: AtomicBool::new(false) }
    }

    /// Takes held secrets out of `texts`.
    async fn mask<'t>(&self, texts: impl IntoIterator<Item = &'t mut String>) -> Result<(), Error> {
        let mut found = false;
        for text in texts {
            if let std::borrow::Cow::Owned(masked) = self.journal.redactor.mask_held(text) {
                *text = masked;
                found = true;
            }
        }
        if found && !self.warned.swap(true, Ordering::AcqRel) {
            self.warn().await?;
        }
        Ok(())
    }

    async fn warn(&self) -> Result<(), Error> {
        let message = "A secret that this service holds came out of the sandbox, in the output of a command or in a \
                       file. It is masked. Replace the secret, and look whether it stands in the repository.";
        let warned = Warned { code: "secret_in_output".to_owned(), message: message.to_owned() };
        self.journal.record(vec![Event::Warned(warned)]).await.map_err(|error| Error::System {
            doing: "write down that a secret came out of the sandbox".to_owned(),
            source: std::io::Error::other(error),
        })
    }
}

#[async_trait]
impl Sandbox for Guarded {
    async fn run(&self, command: &Command) -> Result<Ran, Error> {
        let mut ran = self.sandbox.run(command).await?;
        self.mask([&mut ran.output]).await?;
        Ok(ran)
    }

    async fn file(&self, tool: &FileTool) -> Result<FileAnswer, Error> {
        let mut answer = self.sandbox.file(tool).await?;
        self.mask(texts(&mut answer)).await?;
        Ok(answer)
    }

    async fn changes(&self) -> Result<ChangeList, Error> {
        self.sandbox.changes().await
    }

    /// As it is: whoever takes it looks for secrets in it, and passes over files that hold one.
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error> {
        self.sandbox.content(path, bytes_max).await
    }

    async fn export(&self, into: &Path, allowance: Allowance) -> Result<Exported, Error> {
        self.sandbox.export(into, allowance).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.sandbox.close().await
    }

    fn terms(&self) -> &Terms {
        self.sandbox.terms()
    }
}

/// All that an answer says.
fn texts(answer: &mut FileAnswer) -> Vec<&mut String> {
    match answer {
        FileAnswer::Read { text, .. } | FileAnswer::Refused(text) => vec![text],
        FileAnswer::Folder { names, .. } => names.iter_mut().collect(),
        FileAnswer::Found { matches, .. } => matches.iter_mut().collect(),
        FileAnswer::Edited { applied } => {
            applied.iter_mut().flat_map(|Applied { old, new, .. }| [old, new]).collect()
        }
        FileAnswer::Written { before, .. } => before.iter_mut().collect(),
        FileAnswer::Kept { path, .. } => vec![path],
    }
}
