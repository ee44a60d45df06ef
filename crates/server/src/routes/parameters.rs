//! What stands in the URL and in headers, read strictly.

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use events::SessionId;
use serde::de::DeserializeOwned;

use crate::error::{Code, Problem};

/// The query of `uri`. Unknown parameters are refused, as unknown fields are.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let parsed = Query::<T>::try_from_uri(uri);
    parsed
        .map(|query| query.0)
        .map_err(|rejection| Problem::new(Code::InvalidParameter, rejection.body_text()))
}

/// The session id in a path. What cannot be one is the name of no session.
pub(super) fn session_id(text: &str) -> Result<SessionId, Problem> {
    text.parse().map_err(|_| Problem::new(Code::SessionNotFound, format!("there is no session {text}")))
}

/// The place after which events are wanted: what the browser says it has seen, else what the URL says.
pub(super) fn place(headers: &HeaderMap, after: Option<u64>) -> Result<u64, Problem> {
    // An empty header is what a client sends that has seen nothing.
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(after.unwrap_or(0));
    };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Problem::of_field(Code::InvalidParameter, "Last-Event-ID", "must be the id of an event, a number")
    })
}
