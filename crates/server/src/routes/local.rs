//! The page of a pull request of a repository on this machine.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;

use crate::App;
use crate::error::{Code, Problem, ProblemDocument};

/// Read a pull request of a local repository
#[utoipa::path(
    get, path = "/local/{name}/pull/{number}", tag = "local",
    params(("name" = String, Path, description = "The repository's name in the address"),
        ("number" = u64, Path, description = "The pull request's number")),
    responses(
        (status = 200, description = "Title, body and diff", content_type = "text/plain", body = String),
        (status = 404, description = "There is none", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn pull_request(
    State(app): State<Arc<App>>,
    Path((name, number)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let none = || Problem::new(Code::NotFound, format!("there is no pull request {number} of {name}"));
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let wanted = number.parse().ok().filter(|_| plain).ok_or_else(none)?;
    let page = app.sessions.local_page(&name, wanted).await;
    let text = page.map_err(|error| Problem::internal("show a pull request", &error))?.ok_or_else(none)?;
    // Plain text: what models and repositories write must not become a page that runs scripts.
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, text))
}
