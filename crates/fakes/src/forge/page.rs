//! Pages for people: what a pull request says, and its change.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::stream;

use super::git;
use super::pulls;
use super::world::{Found, PullRequest, Repository, World};

/// The longest change that is shown.
const DIFF_CHARS_MAX: usize = 200_000;
/// No script runs and nothing is loaded, whatever stands in a pull request.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
                     pre{background:#f6f8fa;color:#1f2328;padding:1rem;overflow:auto;white-space:pre-wrap}";

/// `GET /OWNER/NAME/pull/NUMBER`, for everybody: whoever opens it has no token in the browser.
pub(super) async fn pull_request(world: &World, owner: &str, name: &str, number: &str) -> Response<Body> {
    let (Found::Here(id) | Found::Moved(id)) = world.find(owner, name) else { return nothing() };
    let Some(repository) = world.repository(id) else { return nothing() };
    let all = pulls::refreshed(world, id).await.unwrap_or_default();
    let Some(pull) = all.into_iter().find(|pull| pull.number.to_string() == number) else { return nothing() };
    let diff = git::diff(&world.git_dir(id), &pull.base_sha, &pull.head_sha).await;
    let diff = diff.unwrap_or_else(|error| error.to_string());
    page(200, &shown(&repository, &pull, &diff))
}

/// There is no such page.
pub(super) fn nothing() -> Response<Body> {
    page(404, "<h1>Not found</h1>")
}

/// A response that ends as a connection that breaks before any answer.
pub(super) fn broken_connection() -> Response<Body> {
    let lost = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the answer is lost on purpose");
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(lost)])))
}

fn shown(repository: &Repository, pull: &PullRequest, diff: &str) -> String {
    let state = match (pull.open, pull.merged, pull.draft) {
        (true, _, true) => "draft",
        (true, _, false) => "open",
        (false, true, _) => "merged",
        (false, false, _) => "closed",
    };
    let cut: String = diff.chars().take(DIFF_CHARS_MAX).collect();
    format!(
        "<p>{}</p><h1>{} <small>#{}</small></h1><p><b>{state}</b> · {} wants to merge <code>{}</code> \
         ({}) into <code>{}</code></p><pre>{}</pre><h2>Change</h2><pre>{}</pre>",
        escaped(&repository.full_name()),
        escaped(&pull.title),
        pull.number,
        escaped(&pull.author),
        escaped(&pull.head),
        escaped(&pull.head_sha),
        escaped(&pull.base),
        escaped(pull.body.as_deref().unwrap_or_default()),
        escaped(&cut),
    )
}

fn page(status: u16, content: &str) -> Response<Body> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Fake forge</title>\
         <style>{STYLE}</style><body>{content}</body></html>"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
