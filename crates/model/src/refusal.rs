//! What it means when a provider does not answer: by the status, the headers, and what the answer says.

mod told;
mod words;

use std::time::SystemTime;

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::stream::protocol;
use crate::{Error, Served};
use told::{Class, Told};

/// What is told of an error's body, in bytes.
const ERROR_TEXT_BYTES_MAX: usize = 1000;
/// Statuses that asking again never mends, whatever else the answer says.
const FINAL: [u16; 6] = [400, 401, 403, 404, 413, 422];

/// What an answer other than 200 of whoever serves the model means.
pub(crate) fn of_answer(served: &Served, status: u16, headers: &HeaderMap, body: &str) -> Error {
    let error = Told::read_error(body);
    let (provider, message) = (served.provider().to_owned(), told(&error.message, &served.key));
    if let Some(class) = error.class(status) {
        return class.error(served, status, message);
    }
    if !may_be_asked_again(status, headers) {
        return Error::Refused { provider, status, message };
    }
    let message = format!("{message} ({status})");
    let wait = retry_after_ms(headers, SystemTime::now()).or(error.retry_after_ms);
    Error::Transient { provider, message, retry_after_ms: wait }
}

/// The error that the answer of whoever serves the model breaks the wire's rules. What is wrong may quote the answer.
pub(crate) fn against_the_rules(served: &Served, what: &str) -> Error {
    protocol(served.provider(), told(what, &served.key))
}

/// The error that a provider put into the middle of a reply.
pub(crate) fn in_stream(served: &Served, data: &str) -> Error {
    let error = Told::read(data).unwrap_or_default();
    let message = told(if error.message.is_empty() { data } else { &error.message }, &served.key);
    let (provider, status) = (served.provider().to_owned(), error.status.unwrap_or(500));
    match error.class(status) {
        Some(class) => class.error(served, status, message),
        None if FINAL.contains(&status) => Error::Refused { provider, status, message },
        None => Error::Transient { provider, message, retry_after_ms: error.retry_after_ms },
    }
}

/// The error that an answer of status 200 holds instead of a reply; nothing when there is none in it.
pub(crate) fn in_body(served: &Served, body: &str) -> Option<Error> {
    Told::read(body).map(|_| in_stream(served, body))
}

fn may_be_asked_again(status: u16, headers: &HeaderMap) -> bool {
    if FINAL.contains(&status) {
        return false;
    }
    match headers.get("x-should-retry").and_then(|value| value.to_str().ok()) {
        Some("true") => true,
        Some("false") => false,
        Some(_) | None => is_transient(status),
    }
}

/// Whether asking again may mend `status`. OpenAI's and Anthropic's own clients ask again after every 5xx: Anthropic's 529,
/// Cloudflare's 520 to 524, and what other gateways make up. A server that does not know the method or the version of HTTP
/// learns neither while we wait.
fn is_transient(status: u16) -> bool {
    match status {
        408 | 409 | 429 => true,
        501 | 505 => false,
        500..=599 => true,
        _ => false,
    }
}

/// How long the provider asks us to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after_ms(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|wait| whole_ms(wait.parse().ok()?)) {
        return Some(wait);
    }
    let wait = text("retry-after")?;
    if let Ok(seconds) = wait.parse::<f64>() {
        return whole_ms(seconds * 1000.0);
    }
    let until = httpdate::parse_http_date(wait).ok()?;
    let wait = until.duration_since(now).unwrap_or_default();
    u64::try_from(wait.as_millis()).ok()
}

/// Milliseconds as a whole number; nothing when they are no time to wait.
fn whole_ms(ms: f64) -> Option<u64> {
    (ms.is_finite() && ms >= 0.0).then(|| ms.ceil() as u64)
}

impl Class {
    fn error(self, served: &Served, status: u16, message: String) -> Error {
        let provider = served.provider().to_owned();
        match self {
            Self::Quota => Error::Quota { provider, status, message },
            Self::ContextFull => Error::ContextFull { provider, status, message },
            Self::Key => {
                Error::Key { provider, status, message, variable: served.key_variable().map(str::to_owned) }
            }
            Self::NotFound => Error::NotFound { provider, status, message },
        }
    }
}

/// `text` as an error may tell it: on one line, bounded, and without the key, should the provider have repeated it.
pub(crate) fn told(text: &str, key: &SecretString) -> String {
    let key = key.expose_secret();
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
