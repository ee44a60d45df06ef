//! Git over smart HTTP: `git http-backend` behind GitHub's gate.

use std::process::Stdio;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::git;
use super::routes::{access, secret};
use super::world::{Access, Found, Repository, Token, World};

/// What is read from git, and sent on, at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Git writes a handful of short header lines.
const HEADER_BYTES_MAX: u64 = 16 * 1024;

/// Whether these parts of a path, after owner and name, ask for git.
pub(super) fn is_service(parts: &[&str]) -> bool {
    matches!(parts, ["info", "refs"] | ["git-upload-pack"] | ["git-receive-pack"])
}

/// Answers a request of git's. `at` is owner, name and the rest of the path.
pub(super) async fn answer(
    world: &World,
    parts: &Parts,
    at: (&str, &str, &[&str]),
    body: Body,
) -> Response<Body> {
    let (owner, name, service) = at;
    let name = name.strip_suffix(".git").unwrap_or(name);
    let query = parts.uri.query().unwrap_or_default();
    let push = query == "service=git-receive-pack" || service == ["git-receive-pack"];
    let (id, moved) = match world.find(owner, name) {
        Found::Here(id) => (Some(id), false),
        Found::Moved(id) => (Some(id), true),
        Found::Nothing => (None, false),
    };
    let repository = id.and_then(|id| world.repository(id));
    let pass = match gate(world, parts, repository, push) {
        Ok(pass) => pass,
        Err(refusal) => return *refusal,
    };
    let service = service.join("/");
    if moved {
        let question = if query.is_empty() { "" } else { "?" };
        let to = format!("{}/{}.git/{service}{question}{query}", world.base, pass.repository.full_name());
        return redirected(&to);
    }
    match backend(world, parts, &pass, &service) {
        Ok(mut child) => match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => {
                world.tasks.spawn(feed(stdin, body));
                respond(child, stdout).await
            }
            _ => text(500, "git has no pipes"),
        },
        Err(error) => {
            tracing::warn!(%error, "git http-backend cannot be run");
            text(500, "git http-backend cannot be run")
        }
    }
}

/// Whoever came through the gate, and where to.
struct Pass {
    repository: Repository,
    token: Option<Token>,
}

/// Lets through who may read, or push; in GitHub's words when not.
fn gate(
    world: &World,
    parts: &Parts,
    repository: Option<Repository>,
    push: bool,
) -> Result<Pass, Box<Response<Body>>> {
    let token = match parts.headers.contains_key(header::AUTHORIZATION) {
        true => match secret(&parts.headers).and_then(|secret| world.token(&secret)) {
            Some(token) => Some(token),
            None => return Err(Box::new(unauthorized("Invalid username or token."))),
        },
        false => None,
    };
    let seen = repository.and_then(|repository| Some((access(token.as_ref(), &repository)?, repository)));
    let Some((access, repository)) = seen else {
        // Whether it exists is told to nobody who may not see it.
        return Err(Box::new(match token {
            Some(_) => text(404, "Repository not found."),
            None => unauthorized("Authentication required."),
        }));
    };
    let full_name = repository.full_name();
    let refusal = match &token {
        Some(Token { sso_url: Some(url), .. }) => {
            text(403, &format!("The organization has enabled SAML SSO; authorize your token at {url}"))
        }
        None if push => unauthorized("Authentication required."),
        Some(token) if push && access < Access::Contents => {
            text(403, &format!("Permission to {full_name}.git denied to {}.", token.login))
        }
        Some(_) if push && repository.archived => {
            text(403, "This repository was archived so it is read-only.")
        }
        Some(_) | None if repository.disabled => text(403, "Access to this repository has been disabled."),
        Some(_) | None => return Ok(Pass { repository, token }),
    };
    Err(Box::new(refusal))
}

/// Starts git with what a web server tells a CGI program.
fn backend(world: &World, parts: &Parts, pass: &Pass, service: &str) -> std::io::Result<Child> {
    let mut command = Command::new("git");
    git::clean(&mut command);
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &world.home)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{}.git/{service}", pass.repository.id))
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REMOTE_ADDR", "127.0.0.1");
    for (name, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        command.env_remove(variable);
        if let Some(value) = parts.headers.get(name).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    if let Some(token) = &pass.token {
        let workflows = if token.access >= Access::Workflows { "allowed" } else { "refused" };
        command.env("REMOTE_USER", &token.login).env(git::WORKFLOWS_VARIABLE, workflows);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// Sends the request's body into git as it comes. An upload that breaks off ends git's input, and git sees it.
async fn feed(mut stdin: ChildStdin, body: Body) {
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        if stdin.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

/// Git's output as a response: its header lines, then its bytes as they come.
async fn respond(child: Child, stdout: ChildStdout) -> Response<Body> {
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, stdout);
    let mut response = Response::new(Body::empty());
    let mut left = HEADER_BYTES_MAX;
    loop {
        let mut line = String::new();
        let read = (&mut reader).take(left).read_line(&mut line).await.unwrap_or(0);
        left -= read as u64;
        let line = line.trim_end();
        match line.split_once(": ") {
            Some(("Status", status)) => {
                let code = status.split(' ').next().and_then(|code| code.parse().ok());
                *response.status_mut() = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            }
            Some((name, value)) => {
                let name = HeaderName::from_bytes(name.as_bytes());
                if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                    response.headers_mut().insert(name, value);
                }
            }
            None if read > 0 && line.is_empty() => break,
            None => return text(500, "git http-backend gave no answer"),
        }
    }
    *response.body_mut() = Body::from_stream(rest(child, reader));
    response
}

/// The rest of git's output. Whoever stops reading ends git.
fn rest(mut child: Child, mut reader: BufReader<ChildStdout>) -> impl Stream<Item = std::io::Result<Bytes>> {
    async_stream::try_stream! {
        loop {
            let chunk = reader.fill_buf().await?;
            if chunk.is_empty() {
                break;
            }
            let chunk = Bytes::copy_from_slice(chunk);
            reader.consume(chunk.len());
            yield chunk;
        }
        child.wait().await?;
    }
}

fn redirected(to: &str) -> Response<Body> {
    let mut response = text(301, "");
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn unauthorized(message: &str) -> Response<Body> {
    let mut response = text(401, message);
    let realm = HeaderValue::from_static("Basic realm=\"GitHub\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    response
}

/// Git shows such a text to its user as what the remote said.
fn text(status: u16, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(message.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
