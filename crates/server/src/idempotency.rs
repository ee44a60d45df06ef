//! A submission that is sent twice under one `Idempotency-Key` is one session.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use events::{SessionId, error_chain};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use session::SubmitError;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::App;
use crate::error::{Code, Problem};
use crate::submission::{self, Asked};

/// The header.
const HEADER: &str = "idempotency-key";
/// Where the keys are kept in the store.
const SPACE: &str = "idempotency_key";
/// Longer keys are somebody's mistake.
const KEY_BYTES_MAX: usize = 255;
/// A key may be used anew after this.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The keys whose first request is being answered at this moment.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<HashSet<String>>);

/// What became of a key. Written down before its session is begun: a crash between the two leaves a name without a
/// session, and the next request under the key begins just that one.
#[derive(Debug, Serialize, Deserialize)]
struct Used {
    /// A digest of the body that came with it.
    body: String,
    session: SessionId,
    at_us: i64,
    /// Nobody has seen yet that the session was begun. Otherwise one that is not there was deleted.
    #[serde(default)]
    pending: bool,
}

/// The key of a request.
///
/// # Errors
/// 400 for one that cannot be a key.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| !text.trim().is_empty() && text.len() <= KEY_BYTES_MAX);
    let refused = || {
        Problem::of_field(Code::InvalidParameter, "Idempotency-Key", "must be 1 to 255 visible characters")
    };
    text.map(|text| Some(text.to_owned())).ok_or_else(refused)
}

/// Makes a session, or finds the one that was made under `key` with the same `body`. To be run to its end, whoever goes away.
///
/// # Errors
/// 409 while the first request is being answered, 422 for another body, 429 and 503; then nothing was started.
pub(crate) async fn once(app: &App, key: &str, body: &[u8], asked: Asked) -> Result<SessionId, Problem> {
    let Some(_busy) = Busy::mark(&app.keys, key) else { return Err(busy()) };
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let records = &*app.sessions.store().records;
    let there = records.get(SPACE, key).await?;
    let before = there.as_deref().and_then(|text| serde_json::from_str(text).ok()).filter(Used::is_fresh);
    let used = match before {
        Some(used) if used.is_begun(app).await? => {
            return if used.body == digest { Ok(used.session) } else { Err(mismatch()) };
        }
        Some(used) if used.body == digest => {
            submission::admit(app, asked.caller)?;
            used
        }
        // What was never begun does not use its key up.
        Some(_) | None => {
            submission::admit(app, asked.caller)?;
            let at_us = Timestamp::now().as_microsecond();
            let used = Used { body: digest, session: app.sessions.new_id(), at_us, pending: true };
            match &there {
                Some(_) => records.put(SPACE, key, &used.to_text()?).await?,
                // Another process on the same store may be as fast.
                None if records.put_new(SPACE, key, &used.to_text()?).await?.is_some() => return Err(busy()),
                None => {}
            }
            used
        }
    };
    match app.sessions.submit_as(used.session, asked.request, asked.door).await {
        // It exists when a request to another process was faster.
        Ok(()) | Err(SubmitError::Exists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let id = used.session;
    used.begun(app, key).await;
    Ok(id)
}

impl Used {
    fn is_fresh(&self) -> bool {
        let age_us = Timestamp::now().as_microsecond().saturating_sub(self.at_us);
        age_us < i64::try_from(REMEMBERED.as_micros()).unwrap_or(i64::MAX)
    }

    async fn is_begun(&self, app: &App) -> Result<bool, Problem> {
        Ok(!self.pending || !app.sessions.store().log.read_after(self.session, 0, 1).await?.is_empty())
    }

    /// Writes down that the session was begun. If this fails, its log still says so for as long as it is there.
    async fn begun(self, app: &App, key: &str) {
        let used = Self { pending: false, ..self };
        let Ok(text) = used.to_text() else { return };
        if let Err(error) = app.sessions.store().records.put(SPACE, key, &text).await {
            warn!(session.id = %used.session, "Cannot write a key's session down: {}", error_chain(&error));
        }
    }

    fn to_text(&self) -> Result<String, Problem> {
        serde_json::to_string(self).map_err(|error| Problem::internal("write a key down", &error))
    }
}

fn busy() -> Problem {
    Problem::new(Code::IdempotencyBusy, Code::IdempotencyBusy.about())
}

fn mismatch() -> Problem {
    Problem::new(Code::IdempotencyMismatch, Code::IdempotencyMismatch.about())
}

/// Marks a key as busy for as long as it lives.
struct Busy<'a> {
    keys: &'a Keys,
    key: &'a str,
}

impl<'a> Busy<'a> {
    fn mark(keys: &'a Keys, key: &'a str) -> Option<Self> {
        let new = keys.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        new.then_some(Self { keys, key })
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.key);
    }
}
