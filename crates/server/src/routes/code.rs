//! One request, and the whole session as its answer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::App;
use crate::error::{Code, Problem, ProblemDocument};
use crate::openapi::{EventSchema, SubmissionSchema};
use crate::rate::Caller;
use crate::stream::{self, Followed, Opening};
use crate::submission::{self, Asked};
use crate::wire::Form;

/// Start a session and follow it
///
/// The answer is the session's events until the final one, as they happen. A client that goes away does not stop the
/// session: `GET /v1/sessions/{id}/events` goes on where it left. `/api/code` and `/api/v1/code` are the same, with the
/// final event in the form that their clients wait for.
#[utoipa::path(
    post, path = "/code", tag = "sessions",
    request_body = SubmissionSchema,
    responses(
        (status = 200, description = "The events", content(("text/event-stream", item_schema = EventSchema)),
            headers(("X-Session-Id" = String, description = "The session's id"))),
        (status = "4XX", description = "The request is refused", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now, or not with this set-up", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn code(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = submission::read(&headers, body, app.body_within).await?;
    let request = session::request::parse(&body, &app.rules)?;
    let id = submission::submit(&app, Asked { caller, request, door: "code" }).await?;
    let log = Arc::clone(&app.sessions.store().log);
    match stream::open(&*log, id, 0, stream::FIRST_PAGE).await? {
        Opening::At(first) => {
            let form = Form::of_path(uri.path());
            let followed = Followed { log, session: id, seq: 0, first, form, deltas: None };
            Ok(stream::respond(followed, &app.streams))
        }
        Opening::NoSession | Opening::Beyond | Opening::BehindTheEnd => {
            Err(Problem::new(Code::SessionNotFound, format!("session {id} is gone already")))
        }
    }
}
