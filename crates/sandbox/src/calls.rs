//! The conversation with the program inside: several requests at once, answers in any order.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backspace_init::frame::{self, LENGTH_BYTES};
use backspace_init::protocol::{
    Answer, Ask, FRAME_BYTES_MAX, FileAnswer, FileTool, Ran, Request, Said, Script,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

use crate::{Command, Error};

/// Requests that wait to be written. The agent sends one at a time; checks and file tools may come beside it.
const QUEUE_MAX: usize = 16;
/// A file tool takes milliseconds; a search of a huge tree on a swamped machine may take long.
const FILE_PATIENCE: Duration = Duration::from_secs(120);
/// Beyond its deadline a command's process tree is ended, and its output read on, for some seconds.
const RUN_PATIENCE: Duration = Duration::from_secs(30);
/// A larger file does not fit a request.
const WRITE_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// Why a sandbox is lost whose process 1 the kernel ended for want of memory.
pub(crate) const STARVED: &str = "it ran out of memory";

/// The trusted side's end.
pub(crate) struct Calls {
    queue: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for an answer.
struct Waiting {
    next: u64,
    answers: HashMap<u64, Waiter>,
    /// Why nobody will be answered any more.
    over: Option<String>,
}

/// One who waits.
struct Waiter {
    answer: oneshot::Sender<Said>,
    /// Hears what is printed before the answer.
    live: Option<mpsc::Sender<Vec<u8>>>,
}

/// Begins the conversation. It ends when `over` returns with the reason, or when the program inside hangs up or says what it
/// should not; then `reason` is asked whether it knows more.
pub(crate) fn begin<R: Future<Output = String> + Send>(
    from: impl AsyncRead + Unpin + Send + 'static,
    to: impl AsyncWrite + Unpin + Send + 'static,
    over: impl Future<Output = String> + Send + 'static,
    reason: impl FnOnce(String) -> R + Send + 'static,
) -> Calls {
    let waiting = Arc::new(Mutex::new(Waiting { next: 1, answers: HashMap::new(), over: None }));
    let (queue, frames) = mpsc::channel(QUEUE_MAX);
    // Both end with the socket: the writer when the sandbox is closed, the reader when its other end is.
    let writer = tokio::spawn(write_all(frames, to));
    let readers = Arc::clone(&waiting);
    tokio::spawn(async move {
        let over = tokio::select! {
            error = read_all(from, &readers) => {
                let is_known = lock(&readers).over.is_some();
                if is_known { error.to_string() } else { reason(error.to_string()).await }
            }
            reason = over => reason,
        };
        writer.abort();
        let mut waiting = lock(&readers);
        waiting.over.get_or_insert(over);
        waiting.answers.clear();
    });
    Calls { queue: Mutex::new(Some(queue)), waiting }
}

/// Returns when a sandbox has lived as long as it may, with the words for that.
pub(crate) async fn life_of(lifetime: Duration) -> String {
    tokio::time::sleep(lifetime).await;
    format!("its lifetime of {} s is over", lifetime.as_secs())
}

impl Calls {
    /// See [`crate::Sandbox::run`].
    pub(crate) async fn run(&self, command: &Command) -> Result<Ran, Error> {
        let script = Script {
            text: command.script.clone(),
            timeout_ms: u64::try_from(command.timeout.as_millis()).unwrap_or(u64::MAX),
            output_bytes_max: command.output_bytes_max as u64,
            live: command.live.is_some(),
        };
        let patience = command.timeout.saturating_add(RUN_PATIENCE);
        let said = self.ask_live(Ask::Run(script), patience, command.live.clone()).await?;
        let Said::Ran(ran) = said else { return Err(self.answered_wrongly()) };
        Ok(ran)
    }

    /// See [`crate::Sandbox::file`].
    pub(crate) async fn file(&self, tool: &FileTool) -> Result<FileAnswer, Error> {
        if let FileTool::Write { bytes, .. } | FileTool::Keep { bytes } = tool
            && bytes.len() > WRITE_BYTES_MAX
        {
            return Ok(FileAnswer::Refused(format!(
                "a file of more than {WRITE_BYTES_MAX} bytes is not written"
            )));
        }
        let said = self.ask(Ask::File(tool.clone()), FILE_PATIENCE).await?;
        let Said::File(answer) = said else { return Err(self.answered_wrongly()) };
        Ok(answer)
    }

    /// Asks, and waits at most `patience` for the answer.
    pub(crate) async fn ask(&self, ask: Ask, patience: Duration) -> Result<Said, Error> {
        self.ask_live(ask, patience, None).await
    }

    /// As [`Calls::ask`]; what is printed before the answer goes to `live`.
    async fn ask_live(
        &self,
        ask: Ask,
        patience: Duration,
        live: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<Said, Error> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut waiting = lock(&self.waiting);
            if let Some(reason) = &waiting.over {
                return Err(Error::Lost { reason: reason.clone() });
            }
            let id = waiting.next;
            waiting.next += 1;
            waiting.answers.insert(id, Waiter { answer: sender, live });
            id
        };
        let frame = frame::encode(&Request { id, ask }).map_err(|source| Error::System {
            doing: "write a request for the sandbox".to_owned(),
            source,
        })?;
        let queue = lock(&self.queue).clone();
        let Some(queue) = queue else {
            return Err(self.lost());
        };
        // When it is not taken, nobody answers either, and the reader knows why.
        drop(queue.send(frame).await);
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(_)) => Err(self.lost()),
            Err(_) => {
                self.end("it does not answer");
                Err(self.lost())
            }
        }
    }

    /// Hangs up. The program inside ends on it, and everything inside with it.
    pub(crate) fn end(&self, reason: &str) {
        let mut waiting = lock(&self.waiting);
        waiting.over.get_or_insert_with(|| reason.to_owned());
        waiting.answers.clear();
        lock(&self.queue).take();
    }

    /// Nothing that comes from inside is believed; a program that answers another question than asked is given up.
    pub(crate) fn answered_wrongly(&self) -> Error {
        let reason = "it answers what was not asked";
        self.end(reason);
        Error::Lost { reason: reason.to_owned() }
    }

    fn lost(&self) -> Error {
        let reason = lock(&self.waiting).over.clone();
        Error::Lost { reason: reason.unwrap_or_else(|| "it hung up".to_owned()) }
    }
}

async fn write_all(mut frames: mpsc::Receiver<Vec<u8>>, mut to: impl AsyncWrite + Unpin) {
    while let Some(frame) = frames.recv().await {
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
    // The program inside reads the end. When it has gone already there is nobody to tell.
    drop(to.shutdown().await);
}

/// Hands answers to those who wait; returns why it cannot go on.
async fn read_all(mut from: impl AsyncRead + Unpin, waiting: &Mutex<Waiting>) -> io::Error {
    loop {
        match read_answer(&mut from).await {
            Ok(Answer { id, said: Said::Printed(bytes) }) => {
                let live = lock(waiting).answers.get(&id).and_then(|waiter| waiter.live.clone());
                if let Some(live) = live {
                    // Whoever listened may have gone.
                    drop(live.send(bytes).await);
                }
            }
            Ok(Answer { id, said }) => {
                if let Some(waiter) = lock(waiting).answers.remove(&id) {
                    // Whoever asked may have gone.
                    drop(waiter.answer.send(said));
                }
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
            {
                return io::Error::other("its process 1 has ended");
            }
            Err(error) => return error,
        }
    }
}

async fn read_answer(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Answer> {
    let mut prefix = [0; LENGTH_BYTES];
    from.read_exact(&mut prefix).await?;
    let mut body = vec![0; frame::length(prefix)?];
    from.read_exact(&mut body).await?;
    frame::decode(&body)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
