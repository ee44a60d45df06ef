//! Gives each request an id, under which the log tells what happened to it.

use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument as _, debug, info_span, warn};
use uuid::Uuid;

/// The header, of requests that bring an id and of all answers.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are somebody's mistake.
const BYTES_MAX: usize = 64;

/// Runs the request under its id.
pub(crate) async fn assign(request: Request, next: Next) -> Response {
    let id = brought(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let span = info_span!("request", id, method = %request.method(), path = request.uri().path());
    let begun = Instant::now();
    let answer = async {
        let response = next.run(request).await;
        let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis());
        if response.status().is_server_error() {
            warn!(status, "Answered {status} after {ms} ms");
        } else {
            debug!(status, "Answered {status} after {ms} ms");
        }
        response
    };
    let mut response = answer.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// The id that the request brought, when it is one that may stand in a log.
fn brought(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (!id.is_empty() && id.len() <= BYTES_MAX && id.bytes().all(plain)).then(|| id.to_owned())
}
