//! An event with its place in the log, and its form as text.

use serde::{Deserialize, Serialize};

use crate::{Event, SessionId};

/// Whose session it is. One machine has one tenant; the envelope has the field from the first day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tenant(pub String);

impl Default for Tenant {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever asked for the session.
    User,
    /// The model, or a tool on its behalf.
    Agent,
    /// `backspace` itself.
    Service,
}

impl Actor {
    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::Service => "service",
        }
    }

    /// Reads the name in the log.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::User, Self::Agent, Self::Service].into_iter().find(|actor| actor.as_str() == name)
    }
}

/// An event that is about to be appended, in its form as text.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// When it happened, in microseconds after 1970, UTC.
    pub at_us: i64,
    /// Who did it.
    pub actor: Actor,
    /// The name of the event's kind.
    pub kind: &'static str,
    /// The version of the kind's payload.
    pub version: u32,
    /// The event's fields as JSON text.
    pub payload: String,
}

/// An event with its place in the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose session.
    pub tenant: Tenant,
    /// Which session.
    pub session: SessionId,
    /// Its place: 1, 2, 3 … without a gap.
    pub seq: u64,
    /// Which attempt at the session wrote it, from 1.
    pub attempt: u32,
    /// When it happened, in microseconds after 1970, UTC.
    pub at_us: i64,
    /// Who did it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
}

/// A stored entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a later release.
    #[error("entry of kind `{kind}` version {version}: written by a later release of backspace")]
    Unknown {
        /// The kind as stored.
        kind: String,
        /// The version as stored.
        version: u32,
    },
    /// The payload is not what the kind says.
    #[error("entry of kind `{kind}` does not hold what it should")]
    Payload {
        /// The kind as stored.
        kind: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

/// Writes the four functions that dispatch on an event's kind. One line an event: variant, kind, actor.
macro_rules! kinds {
    ($($variant:ident $kind:literal $actor:ident,)+) => {
        impl Event {
            /// The names of all kinds, in the order of the story.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            /// The name of the event's kind in the log.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)+ }
            }

            /// Who does such things.
            pub fn actor(&self) -> Actor {
                match self { $(Self::$variant(_) => Actor::$actor,)+ }
            }

            /// The event's fields as JSON text.
            ///
            /// # Errors
            /// When a field cannot be written as JSON (a path that is not UTF-8).
            pub fn payload(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$variant(fields) => serde_json::to_string(fields),)+ }
            }

            /// Reads an event back from its form as text. The only place that knows old versions.
            ///
            /// # Errors
            /// [`DecodeError`] when the kind or version is not known, or the payload is not the kind's.
            pub fn decode(kind: &str, version: u32, payload: &str) -> Result<Self, DecodeError> {
                if version != VERSION {
                    return Err(DecodeError::Unknown { kind: kind.to_owned(), version });
                }
                match kind {
                    $($kind => serde_json::from_str(payload)
                        .map(Self::$variant)
                        .map_err(|source| DecodeError::Payload { kind: kind.to_owned(), source }),)+
                    _ => Err(DecodeError::Unknown { kind: kind.to_owned(), version }),
                }
            }
        }
    };
}

/// The version of every payload so far.
const VERSION: u32 = 1;

kinds! {
    SessionRequested "session_requested" User,
    AttemptStarted "attempt_started" Service,
    StepStarted "step_started" Service,
    GitRan "git_ran" Service,
    BaseChosen "base_chosen" Service,
    SetupRan "setup_ran" Service,
    TreePrepared "tree_prepared" Service,
    SandboxOpened "sandbox_opened" Service,
    AgentBriefed "agent_briefed" Service,
    ModelReplied "model_replied" Agent,
    ModelRetried "model_retried" Service,
    ModelSwitched "model_switched" Service,
    ReplyLost "reply_lost" Service,
    Thought "thought" Agent,
    Said "said" Agent,
    FileEdited "file_edited" Agent,
    ToolFinished "tool_finished" Agent,
    AgentTold "agent_told" Service,
    ContextCompacted "context_compacted" Service,
    EgressDecided "egress_decided" Service,
    CheckRan "check_ran" Service,
    CommitMade "commit_made" Service,
    BranchPushed "branch_pushed" Service,
    PullRequestOpened "pull_request_opened" Service,
    Warned "warned" Service,
    CancelRequested "cancel_requested" User,
    LimitReached "limit_reached" Service,
    SessionEnded "session_ended" Service,
}

impl NewEntry {
    /// `event` as text, as of `at_us`.
    ///
    /// # Errors
    /// As [`Event::payload`].
    pub fn of(event: &Event, at_us: i64) -> Result<Self, serde_json::Error> {
        Ok(Self {
            at_us,
            actor: event.actor(),
            kind: event.kind(),
            version: VERSION,
            payload: event.payload()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelReplied, Purpose, Usage};

    #[test]
    fn a_reply_comes_back_byte_for_byte() {
        // A `Value` would sort the keys and turn 1.10 into 1.1.
        let raw = r#"[{"type":"thinking","z":1.10,"a":"\u00e9","signature":"x=="}]"#;
        let event = Event::ModelReplied(ModelReplied {
            provider: "anthropic".into(),
            model: "m".into(),
            wire: None,
            asked: None,
            raw: serde_json::value::RawValue::from_string(raw.to_owned()).unwrap(),
            stop: "tool_use".into(),
            purpose: Purpose::Turn,
            usage: Usage::zero(),
            totals: Usage::zero(),
            duration_ms: 5,
        });
        let entry = NewEntry::of(&event, 7).unwrap();
        let back = Event::decode(entry.kind, entry.version, &entry.payload).unwrap();
        let Event::ModelReplied(reply) = back else { panic!("another kind came back") };
        assert_eq!(reply.raw.get(), raw);
    }

    #[test]
    fn what_a_later_release_wrote_is_said_to_be_so() {
        assert!(matches!(Event::decode("said", 2, "{}"), Err(DecodeError::Unknown { version: 2, .. })));
        assert!(matches!(Event::decode("flew", 1, "{}"), Err(DecodeError::Unknown { .. })));
        assert!(matches!(Event::decode("said", 1, "{}"), Err(DecodeError::Payload { .. })));
    }
}
