//! The events of a session: live, from any place, or as pages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use events::SessionId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::parameters;
use crate::App;
use crate::deltas::Deltas;
use crate::error::{Code, Problem, ProblemDocument};
use crate::openapi::{EventSchema, EventsPageSchema};
use crate::stream::{self, Followed, Opening};
use crate::wire::{self, Form};

/// Events in a page, when the caller does not say.
const PAGE: usize = 100;
/// Events in a page at most.
const PAGE_MAX: usize = 1000;

/// Where to begin, and how much.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Place {
    /// Only events after this id. `Last-Event-ID`, which browsers send, beats it.
    after: Option<u64>,
    /// At most so many, in a page; 1 to 1,000.
    limit: Option<usize>,
}

/// Follow a session, or read its events
///
/// With `Accept: text/event-stream` the events come as they happen, from `Last-Event-ID` or `after` on, until the final
/// one; 204 when that was seen already. Otherwise as a page of JSON. While the model answers, server-sent events named
/// `delta`, without an id, bring what it says so far; they are not kept, and a client may pass them over.
#[utoipa::path(
    get, path = "/v1/sessions/{id}/events", tag = "sessions",
    params(("id" = String, Path, description = "The session's id"), Place,
        ("Last-Event-ID" = Option<u64>, Header, description = "Only events after this id")),
    responses(
        (status = 200, description = "The events", content(
            (EventsPageSchema = "application/json"),
            ("text/event-stream", item_schema = EventSchema))),
        (status = 204, description = "The final event was seen already"),
        (status = "4XX", description = "Refused", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = parameters::session_id(&id)?;
    let place: Place = parameters::query(&uri)?;
    let after = parameters::place(&headers, place.after)?;
    if !wants_stream(&headers) {
        return page(&app, id, after, place.limit).await;
    }
    let log = Arc::clone(&app.sessions.store().log);
    match stream::open(&*log, id, after, stream::FIRST_PAGE).await? {
        Opening::At(first) => {
            let deltas = app.sessions.listen(id).map(|heard| Deltas::new(heard, after));
            let followed = Followed { log, session: id, seq: after, first, form: Form::Own, deltas };
            Ok(stream::respond(followed, &app.streams))
        }
        // For a browser the only answer after which it does not come back.
        Opening::BehindTheEnd => Ok(StatusCode::NO_CONTENT.into_response()),
        Opening::Beyond => Err(beyond(after)),
        Opening::NoSession => Err(no_session(id)),
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|part| {
        part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// A page of events as JSON.
async fn page(app: &App, id: SessionId, after: u64, limit: Option<usize>) -> Result<Response, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::of_field(Code::InvalidParameter, "limit", format!("must be 1 to {PAGE_MAX}")));
    }
    let (entries, seen_all) = match stream::open(&*app.sessions.store().log, id, after, limit).await? {
        Opening::At(entries) => (entries, false),
        Opening::BehindTheEnd => (Vec::new(), true),
        Opening::Beyond => return Err(beyond(after)),
        Opening::NoSession => return Err(no_session(id)),
    };
    let next = entries.last().map_or(after, |last| last.seq);
    let is_final = seen_all || entries.last().is_some_and(stream::is_final);
    let events: Vec<String> =
        entries.iter().filter_map(wire::event).map(|event| event.to_json_with_id()).collect();
    let body = format!("{{\"events\":[{}],\"next_after\":{next},\"final\":{is_final}}}", events.join(","));
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response())
}

fn beyond(after: u64) -> Problem {
    Problem::of_field(
        Code::InvalidParameter,
        "Last-Event-ID",
        format!("the session has no event {after} yet"),
    )
}

fn no_session(id: SessionId) -> Problem {
    Problem::new(Code::SessionNotFound, format!("there is no session {id}"))
}
