//! The conversation with the program inside: several requests at once, answers in any order.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backspace_init::frame::{self, LENGTH_BYTES};
use backspace_init::protocol::{Answer, Ask, Request, Said};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::Error;

/// Requests that wait to be written. The agent sends one at a time; checks and file tools may come beside it.
const QUEUE_MAX: usize = 16;

/// The trusted side's end.
pub(super) struct Calls {
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

/// Begins the conversation. It ends when the program inside hangs up, says what it should not, or `lifetime` is over;
/// then `reason` is asked why.
pub(super) fn begin(
    socket: UnixStream,
    lifetime: Duration,
    reason: impl Fn(&str) -> String + Send + 'static,
) -> io::Result<Calls> {
    socket.set_nonblocking(true)?;
    let (from, to) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let waiting = Arc::new(Mutex::new(Waiting { next: 1, answers: HashMap::new(), over: None }));
    let (queue, frames) = mpsc::channel(QUEUE_MAX);
    // Both end with the socket: the writer when the sandbox is closed, the reader when its other end is.
    let writer = tokio::spawn(write_all(frames, to));
    let readers = Arc::clone(&waiting);
    tokio::spawn(async move {
        let over = match tokio::time::timeout(lifetime, read_all(from, &readers)).await {
            Ok(error) => error.to_string(),
            Err(_) => format!("its lifetime of {} s is over", lifetime.as_secs()),
        };
        writer.abort();
        let mut waiting = lock(&readers);
        waiting.over.get_or_insert_with(|| reason(&over));
        waiting.answers.clear();
    });
    Ok(Calls { queue: Mutex::new(Some(queue)), waiting })
}

impl Calls {
    /// Asks, and waits at most `patience` for the answer.
    pub(super) async fn ask(&self, ask: Ask, patience: Duration) -> Result<Said, Error> {
        self.ask_live(ask, patience, None).await
    }

    /// As [`Calls::ask`]; what is printed before the answer goes to `live`.
    pub(super) async fn ask_live(
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
    pub(super) fn end(&self, reason: &str) {
        let mut waiting = lock(&self.waiting);
        waiting.over.get_or_insert_with(|| reason.to_owned());
        waiting.answers.clear();
        lock(&self.queue).take();
    }

    fn lost(&self) -> Error {
        let reason = lock(&self.waiting).over.clone();
        Error::Lost { reason: reason.unwrap_or_else(|| "it hung up".to_owned()) }
    }
}

async fn write_all(mut frames: mpsc::Receiver<Vec<u8>>, mut to: OwnedWriteHalf) {
    while let Some(frame) = frames.recv().await {
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
    // Dropping the half shuts the socket's direction down.
}

/// Hands answers to those who wait; returns why it cannot go on.
async fn read_all(mut from: OwnedReadHalf, waiting: &Mutex<Waiting>) -> io::Error {
    loop {
        match read_answer(&mut from).await {
            Ok(Answer { id, said: Said::Printed(bytes) }) => {
                let live = lock(waiting).answers.get(&id).and_then(|waiter| waiter.live.clone());
                if let Some(live) = live {
                    // Whoever listened may have gone.
                    drop(live.send(bytes).await);
                }
            }
            Ok(Answer { id, said: said @ (Said::Ready | Said::Ran(_) | Said::File(_)) }) => {
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

async fn read_answer(from: &mut OwnedReadHalf) -> io::Result<Answer> {
    let mut prefix = [0; LENGTH_BYTES];
    from.read_exact(&mut prefix).await?;
    let mut body = vec![0; frame::length(prefix)?];
    from.read_exact(&mut body).await?;
    frame::decode(&body)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
