//! A git command that lives for a while and answers line by line.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::Call;
use crate::Error;

/// No single answer takes this long, unless the machine is not well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longer answers are not read: no answer that we ask for is longer.
const ANSWER_BYTES_MAX: u64 = 16 << 10;
/// How much of what it said stands in an error.
const SAID_BYTES_MAX: u64 = 4 << 10;
/// Collected before the pipe is written to.
const BUFFER_BYTES: usize = 64 << 10;

/// A git command that lives for a while and answers line by line.
///
/// It ends by itself when this value is dropped: its input is closed, and what it had finished is kept.
#[derive(Debug)]
pub(crate) struct Stream {
    child: Child,
    stdin: BufWriter<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Takes what it says in a file without a name, so that nobody needs to read along.
    said: File,
    doing: String,
}

impl Stream {
    pub(crate) fn start(call: &Call) -> Result<Self, Error> {
        let system = |e: std::io::Error| Error::system(call.doing.clone(), e);
        let said = tempfile::tempfile_in(&call.work_dir).map_err(system)?;
        let mut command = call.command().map_err(system)?;
        command.stderr(Stdio::from(said.try_clone().map_err(system)?));
        let mut child = command.spawn().map_err(system)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(system(std::io::Error::other("no pipe")));
        };
        Ok(Self {
            child,
            stdin: BufWriter::with_capacity(BUFFER_BYTES, stdin),
            stdout: BufReader::new(stdout),
            said,
            doing: call.doing.clone(),
        })
    }

    /// Sends a part of a command; see [`Stream::answers`] for when it surely arrives.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.stdin.write_all(bytes)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.failed().await),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Sends what is left and reads `count` lines.
    pub(crate) async fn answers(&mut self, count: usize) -> Result<Vec<String>, Error> {
        let read =
            tokio::time::timeout(ANSWER_TIMEOUT, read_lines(&mut self.stdin, &mut self.stdout, count)).await;
        match read {
            Ok(Ok(lines)) => Ok(lines),
            Ok(Err(_)) => Err(self.failed().await),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Lets the command finish and waits for its end.
    pub(crate) async fn close(mut self) -> Result<(), Error> {
        let _closed = self.stdin.shutdown().await;
        drop(self.stdin);
        match tokio::time::timeout(ANSWER_TIMEOUT, self.child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(Error::system(self.doing, source)),
            Err(_) => Err(Error::Timeout { doing: self.doing, seconds: ANSWER_TIMEOUT.as_secs() }),
        }
    }

    /// Why it does not answer: what it said before it ended.
    async fn failed(&mut self) -> Error {
        let ended = tokio::time::timeout(ANSWER_TIMEOUT, self.child.wait()).await;
        let exit_code = ended.ok().and_then(Result::ok).and_then(|status| status.code()).unwrap_or(-1);
        let mut said = Vec::new();
        let read = self.said.rewind().and_then(|()| (&self.said).take(SAID_BYTES_MAX).read_to_end(&mut said));
        let message = match read {
            Ok(_) => events::escape_control(String::from_utf8_lossy(&said).trim()),
            Err(error) => format!("what it said cannot be read: {error}"),
        };
        Error::Git { doing: self.doing.clone(), exit_code, message }
    }

    fn timed_out(&self) -> Error {
        Error::Timeout { doing: self.doing.clone(), seconds: ANSWER_TIMEOUT.as_secs() }
    }
}

async fn read_lines(
    stdin: &mut BufWriter<ChildStdin>,
    stdout: &mut BufReader<ChildStdout>,
    count: usize,
) -> std::io::Result<Vec<String>> {
    stdin.flush().await?;
    let mut lines = Vec::with_capacity(count);
    while lines.len() < count {
        let mut line = String::new();
        let mut bounded = tokio::io::AsyncReadExt::take(&mut *stdout, ANSWER_BYTES_MAX);
        bounded.read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        line.pop();
        lines.push(line);
    }
    Ok(lines)
}
