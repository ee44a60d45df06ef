//! Reads a reply that arrives as server-sent events: bounded in size, and in time.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use crate::patience::Patience;
use crate::sse::Events;
use crate::{Error, Served};

/// One reply, in bytes: the longest reply on offer has 128,000 tokens of some 250 bytes each on the wire.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the end of a body is waited for after its last event; only then can its connection be used again.
const END_MAX: Duration = Duration::from_millis(100);

/// Puts a reply together from the data of its events.
pub(crate) trait Assembly {
    /// Takes in one event.
    fn take(&mut self, data: &str) -> Result<Progress, Error>;
}

/// How far a reply has come by an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has grown. More events are to come.
    More,
    /// It has not: that was a sign of life, or nothing that anybody knows.
    Same,
    /// That was the last event.
    Whole,
}

/// Feeds the events in `body` to `assembly` until it has the whole reply or the body ends.
///
/// A body that ends early is no error here: the assembly knows whether something is missing.
pub(crate) async fn read<S, E>(served: &Served, body: S, assembly: &mut impl Assembly) -> Result<(), Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error,
{
    let provider = served.provider();
    let (mut body, mut events, mut total) = (pin!(body), Events::default(), 0_usize);
    let mut patience = Patience::begin(served.manners.idle);
    while let Some(bytes) = patience.next(body.as_mut()).await.map_err(|why| transient(provider, why))? {
        let broke_off = |error| transient(provider, format!("the reply broke off: {}", chain(&error)));
        let bytes = bytes.map_err(broke_off)?;
        total = total.saturating_add(bytes.len());
        if total > REPLY_BYTES_MAX {
            return Err(protocol(provider, "the reply is too long"));
        }
        let mut rest = &bytes[..];
        while let Some(data) = events.next(&mut rest).map_err(|odd| protocol(provider, odd.to_string()))? {
            match assembly.take(&data)? {
                Progress::More => patience.grew(),
                Progress::Same => {}
                Progress::Whole => {
                    // What may follow is of no interest, and a server that does not close in time only costs its connection.
                    let rest = async { while body.next().await.is_some_and(|bytes| bytes.is_ok()) {} };
                    let _ = timeout(END_MAX, rest).await;
                    return Ok(());
                }
            }
        }
    }
    Ok(())
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
    use crate::vendors::tests::ours;

    /// Keeps the events.
    struct Kept(Vec<String>);

    impl Assembly for Kept {
        fn take(&mut self, data: &str) -> Result<Progress, Error> {
            self.0.push(data.to_owned());
            Ok(match data {
                "end" => Progress::Whole,
                "ping" => Progress::Same,
                _ => Progress::More,
            })
        }
    }

    async fn read_all(
        chunks: Vec<io::Result<Bytes>>,
        last: Vec<io::Result<Bytes>>,
    ) -> (Result<(), Error>, Vec<String>) {
        let mut kept = Kept(Vec::new());
        let silence = stream::pending().take(if last.is_empty() { 1 } else { 0 });
        let body = stream::iter(chunks).chain(silence).chain(stream::iter(last));
        (read(&ours("ollama", "m"), body, &mut kept).await, kept.0)
    }

    fn bytes(text: &'static str) -> io::Result<Bytes> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_line_is_given_up() {
        let (result, kept) = read_all(vec![bytes("data: a\n\n: ping\n"), bytes("data: b")], vec![]).await;
        assert_eq!(kept, ["a"]);
        let error = result.unwrap_err();
        assert!(
            matches!(error, Error::Transient { .. }) && error.to_string().contains("for 600 s"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_are_listened_to_for_ten_minutes() {
        for sign in [": OPENROUTER PROCESSING\n\n", "data: ping\n\n", "data: \n\n", "data: a sl"] {
            let signs = stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_secs(15)).await;
                Some((bytes(sign), ()))
            });
            let (mut kept, begun) = (Kept(Vec::new()), tokio::time::Instant::now());
            let error = read(&ours("openai", "m"), signs, &mut kept).await.unwrap_err();
            let said = "openai is not answering: nothing but signs of life came for 600 s";
            assert!(matches!(error, Error::Transient { .. }) && error.to_string() == said, "{error}");
            assert_eq!(begun.elapsed().as_secs(), 600);
        }
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
