//! Reads a reply that arrives as server-sent events: bounded in size, and never silent for long.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::timeout;

use crate::Error;

/// Providers send a heartbeat every few seconds; a line this silent is dead, or the server behind it is.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(120);
/// One event, in bytes: a tool call that arrives whole can hold a file of a megabyte.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// One reply, in bytes: the longest reply on offer has 128,000 tokens of some 250 bytes each on the wire.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the end of a body is waited for after its last event; only then can its connection be used again.
const END_MAX: Duration = Duration::from_millis(100);

/// Puts a reply together from the data of its events.
pub(crate) trait Assembly {
    /// Takes in one event.
    fn take(&mut self, data: &str) -> Result<Progress, Error>;
}

/// Whether a reply is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More events are to come.
    More,
    /// That was the last event.
    Whole,
}

/// Feeds the events in `body` to `assembly` until it has the whole reply or the body ends.
///
/// A body that ends early is no error here: the assembly knows whether something is missing.
pub(crate) async fn read<S, E>(provider: &str, body: S, assembly: &mut impl Assembly) -> Result<(), Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error,
{
    let since_event = Arc::new(AtomicUsize::new(0));
    let mut events = pin!(bounded(body, since_event.clone()).eventsource());
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| broken(provider, error))?;
        since_event.store(0, Ordering::Relaxed);
        if assembly.take(&event.data)? == Progress::Whole {
            // What may follow is of no interest, and a server that does not close in time only costs its connection.
            let _ =
                timeout(END_MAX, async { while events.next().await.is_some_and(|event| event.is_ok()) {} })
                    .await;
            return Ok(());
        }
    }
    Ok(())
}

/// Why no more of a body can be read.
enum Broken {
    Line(String),
    Idle,
    FrameTooLong,
    ReplyTooLong,
}

/// `body` within the limits above; `since_event` is set to zero by whoever finds an event in it.
fn bounded<S, E>(body: S, since_event: Arc<AtomicUsize>) -> impl Stream<Item = Result<Bytes, Broken>>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error,
{
    let state = (Box::pin(body), since_event, 0_usize);
    stream::unfold(Some(state), |state| async {
        let (mut body, since_event, total) = state?;
        let bytes = match timeout(IDLE_MAX, body.next()).await {
            Err(_) => return Some((Err(Broken::Idle), None)),
            Ok(None) => return None,
            Ok(Some(Err(error))) => return Some((Err(Broken::Line(chain(&error))), None)),
            Ok(Some(Ok(bytes))) => bytes,
        };
        let total = total.saturating_add(bytes.len());
        if since_event.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() > FRAME_BYTES_MAX {
            return Some((Err(Broken::FrameTooLong), None));
        }
        if total > REPLY_BYTES_MAX {
            return Some((Err(Broken::ReplyTooLong), None));
        }
        Some((Ok(bytes), Some((body, since_event, total))))
    })
}

fn broken(provider: &str, error: EventStreamError<Broken>) -> Error {
    let protocol = |message: &str| protocol(provider, message);
    match error {
        EventStreamError::Utf8(_) => protocol("the event stream is not UTF-8"),
        EventStreamError::Parser(_) => protocol("the event stream has a line that is none"),
        EventStreamError::Transport(Broken::FrameTooLong) => protocol("an event of the stream is too long"),
        EventStreamError::Transport(Broken::ReplyTooLong) => protocol("the reply is too long"),
        EventStreamError::Transport(Broken::Line(message)) => {
            transient(provider, format!("the reply broke off: {message}"))
        }
        EventStreamError::Transport(Broken::Idle) => transient(
            provider,
            format!("nothing came for {} s in the middle of the reply", IDLE_MAX.as_secs()),
        ),
    }
}

/// An error that asking again may mend.
pub(crate) fn transient(provider: &str, message: String) -> Error {
    Error::Transient { provider: provider.to_owned(), message, retry_after_ms: None }
}

/// An answer that breaks the wire's rules.
pub(crate) fn protocol(provider: &str, message: impl Into<String>) -> Error {
    Error::Protocol { provider: provider.to_owned(), message: message.into() }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Keeps the events.
    struct Kept(Vec<String>);

    impl Assembly for Kept {
        fn take(&mut self, data: &str) -> Result<Progress, Error> {
            self.0.push(data.to_owned());
            Ok(if data == "end" { Progress::Whole } else { Progress::More })
        }
    }

    async fn read_all(
        chunks: Vec<io::Result<Bytes>>,
        last: Vec<io::Result<Bytes>>,
    ) -> (Result<(), Error>, Vec<String>) {
        let mut kept = Kept(Vec::new());
        let silence = stream::pending().take(if last.is_empty() { 1 } else { 0 });
        let body = stream::iter(chunks).chain(silence).chain(stream::iter(last));
        (read("p", body, &mut kept).await, kept.0)
    }

    fn bytes(text: &'static str) -> io::Result<Bytes> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_line_is_given_up() {
        let (result, kept) = read_all(vec![bytes("data: a\n\n: ping\n"), bytes("data: b")], vec![]).await;
        assert_eq!(kept, ["a"]);
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Transient { .. }) && error.to_string().contains("120 s"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_event_nobody_waits_long() {
        let (result, kept) = read_all(vec![bytes("data: end\n\n")], vec![]).await;
        assert!(result.is_ok() && kept == ["end"]);
    }

    #[tokio::test]
    async fn a_broken_line_and_a_long_frame_are_errors() {
        let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        let (result, kept) = read_all(vec![bytes("data: a\n\ndata: b\n")], vec![reset()]).await;
        assert_eq!(kept, ["a"]);
        assert!(matches!(result, Err(Error::Transient { .. })));
        let long = Bytes::from(vec![b'x'; FRAME_BYTES_MAX / 2 + 1]);
        let (result, _) =
            read_all(vec![bytes("data: "), Ok(long.clone()), Ok(long)], vec![bytes("\n\n")]).await;
        assert!(matches!(result, Err(Error::Protocol { .. })));
        let (result, _) =
            read_all(vec![Ok(Bytes::from_static(b"data: \xff\xff\n\n"))], vec![bytes("")]).await;
        assert!(matches!(result, Err(Error::Protocol { .. })));
    }
}
