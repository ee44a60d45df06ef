//! The words of `backspace`: what can happen in a session, and the values it speaks of.
//!
//! This crate does no input or output. An [`Event`] is a fact in the past tense; an [`Entry`] is an event with
//! its place in the log; [`SessionState`] is the fold over the entries of one session.

mod branch;
mod budget;
mod change;
mod entry;
mod event;
mod journal;
mod oid;
mod outcome;
mod redact;
mod remote;
mod repo_path;
mod request;
mod session_id;
mod state;
mod text;

pub use branch::{Branch, BranchError};
pub use budget::{Bound, Bounds, Budget, Whose, usd};
pub use change::{ChangeList, ChangedKind, ChangedPath, Content, FileStat, Stamp};
pub use entry::{Actor, DecodeError, Entry, NewEntry, Tenant};
pub use event::*;
pub use journal::{Journal, JournalError};
pub use oid::{Oid, OidError};
pub use outcome::{
    Delivery, Failure, FailureCode, Limit, ModelUse, Outcome, Saved, Step, Target, Telemetry, Thoughts,
};
pub use redact::Redactor;
pub use remote::{Address, AddressError, Hosted, Hosts, Remote};
pub use repo_path::{PathError, RepoPath};
pub use request::{Publish, Request, SetupWish};
pub use session_id::{SessionId, SessionIdError};
pub use state::{SessionState, Status};
pub use text::{error_chain, escape_control, head_and_tail, head_and_tail_at};
