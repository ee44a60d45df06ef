//! One request to a provider over HTTP, and what it means when that fails.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::timeout;

use crate::stream::{IDLE_MAX, chain, protocol, transient};
use crate::vendors::KeyHeader;
use crate::{Error, Served};

/// A provider that does not take a connection within this is down.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// What is read of an error's body, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// What is told of an error's body, in bytes.
const ERROR_TEXT_BYTES_MAX: usize = 1000;
/// Statuses that asking again may mend; 529 is Anthropic's "overloaded".
const TRANSIENT: [u16; 8] = [408, 409, 429, 500, 502, 503, 504, 529];
/// Statuses that asking again never mends, whatever else the answer says.
const FINAL: [u16; 6] = [400, 401, 403, 404, 413, 422];

/// An endpoint of a provider, with the key for it.
pub(crate) struct Endpoint {
    served: Served,
    url: Url,
    headers: HeaderMap,
    client: Client,
}

impl Endpoint {
    /// The endpoint at `path` below the address at which a model is served.
    pub(crate) fn new(served: &Served, path: &str) -> Result<Self, Error> {
        let (provider, key) = (served.provider(), served.key.expose_secret());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if !key.is_empty() {
            let (auth, scheme) = auth(served.manners.key_header);
            let mut value = HeaderValue::from_str(&format!("{scheme}{key}")).map_err(|_| {
                Error::Config(format!("the API key of {provider} has characters no header can carry"))
            })?;
            value.set_sensitive(true);
            headers.insert(auth, value);
        }
        let url = endpoint_url(provider, served.base_url(), path)?;
        Ok(Self { served: served.clone(), url, headers, client: client()? })
    }

    /// The same with one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Posts `body`; the answer is an event stream, or an error.
    pub(crate) async fn post(
        &self,
        body: Vec<u8>,
    ) -> Result<impl Stream<Item = Result<Bytes, reqwest::Error>> + use<>, Error> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let response = match timeout(IDLE_MAX, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.transient(&chain(&error.without_url()))),
            Err(_) => return Err(self.transient(&format!("no answer for {} s", IDLE_MAX.as_secs()))),
        };
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(protocol(
                self.served.provider(),
                format!("{:?} instead of an event stream", self.told(kind)),
            ));
        }
        Ok(response.bytes_stream())
    }

    /// What an answer other than 200 means.
    async fn refusal(&self, response: Response) -> Error {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = self.read_error(response).await;
        let parsed = parse_error(&body);
        let text = parsed.as_ref().map_or(body.as_str(), |error| error.message.as_str());
        let (provider, message) = (self.served.provider().to_owned(), self.told(text));
        // "Slow down" and "pay first" share a status; only waiting for the one helps.
        let spent = parsed.is_some_and(|error| error.names("insufficient_quota"));
        if matches!(status, 401 | 403) {
            return key_refused(&self.served, status, message);
        }
        if spent || !may_be_asked_again(status, &headers) {
            return Error::Refused { provider, status, message };
        }
        let message = format!("{message} ({status})");
        Error::Transient { provider, message, retry_after_ms: retry_after_ms(&headers, SystemTime::now()) }
    }

    async fn read_error(&self, response: Response) -> String {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Ok(Some(Ok(chunk))) = timeout(CONNECT_MAX, chunks.next()).await {
            body.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY_BYTES_MAX - body.len())]);
            if body.len() >= ERROR_BODY_BYTES_MAX {
                break;
            }
        }
        String::from_utf8_lossy(&body).into_owned()
    }

    fn transient(&self, message: &str) -> Error {
        transient(self.served.provider(), self.told(message))
    }

    fn told(&self, text: &str) -> String {
        told(text, self.served.key.expose_secret())
    }
}

/// The one pool of connections of this process: a session's first turn finds the line of another one's last.
pub(crate) fn client() -> Result<Client, Error> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let client = Client::builder()
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .no_gzip()
        // A key must reach the host it was given for, and no other.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("backspace/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::Config(chain(&error)))?;
    Ok(CLIENT.get_or_init(|| client).clone())
}

fn endpoint_url(provider: &str, base_url: &str, path: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::Config(format!("the base URL of {provider} {why}"));
    let base = base_url.trim().trim_end_matches('/');
    let url = Url::parse(&format!("{base}{path}")).map_err(|_| wrong("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is not http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds credentials; they belong into the key"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    Ok(url)
}

/// The error that a provider put into the middle of a reply.
pub(crate) fn error_in_stream(served: &Served, data: &str) -> Error {
    let error = parse_error(data).unwrap_or_default();
    let text = if error.message.is_empty() { data } else { &error.message };
    let message = told(text, served.key.expose_secret());
    let provider = served.provider().to_owned();
    match error.status() {
        status @ (401 | 403) => key_refused(served, status, message),
        status if FINAL.contains(&status) => Error::Refused { provider, status, message },
        _ => Error::Transient { provider, message, retry_after_ms: None },
    }
}

fn key_refused(served: &Served, status: u16, message: String) -> Error {
    let variable = served.key_variable().map(str::to_owned);
    Error::Key { provider: served.provider().to_owned(), status, message, variable }
}

/// The header for a key, and what stands before the key in it.
fn auth(header: KeyHeader) -> (HeaderName, &'static str) {
    match header {
        KeyHeader::Bearer => (AUTHORIZATION, "Bearer "),
        KeyHeader::XApiKey => (HeaderName::from_static("x-api-key"), ""),
        KeyHeader::ApiKey => (HeaderName::from_static("api-key"), ""),
    }
}

fn may_be_asked_again(status: u16, headers: &HeaderMap) -> bool {
    if FINAL.contains(&status) {
        return false;
    }
    match headers.get("x-should-retry").and_then(|value| value.to_str().ok()) {
        Some("true") => true,
        Some("false") => false,
        Some(_) | None => TRANSIENT.contains(&status),
    }
}

/// How long the provider asks us to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after_ms(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let ms = |value: f64| (value.is_finite() && value >= 0.0).then(|| value.ceil() as u64);
    if let Some(wait) = text("retry-after-ms").and_then(|wait| ms(wait.parse().ok()?)) {
        return Some(wait);
    }
    let wait = text("retry-after")?;
    if let Ok(seconds) = wait.parse::<f64>() {
        return ms(seconds * 1000.0);
    }
    let until = httpdate::parse_http_date(wait).ok()?;
    let wait = until.duration_since(now).unwrap_or_default();
    u64::try_from(wait.as_millis()).ok()
}

/// What a provider says of an error, in any of the known shapes.
#[derive(Debug, Default, PartialEq)]
struct Told {
    message: String,
    words: Vec<String>,
    code: Option<u16>,
}

impl Told {
    fn names(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    /// The status that the error would have had at the head of an answer.
    fn status(&self) -> u16 {
        let by_word = self.words.iter().find_map(|word| match word.as_str() {
            "invalid_request_error" | "invalid_prompt" | "insufficient_quota" | "billing_error" => Some(400),
            "authentication_error" | "invalid_api_key" => Some(401),
            "permission_error" => Some(403),
            "not_found_error" => Some(404),
            "request_too_large" => Some(413),
            _ => None,
        });
        by_word.or(self.code).unwrap_or(500)
    }
}

/// Reads `{"error":{"type","message","code"}}`, which both wires and most servers that speak them use, or `{"error":"…"}`.
fn parse_error(body: &str) -> Option<Told> {
    #[derive(Deserialize)]
    struct Body {
        error: serde_json::Value,
    }
    let error = serde_json::from_str::<Body>(body).ok()?.error;
    if let Some(message) = error.as_str() {
        return Some(Told { message: message.to_owned(), ..Told::default() });
    }
    let word = |key: &str| error.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let code =
        error.get("code").and_then(serde_json::Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Some(Told {
        message: word("message").unwrap_or_else(|| error.to_string()),
        words: ["type", "code"].into_iter().filter_map(word).collect(),
        code,
    })
}

/// `text` as an error may tell it: on one line, bounded, and without the key, should the provider have repeated it.
fn told(text: &str, key: &str) -> String {
    let text = if key.is_empty() { text.to_owned() } else { text.replace(key, "[key]") };
    let mut line = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .fold(String::new(), |mut line, word| {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            line
        });
    if line.len() > ERROR_TEXT_BYTES_MAX {
        line.truncate(line.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
        line.push('…');
    }
    if line.is_empty() { "no reason given".to_owned() } else { line }
}

#[cfg(test)]
mod tests;
