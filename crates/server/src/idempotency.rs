//! A submission that is sent twice under one `Idempotency-Key` is one session.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use events::SessionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::Records;

use crate::error::{Code, Problem};

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

/// What became of a key.
#[derive(Debug, Serialize, Deserialize)]
struct Used {
    /// A digest of the body that came with it.
    body: String,
    session: SessionId,
    at_us: i64,
}

/// Whether a session was made or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It is new.
    New(SessionId),
    /// An earlier request under the same key had made it.
    Before(SessionId),
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

impl Keys {
    /// Has `submit` make a session unless one was made under `key` with the same `body`.
    ///
    /// # Errors
    /// 409 while the first request is being answered, 422 for another body, and what `submit` says.
    pub(crate) async fn once<F>(
        &self,
        records: &dyn Records,
        key: &str,
        body: &[u8],
        submit: F,
    ) -> Result<Submitted, Problem>
    where
        F: Future<Output = Result<SessionId, Problem>>,
    {
        let Some(_busy) = Busy::mark(self, key) else {
            return Err(Problem::new(Code::IdempotencyBusy, Code::IdempotencyBusy.about()));
        };
        let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        let now_us = Timestamp::now().as_microsecond();
        if let Some(used) =
            records.get(SPACE, key).await?.and_then(|text| serde_json::from_str::<Used>(&text).ok())
            && now_us.saturating_sub(used.at_us) < i64::try_from(REMEMBERED.as_micros()).unwrap_or(i64::MAX)
        {
            if used.body == digest {
                return Ok(Submitted::Before(used.session));
            }
            return Err(Problem::new(Code::IdempotencyMismatch, Code::IdempotencyMismatch.about()));
        }
        let session = submit.await?;
        let used = Used { body: digest, session, at_us: now_us };
        let text =
            serde_json::to_string(&used).map_err(|error| Problem::internal("write a key down", &error))?;
        records.put(SPACE, key, &text).await?;
        Ok(Submitted::New(session))
    }
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
