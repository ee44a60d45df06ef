//! What an answer of GitHub's means: its errors, with what mends them.

use std::time::{Duration, SystemTime};

use events::escape_control;
use serde_json::Value;

use super::wire::{Answer, Call};
use crate::Error;

/// The longest passage of GitHub's own words that is passed on.
const MESSAGE_CHARS_MAX: usize = 600;
/// How long to wait after a secondary limit that names no time; GitHub's documentation says one minute.
const UNNAMED_LIMIT: Duration = Duration::from_secs(60);

/// What is to be done about an answer.
pub(super) enum Verdict {
    /// It is what the caller asked for.
    Answered(Answer),
    /// Asking again would not help.
    Refused(Error),
    /// It failed for no lasting reason, and may or may not have been carried out.
    Broken(Error),
    /// It was not carried out; it may be after this time.
    Limited(Duration, Error),
}

/// Judges the answer to the call's `tries`-th try.
pub(super) fn judge(call: &Call<'_>, answer: Answer, with_token: bool, tries: u32) -> Verdict {
    if (200..=299).contains(&answer.status) || call.expected.contains(&answer.status) {
        return Verdict::Answered(answer);
    }
    let doing = call.doing;
    let said = Said::read(&answer);
    if let Some(pause) = limit(&answer, &said.text, tries, SystemTime::now()) {
        let message = format!("limited for {} s more: {}", pause.as_secs(), said.text);
        return Verdict::Limited(pause, Error::Unavailable { doing, message });
    }
    let message = said.text;
    Verdict::Refused(match answer.status {
        401 => Error::Denied { doing, message: format!("{message} ({})", unknown_token(with_token)) },
        403 if answer.header("x-github-sso").is_some() => Error::Denied { doing, message: sso(&answer) },
        403 if message.contains("archived")
            || message.contains("blocked")
            || message.contains("disabled") =>
        {
            Error::Refused { doing, message }
        }
        403 => Error::Denied { doing, message: format!("{message} ({})", missing_right(&answer)) },
        404 | 410 => Error::NotFound(format!("{} ({})", call.subject(), unseen(with_token))),
        300..=399 => {
            let message = "it answered with a redirect that leaves its API, which is not followed".to_owned();
            Error::Refused { doing, message }
        }
        408 | 500.. => return Verdict::Broken(Error::Unavailable { doing, message }),
        _ => Error::Refused { doing, message },
    })
}

/// What GitHub said.
pub(super) struct Said {
    /// Everything, for people.
    pub(super) text: String,
    /// The fields that it calls invalid.
    pub(super) invalid: Vec<String>,
}

impl Said {
    /// Reads `message` and `errors`; the latter is not always a list of objects.
    pub(super) fn read(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let mut texts = Vec::from_iter(body["message"].as_str().map(str::to_owned));
        let mut invalid = Vec::new();
        let errors = body["errors"].as_array().map_or(std::slice::from_ref(&body["errors"]), Vec::as_slice);
        for error in errors {
            let (field, code) = (error["field"].as_str(), error["code"].as_str());
            let of_field = || Some(format!("{} is {}", field?, code?));
            let text = error.as_str().or(error["message"].as_str()).map(str::to_owned);
            texts.extend(text.or_else(of_field));
            invalid.extend(field.filter(|_| code == Some("invalid")).map(str::to_owned));
        }
        if texts.is_empty() {
            texts.push(format!("status {}", answer.status));
        }
        Self { text: readable(&texts.join(": ")), invalid }
    }
}

/// Words that we did not write, for a terminal: bounded, and without what would move its cursor.
pub(super) fn readable(text: &str) -> String {
    let text: String = text.chars().take(MESSAGE_CHARS_MAX).collect();
    escape_control(&text)
}

/// How long GitHub wants us to wait, if it limits us.
fn limit(answer: &Answer, message: &str, tries: u32, now: SystemTime) -> Option<Duration> {
    let number = |name| answer.header(name).and_then(|text| text.trim().parse::<u64>().ok());
    let words = message.to_ascii_lowercase();
    let said = words.contains("rate limit") || words.contains("abuse detection");
    let retry_after = number("retry-after").map(Duration::from_secs);
    let limited = match answer.status {
        429 => true,
        403 => said || retry_after.is_some(),
        _ => false,
    };
    let until_reset = || {
        let reset = number("x-ratelimit-reset").filter(|_| number("x-ratelimit-remaining") == Some(0))?;
        let reset = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(reset))?;
        // The clocks differ by a moment; a second more costs less than another refusal.
        Some(reset.duration_since(now).unwrap_or_default() + Duration::from_secs(1))
    };
    let growing = || UNNAMED_LIMIT * 2u32.saturating_pow(tries.saturating_sub(1)).min(60);
    limited.then(|| retry_after.or_else(until_reset).unwrap_or_else(growing))
}

fn unknown_token(with_token: bool) -> &'static str {
    if with_token { "GITHUB_TOKEN is mistyped, revoked or expired" } else { "GITHUB_TOKEN is not set" }
}

fn unseen(with_token: bool) -> &'static str {
    if with_token {
        "or GITHUB_TOKEN may not see or change it"
    } else {
        "or private, and GITHUB_TOKEN is not set"
    }
}

/// The right that is missing, as fine-grained and classic tokens call it.
fn missing_right(answer: &Answer) -> String {
    match answer.header("x-accepted-github-permissions") {
        Some(named) if !named.is_empty() => {
            let named = escape_control(named);
            format!("a fine-grained token needs the permission {named}, a classic one the scope `repo`")
        }
        _ => "a fine-grained token needs the permissions contents=write and pull_requests=write on this \
              repository, a classic one the scope `repo`"
            .to_owned(),
    }
}

/// `X-GitHub-SSO: required; url=…` names the page where the token is authorised.
fn sso(answer: &Answer) -> String {
    let header = answer.header("x-github-sso").unwrap_or_default();
    let url = header.split(';').find_map(|part| part.trim().strip_prefix("url="));
    let url = escape_control(url.unwrap_or("the organisation's settings"));
    format!("the organisation asks for single sign-on; authorise the token at {url}")
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Answer { status, headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn limits_say_how_long_or_one_minute_and_growing() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let wait = |status, headers: &[(&'static str, &'static str)], message: &str, tries| {
            limit(&answer(status, headers, ""), message, tries, now).map(|pause| pause.as_secs())
        };
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")];
        assert_eq!(wait(403, &used_up, "API rate limit exceeded for user ID 1.", 1), Some(91));
        assert_eq!(wait(429, &used_up, "", 1), Some(91));
        assert_eq!(
            wait(403, &[("retry-after", "7")], "You have exceeded a secondary rate limit", 1),
            Some(7)
        );
        assert_eq!(wait(403, &[], "You have exceeded a secondary rate limit", 1), Some(60));
        assert_eq!(wait(403, &[], "You have triggered an abuse detection mechanism", 2), Some(120));
        // The last call before the limit may be refused for another reason.
        assert_eq!(wait(403, &used_up, "Resource not accessible by personal access token", 1), None);
        assert_eq!(wait(404, &[("retry-after", "7")], "rate limit", 1), None);
    }

    #[test]
    fn errors_of_every_shape_are_read() {
        for (body, text) in [
            (r#"{"message":"Validation Failed","errors":[{"message":"m"}]}"#, "Validation Failed: m"),
            (r#"{"message":"V","errors":[{"field":"head","code":"invalid"}]}"#, "V: head is invalid"),
            (r#"{"message":"V","errors":["one","two"]}"#, "V: one: two"),
            (r#"{"message":"V","errors":"one"}"#, "V: one"),
            (r#"{"message":"a\u001b[31mb"}"#, "a\\u{1b}[31mb"),
            ("<html>bad gateway</html>", "status 422"),
        ] {
            assert_eq!(Said::read(&answer(422, &[], body)).text, text, "{body}");
        }
    }
}
