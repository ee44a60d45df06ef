//! One call to GitHub's REST API: headers, redirects, limits, and tries.

use std::sync::Mutex;
use std::time::Duration;

use events::{Hosted, Redactor};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::info;
use url::Url;

use super::refusal::{self, Verdict};
use super::{Config, Pace};
use crate::Error;

/// Every field we read has stood in this version and in the one that follows it.
const API_VERSION: &str = "2022-11-28";
/// GitHub refuses clients without a name.
const USER_AGENT: &str = concat!("backspace/", env!("CARGO_PKG_VERSION"));
/// A hundred pull requests with bodies of the greatest length, and room.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A repository that was renamed, and renamed again.
const REDIRECTS_MAX: usize = 4;
/// How often a call that may be repeated is sent, when it fails for no lasting reason.
const TRIES_MAX: u32 = 3;
/// So many calls at once are taken from one client, by Octokit's count.
const CALLS_AT_ONCE_MAX: usize = 10;
/// GitHub gives up on its own side after ten seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A host that does not answer the connection by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to one API with one credential.
pub(super) struct Wire {
    client: Client,
    api: Url,
    token: Option<SecretString>,
    redactor: Redactor,
    pub(super) pace: Pace,
    /// When the next write may begin.
    next_write: Mutex<Instant>,
    slots: Semaphore,
}

/// What to ask.
pub(super) struct Call<'a> {
    /// For people, as in "opening the pull request".
    pub(super) doing: &'static str,
    method: Method,
    repository: &'a Hosted,
    /// Below `/repos/OWNER/NAME`.
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    write: Write,
    /// The refusals that are answers to the caller.
    pub(super) expected: &'static [u16],
}

/// What a call does to the forge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    /// It only reads.
    No,
    /// It may be repeated without harm.
    Quiet,
    /// It tells people, and repeating it makes another.
    Notifies,
}

/// What became of a call that is sent once.
pub(super) enum Sent {
    /// There is an answer.
    Answered(Answer),
    /// It may have been carried out, or not.
    Unclear(Error),
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl<'a> Call<'a> {
    pub(super) fn get(doing: &'static str, repository: &'a Hosted, path: &[&str]) -> Self {
        Self {
            doing,
            method: Method::GET,
            repository,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            write: Write::No,
            expected: &[],
        }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn expecting(self, expected: &'static [u16]) -> Self {
        Self { expected, ..self }
    }

    /// A write that may be repeated.
    pub(super) fn patch(doing: &'static str, repository: &'a Hosted, path: &[&str], body: Value) -> Self {
        let read = Self::get(doing, repository, path);
        Self { method: Method::PATCH, body: Some(body), write: Write::Quiet, ..read }
    }

    /// A write that is sent once: whoever makes it looks what became of it before trying again.
    pub(super) fn post(doing: &'static str, repository: &'a Hosted, path: &[&str], body: Value) -> Self {
        let read = Self::get(doing, repository, path);
        Self { method: Method::POST, body: Some(body), write: Write::Notifies, expected: &[422], ..read }
    }

    /// What the caller's text names when it is not there.
    pub(super) fn subject(&self) -> String {
        let path: String = self.path.iter().map(|part| format!("/{part}")).collect();
        format!("{}{path}", self.repository.url())
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Wire {
    pub(super) fn new(config: &Config, api: Url) -> Result<Self, Error> {
        let cannot = |why: String| Error::Config(format!("cannot make the client for the GitHub API: {why}"));
        // Redirects are followed by hand: the token never goes to another host.
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(fixed_headers(config.token.as_ref())?)
            // Only the configuration reads the environment.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT);
        if let Some(proxy) = &config.proxy {
            client = client.proxy(reqwest::Proxy::clone(proxy));
        }
        let client = client.build().map_err(|error| cannot(crate::with_causes(&error)))?;
        Ok(Self {
            client,
            api,
            redactor: Redactor::new(config.token.as_ref().map(ExposeSecret::expose_secret)),
            token: config.token.clone(),
            pace: config.pace,
            next_write: Mutex::new(Instant::now()),
            slots: Semaphore::new(CALLS_AT_ONCE_MAX),
        })
    }

    /// Makes a call that may be repeated, and repeats it when it fails for no lasting reason.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, Error> {
        match self.send(call).await? {
            Sent::Answered(answer) => Ok(answer),
            Sent::Unclear(error) => Err(error),
        }
    }

    /// Makes a call. Waits for limits to pass, which is safe always: what was limited was not carried out.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Sent, Error> {
        let mut waited = Duration::ZERO;
        let mut tries = 0;
        loop {
            tries += 1;
            let verdict = match self.once(call).await {
                Ok(answer) => refusal::judge(call, answer, self.token.is_some(), tries),
                Err(lost) => Verdict::Broken(lost),
            };
            let (pause, error) = match verdict {
                Verdict::Answered(answer) => return Ok(Sent::Answered(answer)),
                Verdict::Refused(error) => return Err(self.redacted(error)),
                Verdict::Broken(error) if call.write == Write::Notifies || tries >= TRIES_MAX => {
                    return Ok(Sent::Unclear(self.redacted(error)));
                }
                Verdict::Broken(error) => (self.pace.before_retry * 2u32.pow(tries - 1), error),
                Verdict::Limited(pause, error) => (pause, error),
            };
            waited = waited.saturating_add(pause);
            if waited > self.pace.wait_max || tries >= TRIES_MAX {
                return Err(self.redacted(error));
            }
            info!(seconds = pause.as_secs(), doing = call.doing, "Waiting before GitHub is asked again");
            tokio::time::sleep(pause).await;
        }
    }

    /// The body of an answer as what we read of it.
    pub(super) fn read<T: DeserializeOwned>(&self, doing: &'static str, answer: &Answer) -> Result<T, Error> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let why = refusal::readable(&error.to_string());
            let message = format!("the answer (status {}) is not what we know: {why}", answer.status);
            self.redacted(Error::Unavailable { doing, message })
        })
    }

    /// One request, with the redirects of a renamed repository.
    async fn once(&self, call: &Call<'_>) -> Result<Answer, Error> {
        self.wait_for_turn(call.write).await;
        let unavailable = |message| Error::Unavailable { doing: call.doing, message };
        let _slot =
            self.slots.acquire().await.map_err(|_| unavailable("the client was closed".to_owned()))?;
        let mut url = self.url(call);
        for _hop in 0..=REDIRECTS_MAX {
            let mut request = self.client.request(call.method.clone(), url.clone());
            if let Some(body) = &call.body {
                request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
            }
            let response = request.send().await.map_err(|error| unavailable(lost(error)))?;
            match self.moved_to(&url, &response) {
                Some(next) => url = next,
                None => return whole(response).await.map_err(unavailable),
            }
        }
        Err(unavailable(format!("more than {REDIRECTS_MAX} redirects")))
    }

    /// Where a redirect leads, when it stays within the API that our token is for. Another one is an answer like any
    /// other, and ends as an error.
    fn moved_to(&self, from: &Url, response: &Response) -> Option<Url> {
        let redirect = matches!(
            response.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let next = from.join(location.filter(|_| redirect)?).ok()?;
        let same = next.origin() == self.api.origin() && next.username().is_empty();
        (same && next.password().is_none()).then_some(next)
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let Hosted { owner, name, .. } = call.repository;
            segments.pop_if_empty().extend(["repos", owner, name]).extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }

    /// Holds writes apart: whoever comes takes the next time that is free, and waits for it.
    async fn wait_for_turn(&self, write: Write) {
        let pause = match write {
            Write::No => return,
            Write::Quiet => self.pace.between_writes,
            Write::Notifies => self.pace.between_writes.max(self.pace.after_notice),
        };
        let turn = {
            let mut next = self.next_write.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + pause;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }

    /// A forge may echo what it was sent: our token goes out of every text that leaves here.
    fn redacted(&self, error: Error) -> Error {
        let clean = |text: String| self.redactor.redact(&text).into_owned();
        match error {
            Error::NotFound(what) => Error::NotFound(clean(what)),
            Error::Denied { doing, message } => Error::Denied { doing, message: clean(message) },
            Error::Refused { doing, message } => Error::Refused { doing, message: clean(message) },
            Error::Unavailable { doing, message } => Error::Unavailable { doing, message: clean(message) },
            Error::Config(why) => Error::Config(clean(why)),
        }
    }
}

/// The headers of every call.
fn fixed_headers(token: Option<&SecretString>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert("x-github-api-version", HeaderValue::from_static(API_VERSION));
    if let Some(token) = token {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
        let odd = "GITHUB_TOKEN holds characters that no token has (a line break, perhaps)";
        let mut bearer = bearer.map_err(|_| Error::Config(odd.to_owned()))?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }
    Ok(headers)
}

/// The whole answer, if it is not too long.
async fn whole(mut response: Response) -> Result<Answer, String> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

/// Why a request got no answer, without the URL.
fn lost(error: reqwest::Error) -> String {
    crate::with_causes(&error.without_url())
}
