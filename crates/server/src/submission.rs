//! A request body becomes a session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use events::{Request, SessionId};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::App;
use crate::error::{Code, Problem};
use crate::idempotency;
use crate::rate::Caller;

/// The longest prompt, in the longest encoding, with everything else beside it.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads a body that must be JSON, whole and within `patience`.
///
/// # Errors
/// 408, 413 and 415; 400 when it breaks off.
pub(crate) async fn read(headers: &HeaderMap, body: Body, patience: Duration) -> Result<Bytes, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType, Code::UnsupportedMediaType.about()));
    }
    let Ok(read) = tokio::time::timeout(patience, Limited::new(body, BODY_BYTES_MAX).collect()).await else {
        return Err(Problem::new(Code::BodyTimeout, Code::BodyTimeout.about()));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Code::TooLarge, Code::TooLarge.about()))
        }
        Err(_) => Err(Problem::new(Code::MalformedJson, "the body broke off")),
    }
}

/// Whether the body says that it is JSON (`application/json`, or any `+json`), in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let kind = parts.next().unwrap_or_default();
    let json = kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    let other_charset = parts.any(|part| {
        part.strip_prefix("charset=")
            .is_some_and(|charset| !matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"))
    });
    json && !other_charset
}

/// A session that is asked for.
pub(crate) struct Asked {
    /// By whom.
    pub(crate) caller: Caller,
    /// What.
    pub(crate) request: Request,
    /// By which door they came.
    pub(crate) door: &'static str,
}

/// Takes the session on.
///
/// # Errors
/// 429 and 503; nothing was started.
pub(crate) async fn submit(app: &Arc<App>, asked: Asked) -> Result<SessionId, Problem> {
    admit(app, asked.caller)?;
    let sessions = app.sessions.clone();
    to_its_end(async move { Ok(sessions.submit(asked.request, asked.door).await?) }).await
}

/// As [`submit`], once for all requests that come with `key` and the same `body`.
///
/// # Errors
/// 409, 422, 429 and 503; nothing was started.
pub(crate) async fn submit_once(
    app: &Arc<App>,
    key: String,
    body: Bytes,
    asked: Asked,
) -> Result<SessionId, Problem> {
    let app = Arc::clone(app);
    to_its_end(async move { idempotency::once(&app, &key, &body, asked).await }).await
}

/// Counts a submission of `caller`.
///
/// # Errors
/// 429 when there were too many.
pub(crate) fn admit(app: &App, caller: Caller) -> Result<(), Problem> {
    app.rate.admit(caller, Instant::now()).map_err(|wait| {
        let detail = format!("wait {} seconds before the next session", wait.as_secs_f64().ceil());
        Problem::new(Code::RateLimited, detail).retry_after(wait)
    })
}

/// A task of its own: a client that goes away in the middle must not leave a session that nobody drives, or a key
/// without its session.
async fn to_its_end<T: Send + 'static>(
    taking_on: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let taken = tokio::spawn(taking_on).await;
    taken.map_err(|panic| Problem::internal("take a session on", &panic))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_content_type() {
        let is = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(is("application/json"));
        assert!(is("Application/JSON; charset=\"UTF-8\""));
        assert!(is("application/vnd.x+json"));
        assert!(!is("application/x-www-form-urlencoded"));
        assert!(!is("text/json"));
        assert!(!is("application/json; charset=latin1"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
