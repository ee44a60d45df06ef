//! Answers of the REST API, the refusals in GitHub's own words.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::git::GitError;

/// Where GitHub sends people for more; the real one names a page per call.
const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// An answer, or the refusal that ends the call early.
pub(super) type Answer = Result<Reply, Box<Reply>>;

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, body, headers: Vec::new() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As an HTTP response.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.to_string()));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// A refusal with a message and nothing else.
pub(super) fn refused(status: u16, message: &str) -> Box<Reply> {
    let body = json!({
        "message": message,
        "documentation_url": DOCUMENTATION,
        "status": status.to_string(),
    });
    Box::new(Reply { status, body, headers: Vec::new() })
}

/// 422 with one error in it.
pub(super) fn invalid(error: Value) -> Box<Reply> {
    let body = json!({
        "message": "Validation Failed",
        "errors": [error],
        "documentation_url": DOCUMENTATION,
    });
    Box::new(Reply { status: 422, body, headers: Vec::new() })
}

/// 422 about the pull request as a whole.
pub(super) fn custom(message: String) -> Box<Reply> {
    invalid(json!({ "resource": "PullRequest", "code": "custom", "message": message }))
}

pub(super) fn not_found() -> Box<Reply> {
    refused(404, "Not Found")
}

/// A repository that has another name now.
pub(super) fn moved(status: u16, url: &str) -> Box<Reply> {
    let mut reply = refused(status, "Moved Permanently");
    reply.body = json!({ "message": "Moved Permanently", "url": url, "documentation_url": DOCUMENTATION });
    reply.headers.push(("location", url.to_owned()));
    reply
}

/// A right that the token lacks.
pub(super) fn lacks(permission: &str) -> Box<Reply> {
    let mut reply = refused(403, "Resource not accessible by personal access token");
    reply.headers.push(("x-accepted-github-permissions", permission.to_owned()));
    reply
}

/// Git failed us: no fault of the caller.
pub(super) fn broken(error: &GitError) -> Box<Reply> {
    tracing::warn!(%error, "The fake forge could not ask git");
    refused(500, "Server Error")
}
