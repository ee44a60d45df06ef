//! Writes blobs and commits through one `git fast-import` that lives as long as the session works.

use events::{Oid, RepoPath};

use super::quoting::quoted;
use crate::Error;
use crate::base_tree::Object;
use crate::git::Stream;
use crate::mirror::Mirror;

/// So many answers fit into a pipe that nobody reads from yet.
const UNREAD_ANSWERS_MAX: usize = 256;
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
}

#[derive(Debug)]
struct Process {
    stream: Stream,
    /// Whether it was told of the tip.
    is_on_tip: bool,
    /// Blobs whose names were asked for and not yet read.
    unread: usize,
    read: Vec<Oid>,
}

impl Writer {
    pub(super) fn new(mirror: Mirror, hidden: String, tip: Oid, at_s: u64) -> Self {
        Self { mirror, hidden, tip, at_s, process: None }
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
        if !process.is_on_tip {
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
        process.is_on_tip = true;
        self.tip = commit.clone();
        self.process = Some(process);
        Ok(commit)
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        match self.process {
            Some(process) => process.stream.close().await,
            None => Ok(()),
        }
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
        // A few objects are written loose, not as one pack a step; these, too, are to be on disk.
        let call = call.config("core.fsync", "committed").config("fastimport.unpackLimit", "100");
        Ok(Self { stream: Stream::start(&call)?, is_on_tip: false, unread: 0, read: Vec::new() })
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
