//! Every request: the REST API, git over HTTP, and the pages for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::reply::{Answer, Reply, lacks, moved, not_found, refused};
use super::world::{
    Access, ApiVersion, Exchange, Fault, Found, Meets, Reach, Repository, Token, Visibility, World,
};
use super::{calls, page, pulls, smart_http};

/// The greatest body of a call that GitHub takes is about this.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The versions of the API that there are.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];
/// Calls an hour for a token.
const CALLS_AN_HOUR: u64 = 5000;
/// Calls an hour without one.
const ANONYMOUS_CALLS_AN_HOUR: u64 = 60;

/// A call of the API.
pub(super) struct Ask {
    pub(super) method: Method,
    /// Below the API's root, decoded.
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// The query as it came, with its question mark.
    raw_query: String,
    pub(super) body: Bytes,
    pub(super) token: Option<Token>,
}

/// Answers any request.
pub(super) async fn answer(State(world): State<Arc<World>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let below = path.strip_prefix("/api/v3/").or_else(|| {
        let bare = path.strip_prefix('/')?;
        let first = bare.split('/').next()?;
        matches!(first, "repos" | "repositories" | "user" | "rate_limit").then_some(bare)
    });
    if let Some(below) = below {
        let segments = decoded(below);
        return api(&world, parts, segments, body).await;
    }
    let segments = decoded(path.trim_start_matches('/'));
    let parts_of_path: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&parts.method, parts_of_path.as_slice()) {
        (&Method::GET, [owner, name, "pull", number]) => {
            page::pull_request(&world, owner, name, number).await
        }
        (_, [owner, name, service @ ..]) if smart_http::is_service(service) => {
            smart_http::answer(&world, &parts, (owner, name, service), body).await
        }
        _ => page::nothing(),
    }
}

/// The token that a request carries: `Bearer`, the older `token`, or as a password.
pub(super) fn secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Some(rest.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
            Some(pair.split_once(':')?.1.to_owned())
        }
        _ => None,
    }
}

/// What a token, or nobody, may do with a repository; nothing when it may not know of it.
pub(super) fn access(token: Option<&Token>, repository: &Repository) -> Option<Access> {
    let public = (repository.visibility == Visibility::Public).then_some(Access::Read);
    let Some(token) = token else { return public };
    let reached = match &token.reach {
        Reach::Everything => true,
        Reach::Only(names) => names.iter().any(|name| name.eq_ignore_ascii_case(&repository.full_name())),
    };
    if reached { Some(token.access) } else { public }
}

impl Ask {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the token, or nobody, may do something that needs `needed`; `permission` is its name.
    pub(super) fn require(
        &self,
        repository: &Repository,
        needed: Access,
        permission: &str,
    ) -> Result<(), Box<Reply>> {
        if self.token.is_none() {
            return Err(refused(401, "Requires authentication"));
        }
        if access(self.token.as_ref(), repository) < Some(needed) {
            return Err(lacks(permission));
        }
        if repository.archived {
            return Err(refused(403, "Repository was archived so is read-only."));
        }
        Ok(())
    }
}

async fn api(world: &World, parts: Parts, segments: Vec<String>, body: Body) -> Response<Body> {
    let body = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(_) => return refused(413, "Payload too large").into_response(),
    };
    let raw_query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let query = query.into_owned().collect();
    let mut ask = Ask { method: parts.method, segments, query, raw_query, body, token: None };
    let write = ask.method != Method::GET;
    let fault = world.next_fault(write);
    let carried_out = fault.as_ref().is_none_or(|fault| fault.meets == Meets::WrittenAnswers);
    let (call, mut answer) = match welcome(world, &parts.headers) {
        Ok(token) if carried_out => {
            ask.token = token;
            dispatch(world, &ask).await
        }
        Ok(_) => ("", Err(not_found())),
        Err(refusal) => ("", Err(refusal)),
    };
    if let Some(fault) = fault {
        answer = Err(broken_by(&fault));
    }
    let mut reply = answer.unwrap_or_else(|refusal| *refusal);
    if world.version() == ApiVersion::V2026 {
        drop_old_fields(&mut reply.body);
    }
    let reply = with_limits(world, &ask, reply);
    world.remember(exchange(call, &parts.uri.to_string(), &parts.headers, (&ask, &reply)));
    if write && world.loses_answer() {
        return page::broken_connection();
    }
    reply.into_response()
}

/// What GitHub looks at before it looks at the call.
fn welcome(world: &World, headers: &HeaderMap) -> Result<Option<Token>, Box<Reply>> {
    if !headers.contains_key(header::USER_AGENT) {
        let rules = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
        return Err(refused(403, rules));
    }
    let version = headers.get("x-github-api-version").map(|value| value.to_str().unwrap_or_default());
    if let Some(version) = version.filter(|version| !VERSIONS.contains(version)) {
        return Err(refused(400, &format!("\"{version}\" is not a supported API version")));
    }
    if !headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let token = secret(headers).and_then(|secret| world.token(&secret));
    token.map(Some).ok_or_else(|| refused(401, "Bad credentials"))
}

/// The table of calls: each with its name in GitHub's description.
async fn dispatch(world: &World, ask: &Ask) -> (&'static str, Answer) {
    let segments: Vec<&str> = ask.segments.iter().map(String::as_str).collect();
    let (repository, rest) = match (&ask.method, segments.as_slice()) {
        (&Method::GET, ["user"]) => return ("GET /user", calls::user(world, ask)),
        (&Method::GET, ["rate_limit"]) => return ("GET /rate_limit", Ok(calls::rate_limit())),
        (_, ["repos", owner, name, rest @ ..]) => (visible(world, ask, world.find(owner, name), rest), rest),
        (_, ["repositories", id, rest @ ..]) => {
            let found = id.parse().map_or(Found::Nothing, Found::Here);
            (visible(world, ask, found, rest), rest)
        }
        _ => return ("", Err(not_found())),
    };
    let call = name(&ask.method, rest);
    let repository = match repository {
        Ok(repository) => repository,
        Err(refusal) => return (call, Err(refusal)),
    };
    let answer = match (call, rest) {
        ("GET /repos/{owner}/{repo}", _) => Ok(calls::repository(world, ask, &repository)),
        ("GET /repos/{owner}/{repo}/branches/{branch}", [_, branch @ ..]) => {
            calls::branch(world, &repository, &branch.join("/")).await
        }
        ("GET /repos/{owner}/{repo}/git/ref/{ref}", [_, _, name @ ..]) => {
            calls::git_ref(world, &repository, &name.join("/")).await
        }
        ("GET /repos/{owner}/{repo}/git/matching-refs/{ref}", [_, _, name @ ..]) => {
            calls::matching_refs(world, &repository, &name.join("/")).await
        }
        ("GET /repos/{owner}/{repo}/pulls", _) => pulls::list(world, ask, &repository).await,
        ("POST /repos/{owner}/{repo}/pulls", _) => pulls::create(world, ask, &repository).await,
        ("GET /repos/{owner}/{repo}/pulls/{pull_number}", [_, number]) => {
            pulls::get(world, &repository, number).await
        }
        ("PATCH /repos/{owner}/{repo}/pulls/{pull_number}", [_, number]) => {
            pulls::update(world, ask, &repository, number).await
        }
        _ => Err(not_found()),
    };
    (call, answer)
}

/// The name of a call on a repository; empty for none that we know.
fn name(method: &Method, rest: &[&str]) -> &'static str {
    match (method.as_str(), rest) {
        ("GET", []) => "GET /repos/{owner}/{repo}",
        ("GET", ["branches", _, ..]) => "GET /repos/{owner}/{repo}/branches/{branch}",
        ("GET", ["git", "ref", _, ..]) => "GET /repos/{owner}/{repo}/git/ref/{ref}",
        ("GET", ["git", "matching-refs", _, ..]) => "GET /repos/{owner}/{repo}/git/matching-refs/{ref}",
        ("GET", ["pulls"]) => "GET /repos/{owner}/{repo}/pulls",
        ("POST", ["pulls"]) => "POST /repos/{owner}/{repo}/pulls",
        ("GET", ["pulls", _]) => "GET /repos/{owner}/{repo}/pulls/{pull_number}",
        ("PATCH", ["pulls", _]) => "PATCH /repos/{owner}/{repo}/pulls/{pull_number}",
        _ => "",
    }
}

/// The repository, if the caller may know of it.
fn visible(world: &World, ask: &Ask, found: Found, rest: &[&str]) -> Result<Repository, Box<Reply>> {
    let (id, current) = match found {
        Found::Here(id) => (id, true),
        Found::Moved(id) => (id, false),
        Found::Nothing => return Err(not_found()),
    };
    let repository = world.repository(id).ok_or_else(not_found)?;
    if access(ask.token.as_ref(), &repository).is_none() {
        return Err(not_found());
    }
    if let Some(url) = ask.token.as_ref().and_then(|token| token.sso_url.as_ref()) {
        let mut reply = refused(403, "Resource protected by organization SAML enforcement.");
        reply.headers.push(("x-github-sso", format!("required; url={url}")));
        return Err(reply);
    }
    if !current {
        let below: String = rest.iter().map(|part| format!("/{part}")).collect();
        let status = if ask.method == Method::GET { 301 } else { 307 };
        let api = world.api();
        return Err(moved(status, &format!("{api}/repositories/{id}{below}{}", ask.raw_query)));
    }
    Ok(repository)
}

fn broken_by(fault: &Fault) -> Box<Reply> {
    let mut reply = refused(fault.status, &fault.message);
    reply.headers.clone_from(&fault.headers);
    reply
}

/// The fields that the newer version of the API has no more.
fn drop_old_fields(body: &mut Value) {
    match body {
        Value::Array(values) => values.iter_mut().for_each(drop_old_fields),
        Value::Object(fields) => {
            for name in ["assignee", "merge_commit_sha", "rate"] {
                fields.remove(name);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The headers that every answer has, unless a fault set its own.
fn with_limits(world: &World, ask: &Ask, mut reply: Reply) -> Reply {
    let limit = if ask.token.is_some() { CALLS_AN_HOUR } else { ANONYMOUS_CALLS_AN_HOUR };
    let used = world.count_call();
    let reset = jiff::Timestamp::now().as_second() + 3600;
    for (name, value) in [
        ("x-ratelimit-limit", limit.to_string()),
        // The count is shown and not enforced: a test that wants the limit asks for it.
        ("x-ratelimit-remaining", limit.saturating_sub(used).max(1).to_string()),
        ("x-ratelimit-used", used.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
        ("x-github-request-id", format!("FAKE:{used:04X}")),
    ] {
        if !reply.headers.iter().any(|(set, _)| *set == name) {
            reply = reply.header(name, value);
        }
    }
    reply
}

fn exchange(call: &'static str, path: &str, headers: &HeaderMap, (ask, reply): (&Ask, &Reply)) -> Exchange {
    let headers: BTreeMap<String, String> = headers
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let request = serde_json::from_slice(&ask.body).ok();
    let answer = reply.body.clone();
    Exchange { call, path: path.to_owned(), headers, request, status: reply.status, answer }
}

fn decoded(path: &str) -> Vec<String> {
    let parts = path.trim_end_matches('/').split('/');
    parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
}
