//! What it means when a provider does not answer: by the status, the headers, and what the answer says.

use std::time::SystemTime;

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::halves::mended;
use crate::stream::protocol;
use crate::{Error, Served};

/// What is told of an error's body, in bytes.
const ERROR_TEXT_BYTES_MAX: usize = 1000;
/// Statuses that asking again never mends, whatever else the answer says.
const FINAL: [u16; 6] = [400, 401, 403, 404, 413, 422];

/// Types and codes of an account that has to be paid for first. "Slow down" shares a status with them; only waiting for
/// that one helps.
const QUOTA_WORDS: [&str; 4] =
    ["insufficient_quota", "billing_error", "billing_not_active", "insufficient_balance"];
/// The same in sentences: Anthropic gives them no type of their own.
const QUOTA_PHRASES: [&str; 2] = ["credit balance is too low", "reached your specified api usage limits"];

/// Types and codes of a conversation that is too long.
const CONTEXT_WORDS: [&str; 3] =
    ["context_length_exceeded", "exceed_context_size_error", "request_too_large"];
/// The same in sentences, in small letters.
const CONTEXT_PHRASES: [&str; 13] = [
    // Anthropic.
    "prompt is too long",
    "exceed context limit",
    // OpenAI, vLLM, OpenRouter, Mistral; Responses; an account whose rate is below one such request.
    "maximum context length",
    "exceeds the context window",
    "request too large for",
    // Google.
    "exceeds the maximum number of tokens",
    // xAI, Groq, llama.cpp, LM Studio, Bedrock.
    "maximum prompt length",
    "reduce the length of the messages",
    "exceeds the available context size",
    "greater than the context length",
    "context length of only",
    "input is too long for requested model",
    // LiteLLM, whatever is behind it.
    "contextwindowexceedederror",
];

/// Types and codes of a model that there is not.
const MODEL_WORDS: [&str; 1] = ["model_not_found"];
/// The same in sentences: LiteLLM.
const MODEL_PHRASES: [&str; 1] = ["invalid model name passed in model="];

/// Types of a key that is refused with another status than 401 or 403: LiteLLM knows one key, and has no others to look for.
const KEY_WORDS: [&str; 1] = ["no_db_connection"];

/// What an answer other than 200 of whoever serves the model means.
pub(crate) fn of_answer(served: &Served, status: u16, headers: &HeaderMap, body: &str) -> Error {
    let error = parse_error(body).unwrap_or_else(|| Told::plain(body));
    let (provider, message) = (served.provider().to_owned(), told(&error.message, &served.key));
    if let Some(class) = error.class(status) {
        return class.error(served, status, message);
    }
    if !may_be_asked_again(status, headers) {
        return Error::Refused { provider, status, message };
    }
    let message = format!("{message} ({status})");
    Error::Transient { provider, message, retry_after_ms: retry_after_ms(headers, SystemTime::now()) }
}

/// The error that the answer of whoever serves the model breaks the wire's rules. What is wrong may quote the answer.
pub(crate) fn against_the_rules(served: &Served, what: &str) -> Error {
    protocol(served.provider(), told(what, &served.key))
}

/// The error that a provider put into the middle of a reply.
pub(crate) fn in_stream(served: &Served, data: &str) -> Error {
    let error = parse_error(data).unwrap_or_default();
    let message = told(if error.message.is_empty() { data } else { &error.message }, &served.key);
    let (provider, status) = (served.provider().to_owned(), error.status());
    match error.class(status) {
        Some(class) => class.error(served, status, message),
        None if FINAL.contains(&status) => Error::Refused { provider, status, message },
        None => Error::Transient { provider, message, retry_after_ms: None },
    }
}

/// The error that an answer of status 200 holds instead of a reply; nothing when there is none in it.
pub(crate) fn in_body(served: &Served, body: &str) -> Option<Error> {
    parse_error(body).map(|_| in_stream(served, body))
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

/// What no waiting mends, by who can mend it.
enum Class {
    /// Whoever pays.
    Quota,
    /// Whoever shortens the conversation.
    ContextFull,
    /// Whoever holds the key.
    Key,
    /// Whoever names the model.
    NotFound,
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

/// What a provider says of an error, in any of the known shapes.
#[derive(Debug, Default, PartialEq)]
struct Told {
    message: String,
    /// The type and the code, as far as they are words.
    words: Vec<String>,
    code: Option<u16>,
}

impl Told {
    /// An error in no known shape.
    fn plain(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }

    fn class(&self, status: u16) -> Option<Class> {
        let text = self.message.to_lowercase();
        let names = |words: &[&str]| self.words.iter().any(|word| words.contains(&word.as_str()));
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        match status {
            402 => Some(Class::Quota),
            _ if names(&QUOTA_WORDS) || says(&QUOTA_PHRASES) => Some(Class::Quota),
            401 | 403 => Some(Class::Key),
            404 => Some(Class::NotFound),
            _ if names(&KEY_WORDS) => Some(Class::Key),
            _ if names(&MODEL_WORDS) || says(&MODEL_PHRASES) => Some(Class::NotFound),
            413 => Some(Class::ContextFull),
            _ if names(&CONTEXT_WORDS) || says(&CONTEXT_PHRASES) => Some(Class::ContextFull),
            _ => None,
        }
    }

    /// The status that the error would have had at the head of an answer.
    fn status(&self) -> u16 {
        let by_word = self.words.iter().find_map(|word| match word.as_str() {
            "invalid_request_error" | "invalid_prompt" | "bio_policy" | "data_residency_mismatch" => {
                Some(400)
            }
            "authentication_error" | "invalid_api_key" => Some(401),
            "insufficient_quota" | "billing_error" => Some(402),
            "permission_error" => Some(403),
            "not_found_error" => Some(404),
            "request_too_large" => Some(413),
            _ => None,
        });
        by_word.or(self.code).unwrap_or(500)
    }
}

/// Reads `{"error":{"type","message","code"}}`, which all wires and most servers that speak them use, `{"error":"…"}`, or an
/// object that says of itself that it is an error (Responses and vLLM).
fn parse_error(body: &str) -> Option<Told> {
    // Some servers have begun a stream when they find that they cannot answer.
    let body = body
        .trim_start()
        .strip_prefix("data:")
        .map_or(body, |event| event.lines().next().unwrap_or_default());
    let said: Value = serde_json::from_str(&mended(body)).ok()?;
    let is_one = ["type", "object"].iter().any(|kind| said.get(kind).is_some_and(|kind| kind == "error"));
    let error = said.get("error").filter(|error| !error.is_null()).or(is_one.then_some(&said))?;
    if let Some(message) = error.as_str() {
        return Some(Told::plain(message));
    }
    let word = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    // LiteLLM writes a status as text.
    let number = |code: &Value| code.as_u64().or_else(|| code.as_str()?.trim().parse().ok());
    let code = error.get("code").and_then(number).and_then(|code| u16::try_from(code).ok());
    Some(Told {
        message: word("message").unwrap_or_else(|| error.to_string()),
        words: ["type", "code"].into_iter().filter_map(word).collect(),
        code,
    })
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
