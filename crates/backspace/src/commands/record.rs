//! `--record FILE`: the session's recording, written at its end, however it ends.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use events::SessionId;
use futures_util::StreamExt as _;
use session::Sessions;
use session::recording::Portion;
use tempfile::NamedTempFile;

use crate::output::{self, Usage};

/// Where a recording is to be written.
pub(crate) struct Record {
    path: PathBuf,
    portion: Portion,
    /// Lies beside the path, readable for this user alone, and takes its place when it is whole.
    file: NamedTempFile,
}

impl Record {
    /// Makes sure that `path` can be written, before anything costs money.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn begin(path: &Path, portion: Portion) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
            .map_err(|error| Usage(format!("cannot write the recording {}: {error}", path.display())))?;
        let shown = path.display();
        match portion {
            Portion::WithCode => output::say(format_args!(
                "{shown} will hold what happens and the files that the session starts from; \
                 --record-without-code leaves the files out."
            )),
            Portion::LogAlone => output::say(format_args!(
                "{shown} will hold what happens, which may quote files; the repository is left out."
            )),
        }
        Ok(Self { path: path.to_owned(), portion, file })
    }

    /// Writes the recording of `id`. The session has ended and stands as it is: what goes wrong here is told.
    pub(crate) async fn finish(self, sessions: &Sessions, id: SessionId) {
        let path = self.path.clone();
        match self.write(sessions, id).await {
            Ok(()) => output::say(format_args!("Recorded in {0}: backspace replay {0}", path.display())),
            Err(error) => {
                let text = events::escape_control(&format!("{error:#}"));
                output::say(format_args!("The recording {} could not be written: {text}", path.display()));
            }
        }
    }

    async fn write(mut self, sessions: &Sessions, id: SessionId) -> Result<()> {
        let recording = sessions.recording(id, self.portion).await.context("cannot read the log")?;
        let Some(recording) = recording else { bail!("there is no session {id}") };
        let mut recording = std::pin::pin!(recording);
        while let Some(piece) = recording.next().await {
            self.file.write_all(&piece?)?;
        }
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        Ok(())
    }
}
