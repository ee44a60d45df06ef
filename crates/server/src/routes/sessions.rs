//! Sessions as things: made, listed, shown, cancelled, deleted.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use events::{SessionId, SessionState, Status};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use session::Cancelled;
use store::{Filter, Summary};
use utoipa::{IntoParams, ToSchema};

use super::parameters;
use crate::error::{Code, Problem, ProblemDocument};
use crate::idempotency;
use crate::openapi::{EventSchema, SubmissionSchema};
use crate::rate::Caller;
use crate::submission::{self, Asked};
use crate::{App, wire};

/// Sessions in a list, when the caller does not say.
const LIST: usize = 50;
/// Sessions in a list at most.
const LIST_MAX: usize = 200;

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    #[serde(flatten)]
    listed: SessionListed,
    /// The branch it was started from, once that is known.
    base: Option<String>,
    /// The branch that was pushed.
    branch: Option<String>,
    /// The commit that holds the change.
    commit: Option<String>,
    /// The step it is in.
    step: Option<&'static str>,
    /// Replies of the model so far.
    turns: u32,
    /// The id of the last event's place in the log.
    last_event_id: u64,
    /// The final event, once there is one.
    #[schema(value_type = Option<EventSchema>)]
    result: Option<Box<RawValue>>,
}

/// A session in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionListed {
    /// Its id.
    id: String,
    /// `queued`, `running`, `waiting` (for the model's provider), `done`, `failed`, `cancelled`.
    status: &'static str,
    /// The repository.
    repository: String,
    /// The prompt; its beginning, in a list.
    prompt: String,
    /// When it was asked for (RFC 3339, UTC).
    created_at: String,
    /// When something happened last (RFC 3339, UTC).
    updated_at: String,
    /// The pull request's address.
    pr_url: Option<String>,
    /// Its events.
    events_url: String,
}

/// A list of sessions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// The sessions.
    sessions: Vec<SessionListed>,
    /// What to send as `cursor` for the next ones; null when there are no more.
    next_cursor: Option<String>,
}

/// Which sessions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only those with this status: `queued`, `running`, `waiting`, `done`, `failed`, `cancelled`.
    status: Option<String>,
    /// Only those of this repository.
    repo: Option<String>,
    /// At most so many; 1 to 200.
    limit: Option<usize>,
    /// The `next_cursor` of the list before.
    cursor: Option<String>,
}

/// Start a session
///
/// Answers at once. With an `Idempotency-Key` the same request may be sent again and again for a day: it is one session.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions",
    request_body = SubmissionSchema,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters of your choice")),
    responses(
        (status = 202, description = "It is taken on", body = SessionView,
            headers(("Location" = String, description = "The session"))),
        (status = "4XX", description = "The request is refused", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now, or not with this set-up", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers)?;
    let body = submission::read(&headers, body, app.body_within).await?;
    let request = session::request::parse(&body, &app.rules)?;
    let asked = Asked { caller, request, door: "sessions" };
    let id = match key {
        None => submission::submit(&app, asked).await?,
        Some(key) => submission::submit_once(&app, key, body, asked).await?,
    };
    let place = [(header::LOCATION, format!("/v1/sessions/{id}"))];
    Ok((StatusCode::ACCEPTED, place, Json(view(&app, id).await?)).into_response())
}

/// List sessions, the newest first
#[utoipa::path(
    get, path = "/v1/sessions", tag = "sessions", params(Wanted),
    responses(
        (status = 200, description = "The sessions", body = SessionList),
        (status = 400, description = "A parameter is refused", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<SessionList>, Problem> {
    let wanted: Wanted = parameters::query(&uri)?;
    let refuse = |field: &str, message: String| Problem::of_field(Code::InvalidParameter, field, message);
    let limit = wanted.limit.unwrap_or(LIST);
    if !(1..=LIST_MAX).contains(&limit) {
        return Err(refuse("limit", format!("must be 1 to {LIST_MAX}")));
    }
    let status = match &wanted.status {
        None => None,
        Some(name) => Some(Status::parse(name).ok_or_else(|| {
            refuse("status", format!("must be one of {}", Status::ALL.map(Status::as_str).join(", ")))
        })?),
    };
    let before = match &wanted.cursor {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| refuse("cursor", "is none that a list gave".to_owned()))?)
        }
    };
    // In the spelling in which it is kept, when it is an address at all.
    let repository = wanted.repo.map(|text| match app.rules.address(&text) {
        Ok(address) => address.remote.to_text(),
        Err(_) => text,
    });
    // One more than wanted tells whether there are more.
    let filter = Filter { status, repository, before, limit: limit + 1 };
    let mut found = app.sessions.store().index.list(&filter).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(SessionList { sessions: found.into_iter().map(listed).collect(), next_cursor }))
}

/// Show a session
#[utoipa::path(
    get, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, description = "The session", body = SessionView),
        (status = 404, description = "There is none", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    view(&app, parameters::session_id(&id)?).await.map(Json)
}

/// Delete a session that has ended
///
/// Its log goes; branches and pull requests stay.
#[utoipa::path(
    delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "4XX", description = "There is none, or it has not ended", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.sessions.store().index.delete(parameters::session_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Cancel a session
///
/// It ends soon, with the work so far kept; its events tell when.
#[utoipa::path(
    post, path = "/v1/sessions/{id}/cancel", tag = "sessions", params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 202, description = "It will end soon", body = SessionView),
        (status = "4XX", description = "There is none, or it has ended", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = parameters::session_id(&id)?;
    match app.sessions.cancel(id, "asked").await? {
        Cancelled::Asked => Ok((StatusCode::ACCEPTED, Json(view(&app, id).await?)).into_response()),
        Cancelled::AlreadyEnded => Err(Problem::new(Code::Ended, format!("session {id} has ended"))),
        Cancelled::Elsewhere => Err(Problem::new(Code::Elsewhere, Code::Elsewhere.about())),
        Cancelled::NotFound => Err(Problem::new(Code::SessionNotFound, format!("there is no session {id}"))),
    }
}

/// What a session has changed so far, as a patch
#[utoipa::path(
    get, path = "/v1/sessions/{id}/diff", tag = "sessions", params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, description = "The patch", content_type = "text/x-diff", body = String),
        (status = 404, description = "There is no session, or it has changed nothing", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn diff(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let id = parameters::session_id(&id)?;
    let patch = app.sessions.diff(id).await?;
    match patch {
        Some(patch) => Ok((
            [
                (header::CONTENT_TYPE, "text/x-diff; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ],
            patch,
        )),
        None if app.sessions.state(id).await?.is_none() => {
            Err(Problem::new(Code::SessionNotFound, format!("there is no session {id}")))
        }
        None => Err(Problem::new(Code::NoDiff, format!("session {id} has changed nothing so far"))),
    }
}

async fn view(app: &App, id: SessionId) -> Result<SessionView, Problem> {
    let none = || Problem::new(Code::SessionNotFound, format!("there is no session {id}"));
    let state = app.sessions.state(id).await?.ok_or_else(none)?;
    let result = if state.status.is_final() { result(app, &state).await? } else { None };
    let summary = Summary {
        id,
        status: state.status,
        repository: state.request.remote.to_text(),
        prompt: state.request.prompt,
        created_us: state.created_us,
        updated_us: state.updated_us,
        pr_url: state.pull_request.and_then(|target| match target {
            events::Target::PullRequest { url, .. } => Some(url),
            events::Target::Branch { .. } | events::Target::Patch { .. } => None,
        }),
    };
    Ok(SessionView {
        listed: listed(summary),
        base: state.base.map(|(branch, _)| branch.to_string()),
        branch: state.pushed.map(|(branch, _)| branch.to_string()),
        commit: state.commit.map(|commit| commit.as_str().to_owned()),
        step: state.step.map(events::Step::as_str),
        turns: state.turns,
        last_event_id: state.last_seq,
        result,
    })
}

/// The final event.
async fn result(app: &App, state: &SessionState) -> Result<Option<Box<RawValue>>, Problem> {
    let last = app.sessions.store().log.read_after(state.id, state.last_seq - 1, 1).await?;
    let event = last.first().and_then(wire::event);
    Ok(event.and_then(|event| RawValue::from_string(event.json).ok()))
}

fn listed(summary: Summary) -> SessionListed {
    SessionListed {
        events_url: format!("/v1/sessions/{}/events", summary.id),
        id: summary.id.to_string(),
        status: summary.status.as_str(),
        repository: summary.repository,
        prompt: summary.prompt,
        created_at: wire::timestamp(summary.created_us),
        updated_at: wire::timestamp(summary.updated_us),
        pr_url: summary.pr_url,
    }
}
