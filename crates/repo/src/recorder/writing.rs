//! Writes blobs and commits through one `git fast-import` that lives as long as the session works.

use events::{Oid, RepoPath};
use tokio::task::JoinSet;
use tracing::warn;

use super::quoting::quoted;
use crate::Error;
use crate::base_tree::Object;
use crate::git::Stream;
use crate::mirror::Mirror;

/// So many answers fit into a pipe that nobody reads from yet.
const UNREAD_ANSWERS_MAX: usize = 256;
/// Each step is a pack. git keeps its hands off those of a living process, so that it is renewed after so many.
const PACKS_MAX: u32 = 64;
/// Steps are made by us, whoever is the author of the commit that is delivered.
const AUTHOR: &str = "backspace <backspace@localhost>";

/// Paths that differ from the last saved step.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) deleted: Vec<RepoPath>,
    pub(super) written: Vec<(RepoPath, Object)>,
}

impl Step {
    pub(super) fn is_empty(&self) -> bool {
        self.deleted.is_empty() && self.written.is_empty()
    }
}

/// Writes blobs and commits into a mirror.
#[derive(Debug)]
pub(super) struct Writer {
    mirror: Mirror,
    hidden: String,
    tip: Oid,
    /// Steps carry the base's time: the log knows the true one, and equal work gives equal commits.
    at_s: u64,
    process: Option<Process>,
    /// Ended with this value, at the latest.
    tidying: JoinSet<()>,
}

#[derive(Debug)]
struct Process {
    stream: Stream,
    /// How many commits it has made; before the first it does not know of the tip.
    commits: u32,
    /// Blobs whose names were asked for and not yet read.
    unread: usize,
    read: Vec<Oid>,
}

impl Writer {
    pub(super) fn new(mirror: Mirror, hidden: String, tip: Oid, at_s: u64) -> Self {
        Self { mirror, hidden, tip, at_s, process: None, tidying: JoinSet::new() }
    }

    /// Stores a blob; [`Writer::oids`] gives the names in the same order.
    pub(super) async fn blob(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut process = self.take()?;
        process.blob(bytes).await?;
        // Put back only now: after an error, or when the caller gives up half-way, the next save starts afresh.
        self.process = Some(process);
        Ok(())
    }

    /// The names of the blobs stored since the last call.
    pub(super) async fn oids(&mut self) -> Result<Vec<Oid>, Error> {
        let Some(mut process) = self.process.take() else { return Ok(Vec::new()) };
        process.catch_up().await?;
        let oids = std::mem::take(&mut process.read);
        self.process = Some(process);
        Ok(oids)
    }

    /// Commits `step` on the tip and waits until commit and ref are on disk.
    pub(super) async fn commit(&mut self, step: &Step) -> Result<Oid, Error> {
        let mut process = self.take()?;
        let at = self.at_s;
        let mut text =
            format!("commit {}\nmark :1\ncommitter {AUTHOR} {at} +0000\ndata 5\nStep\n", self.hidden)
                .into_bytes();
        if process.commits == 0 {
            text.extend(format!("from {}\n", self.tip).bytes());
        }
        // Deletions first: a file may take the place of a folder, and a folder that of a file.
        for path in &step.deleted {
            text.extend([b"D ", quoted(path.as_bytes()).as_slice(), b"\n"].concat());
        }
        for (path, object) in &step.written {
            text.extend(format!("M {} {} ", object.mode.as_str(), object.oid).bytes());
            text.extend(quoted(path.as_bytes()));
            text.push(b'\n');
        }
        // What `progress` says comes after the checkpoint is through.
        text.extend(b"\nget-mark :1\ncheckpoint\nprogress saved\n");
        process.stream.send(&text).await?;
        let answers = process.stream.answers(2).await?;
        let commit = answers.first().and_then(|line| line.parse::<Oid>().ok());
        let commit = commit.ok_or_else(|| odd_answer(&answers))?;
        process.commits += 1;
        self.tip = commit.clone();
        if process.commits < PACKS_MAX {
            self.process = Some(process);
        } else {
            process.stream.close().await?;
            self.tidy_meanwhile().await;
        }
        Ok(commit)
    }

    pub(super) async fn close(mut self) -> Result<(), Error> {
        if let Some(process) = self.process.take() {
            process.stream.close().await?;
        }
        while self.tidying.join_next().await.is_some() {}
        self.mirror.tidy().await
    }

    /// While the agent goes on; there is never more than one at it.
    async fn tidy_meanwhile(&mut self) {
        while self.tidying.join_next().await.is_some() {}
        let mirror = self.mirror.clone();
        self.tidying.spawn(async move {
            if let Err(error) = mirror.tidy().await {
                warn!("A mirror could not be tidied: {error}");
            }
        });
    }

    fn take(&mut self) -> Result<Process, Error> {
        match self.process.take() {
            Some(process) => Ok(process),
            None => Process::start(&self.mirror),
        }
    }
}

impl Process {
    fn start(mirror: &Mirror) -> Result<Self, Error> {
        // With `--force` the ref also goes back: after a crash it may be a step ahead of the log.
        let call = mirror.call("save the step", ["fast-import", "--quiet", "--force", "--date-format=raw"]);
        // One pack a step is three files to bring to disk; loose objects would be one for each blob and folder.
        let call = call.config("core.fsync", "committed").config("fastimport.unpackLimit", "0");
        Ok(Self { stream: Stream::start(&call)?, commits: 0, unread: 0, read: Vec::new() })
    }

    async fn blob(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.send(format!("blob\nmark :1\ndata {}\n", bytes.len()).as_bytes()).await?;
        self.stream.send(bytes).await?;
        self.stream.send(b"\nget-mark :1\n").await?;
        self.unread += 1;
        if self.unread == UNREAD_ANSWERS_MAX {
            self.catch_up().await?;
        }
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        let answers = self.stream.answers(self.unread).await?;
        self.unread = 0;
        for line in &answers {
            self.read.push(line.parse().map_err(|_| odd_answer(&answers))?);
        }
        Ok(())
    }
}

fn odd_answer(answers: &[String]) -> Error {
    let told = answers.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    Error::Git {
        doing: "save the step".to_owned(),
        exit_code: 0,
        message: format!("unexpected answer: {told}"),
    }
}
