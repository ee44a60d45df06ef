//! A session's log as a stream of server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use events::{Entry, Event, SessionId};
use futures_util::{Stream, StreamExt as _};
use store::EventLog;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::deltas::Deltas;
use crate::wire::{self, Form};

/// The first entries are read before the answer begins, so that it can still say that there is no such session. Most
/// finished sessions fit, and are answered by this one read.
pub(crate) const FIRST_PAGE: usize = 64;
/// Clients that lost the connection come back after this.
const RETRY: Duration = Duration::from_secs(2);

/// When the process ends, a stream ends with what the log holds: with nothing new for so long. Our own sessions have
/// their final entry by then; those of other processes go on without us.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How streams are kept.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    /// A comment is sent when nothing happened for so long: proxies close connections that are silent.
    pub(crate) heartbeat: Duration,
    /// Ends all streams, for the end of the process.
    pub(crate) closing: CancellationToken,
}

/// Where a stream can begin.
pub(crate) enum Opening {
    /// Here, with these entries.
    At(Vec<Entry>),
    /// After the final entry: nothing will ever come.
    BehindTheEnd,
    /// There is no entry at the place after which it should begin.
    Beyond,
    /// There is no such session.
    NoSession,
}

/// Looks where a stream of `session` after place `seq` can begin, and reads up to `limit` entries there.
pub(crate) async fn open(
    log: &dyn EventLog,
    session: SessionId,
    seq: u64,
    limit: usize,
) -> Result<Opening, store::Error> {
    // One place early, to see whether it is the last one.
    let early = usize::from(seq > 0);
    let mut page = log.read_after(session, seq.saturating_sub(1), limit + early).await?;
    if page.is_empty() {
        let known = seq > 0 && !log.read_after(session, 0, 1).await?.is_empty();
        return Ok(if known { Opening::Beyond } else { Opening::NoSession });
    }
    if seq > 0 {
        let before = page.remove(0);
        if is_final(&before) {
            return Ok(Opening::BehindTheEnd);
        }
    }
    Ok(Opening::At(page))
}

/// What is streamed.
pub(crate) struct Followed {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) session: SessionId,
    /// The place after which the stream begins.
    pub(crate) seq: u64,
    /// The entries after that place, as far as they are there.
    pub(crate) first: Vec<Entry>,
    pub(crate) form: Form,
    /// What the model says meanwhile, for clients that want it.
    pub(crate) deltas: Option<Deltas>,
}

/// The stream of `followed`.
pub(crate) fn respond(followed: Followed, streams: &Streams) -> Response {
    let session = followed.session;
    let body = Body::from_stream(chunks(followed, streams.clone()));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // Nginx would hold the events back otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&session.to_string()) {
        headers.insert(HeaderName::from_static("x-session-id"), id);
    }
    response
}

/// The body: each event in one piece. Nothing is read ahead of the client: while it does not take a chunk, nobody asks
/// this stream for the next one, and the entries wait in the log.
fn chunks(
    followed: Followed,
    streams: Streams,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    async_stream::stream! {
        yield Ok(Bytes::from(format!("retry: {}\n\n", RETRY.as_millis())));
        let Followed { log, session, mut seq, first, form, mut deltas } = followed;
        for entry in first {
            seq = entry.seq;
            deltas.iter_mut().for_each(|deltas| deltas.entry_sent(&entry));
            if let Some(event) = wire::event_in(form, &entry) {
                yield Ok(Bytes::from(event.to_sse()));
            }
            if is_final(&entry) {
                return;
            }
        }
        let mut rest = Box::pin(store::follow(log, session, seq));
        let mut ending = false;
        loop {
            let patience = if ending { LAST_WORDS } else { streams.heartbeat };
            // The log goes first: a reply that stands in it takes the place of what was said on the way to it.
            let next = tokio::select! {
                biased;
                next = tokio::time::timeout(patience, rest.next()) => next,
                said = said(&mut deltas), if !ending => {
                    yield Ok(Bytes::from(said));
                    continue;
                }
                () = streams.closing.cancelled(), if !ending => {
                    ending = true;
                    continue;
                }
            };
            match next {
                Err(_elapsed) if ending => return,
                Err(_elapsed) => yield Ok(Bytes::from_static(b": still here\n\n")),
                Ok(None) => return,
                Ok(Some(Err(error))) => {
                    // The client comes back with the last id it has seen.
                    error!(session.id = %session, "A stream of {session} ends early: {error}");
                    return;
                }
                Ok(Some(Ok(entry))) => {
                    deltas.iter_mut().for_each(|deltas| deltas.entry_sent(&entry));
                    if let Some(event) = wire::event_in(form, &entry) {
                        yield Ok(Bytes::from(event.to_sse()));
                    }
                }
            }
        }
    }
}

/// What the model says meanwhile; nothing, for ever, for a client that does not want it.
async fn said(deltas: &mut Option<Deltas>) -> String {
    match deltas {
        Some(deltas) => deltas.next().await,
        None => std::future::pending().await,
    }
}

/// Whether nothing comes after `entry`.
pub(crate) fn is_final(entry: &Entry) -> bool {
    matches!(entry.event, Event::SessionEnded(_))
}
