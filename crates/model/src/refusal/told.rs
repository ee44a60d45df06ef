//! What a provider says of an error, in any of the known shapes.

use serde_json::Value;

use super::words::{self, DAILY_QUOTA};
use crate::halves::mended;

/// What a provider says of an error.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) message: String,
    /// The status that the error would have had at the head of an answer, where it says so.
    pub(super) status: Option<u16>,
    /// How long the provider asks us to wait, in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
    /// The type, the code and the reasons, as far as they are words.
    words: Vec<String>,
}

/// What no waiting mends, by who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Whoever pays.
    Quota,
    /// Whoever shortens the conversation.
    ContextFull,
    /// Whoever holds the key.
    Key,
    /// Whoever names the model.
    NotFound,
}

impl Told {
    /// Reads `{"error":{"type","message","code"}}`, which all wires and most servers that speak them use, `{"error":"…"}`, an
    /// object that says of itself that it is an error (Responses and vLLM), or a list that begins with one (Google).
    pub(super) fn read(body: &str) -> Option<Self> {
        Self::of(&json(body)?)
    }

    /// What `body` tells that is known to be of an error: a message by itself (`message`, `detail`: Mistral's gateway) does as
    /// well, and so does a text.
    pub(super) fn read_error(body: &str) -> Self {
        let said = json(body);
        let alone = |said: &Value| {
            ["message", "detail"].iter().find_map(|key| Some(said.get(key)?.as_str()?.to_owned()))
        };
        let told = said.as_ref().and_then(|said| Self::of(said).or_else(|| alone(said).map(Self::plain)));
        told.unwrap_or_else(|| Self::plain(body.to_owned()))
    }

    /// What no waiting mends, in an answer of `status`.
    pub(super) fn class(&self, status: u16) -> Option<Class> {
        let text = self.message.to_lowercase();
        let names = |words: &[&str]| self.words.iter().any(|word| words.contains(&word.as_str()));
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        let is_daily = || self.words.iter().any(|word| word.contains(DAILY_QUOTA));
        match status {
            402 => Some(Class::Quota),
            _ if names(&words::QUOTA_WORDS) || says(&words::QUOTA_PHRASES) || is_daily() => {
                Some(Class::Quota)
            }
            401 | 403 => Some(Class::Key),
            404 => Some(Class::NotFound),
            _ if names(&words::KEY_WORDS) || says(&words::KEY_PHRASES) => Some(Class::Key),
            _ if names(&words::MODEL_WORDS) || says(&words::MODEL_PHRASES) => Some(Class::NotFound),
            413 => Some(Class::ContextFull),
            _ if names(&words::CONTEXT_WORDS) || says(&words::CONTEXT_PHRASES) => Some(Class::ContextFull),
            _ => None,
        }
    }

    /// An error in no known shape.
    fn plain(message: String) -> Self {
        Self { message, ..Self::default() }
    }

    fn of(said: &Value) -> Option<Self> {
        let said = said.as_array().map_or(Some(said), |list| list.first())?;
        let is_one = ["type", "object"].iter().any(|kind| said.get(kind).is_some_and(|kind| kind == "error"));
        let error = said.get("error").filter(|error| !error.is_null()).or(is_one.then_some(said))?;
        if let Some(message) = error.as_str() {
            return Some(Self::plain(message.to_owned()));
        }
        let word = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut words: Vec<String> = ["type", "code"].into_iter().filter_map(word).collect();
        // LiteLLM writes a status as text.
        let number = |code: &Value| code.as_u64().or_else(|| code.as_str()?.trim().parse().ok());
        let code = error.get("code").and_then(number).and_then(|code| u16::try_from(code).ok());
        let status = words.iter().find_map(|word| words::status_of(word)).or(code);
        let details = error.get("details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        words.extend(details.iter().flat_map(reasons).map(str::to_owned));
        let retry_after_ms = details.iter().find_map(retry_delay_ms);
        let message = word("message").unwrap_or_else(|| error.to_string());
        let told = Self { message, status, retry_after_ms, words };
        Some(match behind(error) {
            Some((who, said)) => told.because(who, said),
            None => told,
        })
    }

    /// The error of a gateway, with what `who` behind it `said`.
    fn because(mut self, who: &str, said: Self) -> Self {
        let who = if who.is_empty() { String::new() } else { format!(" ({who})") };
        self.words.extend(said.words);
        Self {
            message: format!("{}{who}: {}", self.message, said.message),
            status: self.status.or(said.status),
            retry_after_ms: self.retry_after_ms.or(said.retry_after_ms),
            words: self.words,
        }
    }
}

/// The JSON that an error is told in.
fn json(body: &str) -> Option<Value> {
    // Some servers have begun a stream when they find that they cannot answer.
    let body = body
        .trim_start()
        .strip_prefix("data:")
        .map_or(body, |event| event.lines().next().unwrap_or_default());
    serde_json::from_str(&mended(body)).ok()
}

/// Who stood behind a gateway, and what they said: OpenRouter tells "Provider returned error", and the rest in
/// `metadata.raw`, as a text that is mostly the JSON that came (cline#13194, open-webui/computer#293).
fn behind(error: &Value) -> Option<(&str, Told)> {
    let metadata = error.get("metadata")?;
    let raw = metadata.get("raw")?;
    let text = raw.as_str().map(str::to_owned).or_else(|| raw.is_object().then(|| raw.to_string()))?;
    let said = Told::read_error(&text);
    let who = metadata.get("provider_name").and_then(Value::as_str).unwrap_or_default();
    (!said.message.trim().is_empty()).then_some((who, said))
}

/// The reason that a detail of Google's gives, and the quotas that it names.
fn reasons(detail: &Value) -> Vec<&str> {
    let quotas = detail.get("violations").and_then(Value::as_array).into_iter().flatten();
    let ids = quotas.filter_map(|quota| quota.get("quotaId")?.as_str());
    detail.get("reason").and_then(Value::as_str).into_iter().chain(ids).collect()
}

/// How long a detail of Google's asks us to wait: `"retryDelay": "25.46s"`.
fn retry_delay_ms(detail: &Value) -> Option<u64> {
    let seconds: f64 = detail.get("retryDelay")?.as_str()?.strip_suffix('s')?.parse().ok()?;
    super::whole_ms(seconds * 1000.0)
}
