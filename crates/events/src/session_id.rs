//! The name of a session.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of a session: a UUIDv7, so that names sort by the time of their making.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(Uuid);

/// The text is not the name of a session.
#[derive(Debug, thiserror::Error)]
#[error("a session id is a UUID such as 0193e4a2-7c3b-7000-8000-0123456789ab")]
pub struct SessionIdError;

impl SessionId {
    /// Makes the id of a session that was asked for `at_us` microseconds after 1970, with 74 bits of `random`.
    ///
    /// Clock and chance are arguments, so that a replay can give the same ids again.
    pub fn new(at_us: i64, random: u128) -> Self {
        let millis = u64::try_from(at_us / 1000).unwrap_or(0);
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&random.to_be_bytes()[6..]);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }

    /// Its random bits, as a seed for whatever shall differ from session to session and be the same in a replay.
    pub fn chance(&self) -> u64 {
        self.0.as_u64_pair().1
    }

    /// The last eight hexadecimal digits: random, unlike the first ones, and so fit for a branch name.
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[24..].to_owned()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    /// Reads the hyphenated form only: one session has one spelling, in paths, refs and file names.
    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let id = Uuid::try_parse(text).map_err(|_| SessionIdError)?;
        if id.hyphenated().to_string() != text { Err(SessionIdError) } else { Ok(Self(id)) }
    }
}

impl TryFrom<String> for SessionId {
    type Error = SessionIdError;

    fn try_from(text: String) -> Result<Self, SessionIdError> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.to_string()
    }
}
