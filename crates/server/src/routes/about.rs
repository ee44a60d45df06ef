//! What the service is, and whether it can work.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use store::Filter;
use utoipa::ToSchema;

use crate::error::{Code, Problem, ProblemDocument};
use crate::{App, openapi as document};

/// What the service is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Index {
    /// `backspace`.
    name: &'static str,
    /// Its release.
    version: &'static str,
    /// Where to go on.
    links: BTreeMap<&'static str, &'static str>,
}

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`: whatever answers is.
    status: &'static str,
    /// Its release.
    version: &'static str,
    /// Its parts: `healthy`, `draining`, or what is missing.
    components: BTreeMap<&'static str, String>,
}

/// Whether the service takes sessions on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ready`.
    status: &'static str,
}

/// What this service is
#[utoipa::path(get, path = "/", tag = "about", responses((status = 200, description = "Name, release, links", body = Index)))]
pub(crate) async fn index() -> Json<Index> {
    let links = [
        ("code", "/code"),
        ("sessions", "/v1/sessions"),
        ("health", "/health"),
        ("ready", "/ready"),
        ("openapi", "/openapi.json"),
    ];
    Json(Index { name: "backspace", version: env!("CARGO_PKG_VERSION"), links: links.into() })
}

/// Whether the process lives
///
/// Touches neither disk nor network. Also at `/healthz`.
#[utoipa::path(get, path = "/health", tag = "about", responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    let sessions = if app.sessions.is_draining() { "draining" } else { "healthy" }.to_owned();
    let problems: Vec<&str> = app.sessions.problems().iter().map(|problem| problem.what.as_str()).collect();
    let set_up = if problems.is_empty() { "healthy".to_owned() } else { problems.join("; ") };
    let components = [("sessions", sessions), ("set_up", set_up)].into();
    Json(Health { status: "healthy", version: env!("CARGO_PKG_VERSION"), components })
}

/// Whether sessions are taken on
#[utoipa::path(
    get, path = "/ready", tag = "about",
    responses(
        (status = 200, description = "They are", body = Ready),
        (status = 503, description = "They are not, and why", content_type = "application/problem+json", body = ProblemDocument),
    )
)]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Ready>, Problem> {
    if app.sessions.is_draining() {
        return Err(Problem::new(Code::Draining, Code::Draining.about()));
    }
    if let Some(problem) = app.sessions.problems().first() {
        return Err(Problem::new(Code::Unavailable, format!("{}. {}", problem.what, problem.mend)));
    }
    app.sessions.store().index.list(&Filter { limit: 1, ..Filter::default() }).await?;
    Ok(Json(Ready { status: "ready" }))
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "about", responses((status = 200, description = "OpenAPI 3.2", content_type = "application/json")))]
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document::json())
}
