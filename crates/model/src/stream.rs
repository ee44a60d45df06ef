//! Reads a reply that arrives as server-sent events: bounded in size, and never silent for long.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use crate::Error;
use crate::sse::Events;

/// Providers send a heartbeat every few seconds; a line this silent is dead, or the server behind it is.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(120);
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
    let (mut body, mut events, mut total) = (pin!(body), Events::default(), 0_usize);
    while let Some(bytes) = next(provider, body.as_mut()).await? {
        total = total.saturating_add(bytes.len());
        if total > REPLY_BYTES_MAX {
            return Err(protocol(provider, "the reply is too long"));
        }
        let mut rest = &bytes[..];
        while let Some(data) = events.next(&mut rest).map_err(|odd| protocol(provider, odd.to_string()))? {
            if assembly.take(&data)? == Progress::Whole {
                // What may follow is of no interest, and a server that does not close in time only costs its connection.
                let rest = async { while body.next().await.is_some_and(|bytes| bytes.is_ok()) {} };
                let _ = timeout(END_MAX, rest).await;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The next bytes of `body`; nothing at its end.
async fn next<S, E>(provider: &str, mut body: Pin<&mut S>) -> Result<Option<Bytes>, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error,
{
    match timeout(IDLE_MAX, body.next()).await {
        Ok(bytes) => bytes
            .transpose()
            .map_err(|error| transient(provider, format!("the reply broke off: {}", chain(&error)))),
        Err(_) => {
            let seconds = IDLE_MAX.as_secs();
            Err(transient(provider, format!("nothing came for {seconds} s in the middle of the reply")))
        }
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

    use futures_util::stream;

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
    async fn a_broken_line_nonsense_and_a_reply_without_end_are_errors() {
        let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        let (result, kept) = read_all(vec![bytes("data: a\n\ndata: b\n")], vec![reset()]).await;
        assert_eq!(kept, ["a"]);
        assert!(matches!(result, Err(Error::Transient { .. })));
        let (result, _) = read_all(vec![Ok(Bytes::from_static(b"data: \xff\xff\n\n"))], vec![]).await;
        assert!(matches!(result, Err(Error::Protocol { .. })), "at once, and not at the end of the body");
        let notes = Bytes::from([b": ", &vec![b'x'; 1024 * 1024][..], b"\n"].concat());
        let (result, _) = read_all((0..64).map(|_| Ok(notes.clone())).collect(), vec![]).await;
        assert!(matches!(result, Err(Error::Protocol { .. })));
    }
}
