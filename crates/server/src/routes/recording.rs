//! The recording of a session.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Uri, header};
use axum::response::IntoResponse;
use events::error_chain;
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use session::recording::Portion;
use tracing::error;
use utoipa::{IntoParams, ToSchema};

use super::parameters;
use crate::App;
use crate::error::{Code, Problem, ProblemDocument};

/// What goes into the recording.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Whether the code that the session started from goes along: `include` (the default) or `leave_out`.
    #[serde(default)]
    code: WantedCode,
}

/// Whether code goes along.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WantedCode {
    /// Where it is small enough and holds no secret of the service.
    #[default]
    Include,
    /// It may be nobody else's to read.
    LeaveOut,
}

/// Get a session as a file that can be replayed
///
/// `backspace replay FILE` runs it again, without a key and without a network. JSON Lines; a file without its last line
/// is cut. It holds the files of the repository at the base commit unless they are left out.
#[utoipa::path(
    get, path = "/v1/sessions/{id}/recording", tag = "sessions",
    params(("id" = String, Path, description = "The session's id"), Wanted),
    responses(
        (status = 200, description = "The recording; of a session that goes on, up to now", content_type = "application/x-ndjson", body = String),
        (status = 400, description = "A parameter is refused", content_type = "application/problem+json", body = ProblemDocument),
        (status = 404, description = "There is no such session", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn recording(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<impl IntoResponse, Problem> {
    let id = parameters::session_id(&id)?;
    let portion = match parameters::query::<Wanted>(&uri)?.code {
        WantedCode::Include => Portion::WithCode,
        WantedCode::LeaveOut => Portion::LogAlone,
    };
    let Some(recording) = app.sessions.recording(id, portion).await? else {
        return Err(Problem::new(Code::SessionNotFound, format!("there is no session {id}")));
    };
    // The answer has begun: the file stays without its last line, and its reader says so.
    let told = recording.inspect_err(
        move |error| error!(session.id = %id, "The recording of {id} breaks off: {}", error_chain(error)),
    );
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.recording.jsonl\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, Body::from_stream(told)))
}
