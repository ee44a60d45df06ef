//! A reply as server-sent events, whole or failing on the way.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::fault::Fault;
use super::garble::garbled;

/// Pieces of a reply are this long, in bytes; as on the real wires, they end anywhere between two characters.
const PIECE_BYTES: usize = 19;

/// A sign of life: a comment as OpenRouter sends it, and Anthropic's event, which is nothing to the other wires.
const SIGN: &[u8] = b": PROCESSING\n\ndata: {\"type\": \"ping\"}\n\n";
/// The time between two of them.
const SIGN_PAUSE: Duration = Duration::from_secs(15);

/// The events of a reply.
#[derive(Debug, Default)]
pub(super) struct Events {
    frames: Vec<Bytes>,
    /// After so many events the reply is in the middle of a tool call.
    amid_call: Option<usize>,
}

impl Events {
    /// Adds an event; `name` is left out where the wire has none.
    pub(super) fn push(&mut self, name: Option<&str>, data: impl std::fmt::Display) {
        let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        self.frames.push(format!("{name}data: {data}\n\n").into());
    }

    /// Notes that a tool call has begun and has not ended.
    pub(super) fn mark_amid_call(&mut self) {
        self.amid_call.get_or_insert(self.frames.len());
    }

    /// The answer; `error` is the event with which a provider ends a reply that it cannot finish.
    pub(super) fn respond(mut self, fault: Option<&Fault>, error: (Option<&str>, &str)) -> Response {
        let place = self.amid_call.unwrap_or(self.frames.len() / 2);
        let end = match fault {
            None
            | Some(
                Fault::Status { .. }
                | Fault::QuotaSpent
                | Fault::ContextFull
                | Fault::Instead { .. }
                | Fault::EndlessError { .. },
            ) => End::Whole,
            Some(Fault::CutAtOnce) => {
                self.frames.clear();
                End::Cut
            }
            Some(Fault::Cut) => self.stop_at(place, End::Cut),
            Some(Fault::EndEarly) => self.stop_at(place, End::Whole),
            Some(Fault::Stall) => self.stop_at(place, End::Stall),
            Some(Fault::SignsOfLife) => self.stop_at(place, End::SignsOfLife),
            Some(Fault::ErrorInStream) => {
                let end = self.stop_at(place, End::Whole);
                self.push(error.0, error.1);
                end
            }
            Some(Fault::Garbled(garble)) => {
                self.frames = garbled(garble, self.frames, place);
                End::Whole
            }
        };
        let frames = self.frames;
        let body = Body::from_stream(async_stream::stream! {
            for frame in frames {
                yield Ok(frame);
            }
            match end {
                End::Whole => {}
                End::Cut => {
                    // What was written must leave before the connection breaks, or the client sees none of it.
                    tokio::task::yield_now().await;
                    yield Err(io::Error::from(io::ErrorKind::ConnectionAborted));
                }
                End::Stall => std::future::pending().await,
                End::SignsOfLife => loop {
                    tokio::time::sleep(SIGN_PAUSE).await;
                    yield Ok(Bytes::from_static(SIGN));
                },
            }
        });
        let headers = [(CONTENT_TYPE, "text/event-stream; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
        (headers, body).into_response()
    }

    /// Leaves out what comes after `place`.
    fn stop_at(&mut self, place: usize, end: End) -> End {
        self.frames.truncate(place);
        end
    }
}

/// How the body ends.
enum End {
    Whole,
    Cut,
    Stall,
    SignsOfLife,
}

/// `text` in pieces; one empty piece for an empty text.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > PIECE_BYTES {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(PIECE_BYTES));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}
