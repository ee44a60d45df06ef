//! All sessions of this process: the queue, the running ones, cancelling, and the end of the process.

mod looking;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::{
    AttemptStarted, CancelRequested, Conditions, Event, Failure, Journal as _, JournalError, Outcome,
    Request, SessionId, SessionRequested, SessionState,
};
use futures_util::Stream;
use store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{error, info};

use crate::journal::SessionJournal;
use crate::owner::Ownership;
use crate::run::{self, Story};
use crate::voice::{Heard, Voice};
use crate::{Ports, failure, recover};

/// Entries read at once when a state is folded.
const PAGE: usize = 512;
/// Longer than it takes to close a sandbox and write a patch. A session that takes more is left to the next process.
const TEARDOWN_TIME: Duration = Duration::from_secs(60);

/// What the process takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sessions at work at once.
    pub running_max: usize,
    /// Sessions that wait for their turn.
    pub queued_max: usize,
}

/// All sessions of this process. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    ports: Arc<Ports>,
    limits: Limits,
    slots: Semaphore,
    roll: Mutex<Roll>,
    tasks: TaskTracker,
    problems: Vec<Problem>,
}

/// The sessions that this process owns, and whether it takes more: under one lock, so that none slips past a bound.
#[derive(Default)]
struct Roll {
    draining: bool,
    living: HashMap<SessionId, Living>,
}

/// A session that this process owns.
#[derive(Clone)]
struct Living {
    cancel: CancellationToken,
    journal: SessionJournal,
    voice: Voice,
    /// Falls when the session is no longer on the roll.
    left: CancellationToken,
}

/// A session's place on the roll, from before its first entry until after its last. Given up when it is dropped.
struct Seat {
    inner: Arc<Inner>,
    id: SessionId,
    /// The end of the process waits for it.
    _counted: TaskTrackerToken,
}

/// Something without which no session can succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is missing.
    pub what: String,
    /// What mends it.
    pub mend: String,
}

/// Why a session was not taken on. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The process is about to end.
    #[error("the service is shutting down")]
    Draining,
    /// Too many sessions are waiting.
    #[error("{0} sessions are waiting already")]
    QueueFull(usize),
    /// There is a session of that name already.
    #[error("there is a session {0} already")]
    Exists(SessionId),
    /// No session could succeed.
    #[error("{}", .0.what)]
    Unavailable(Problem),
    /// The log refused the request.
    #[error("cannot write the request down")]
    Journal(#[source] JournalError),
    /// The lock that says whose session it is.
    #[error("cannot take hold of the session")]
    Ownership(#[source] std::io::Error),
}

/// What came of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The session will end soon.
    Asked,
    /// It has ended.
    AlreadyEnded,
    /// Another process is at it.
    Elsewhere,
    /// There is none.
    NotFound,
}

/// What can go wrong when a session is looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The mirror.
    #[error(transparent)]
    Repo(#[from] repo::Error),
    /// The credential of the mirror.
    #[error(transparent)]
    Forge(#[from] forge::Error),
    /// The mirror that the session worked on is not here any more.
    #[error("the mirror that session {0} worked on is gone")]
    MirrorGone(SessionId),
}

impl Sessions {
    /// Sessions over `ports`. With `problems` none is taken on.
    pub fn new(ports: Ports, limits: Limits, problems: Vec<Problem>) -> Self {
        let inner = Inner {
            ports: Arc::new(ports),
            limits,
            slots: Semaphore::new(limits.running_max),
            roll: Mutex::default(),
            tasks: TaskTracker::new(),
            problems,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The log and what is kept beside it.
    pub fn store(&self) -> &Store {
        &self.inner.ports.store
    }

    /// Everything without which no session can succeed.
    pub fn problems(&self) -> &[Problem] {
        &self.inner.problems
    }

    /// Whether the process is about to end.
    pub fn is_draining(&self) -> bool {
        self.inner.roll().draining
    }

    /// How many sessions this process owns, waiting ones included.
    pub fn living(&self) -> usize {
        self.inner.roll().living.len()
    }

    /// A name for a session that is to be submitted.
    pub fn new_id(&self) -> SessionId {
        self.inner.ports.clock.new_id()
    }

    /// Takes a session on: its first entry is durable when this returns; then it goes on by itself.
    ///
    /// # Errors
    /// [`SubmitError`] says why not; nothing was started.
    pub async fn submit(&self, request: Request, door: &str) -> Result<SessionId, SubmitError> {
        let id = self.new_id();
        self.submit_as(id, request, door).await.map(|()| id)
    }

    /// As [`Sessions::submit`], under a name from [`Sessions::new_id`] that the caller has written down before.
    ///
    /// # Errors
    /// [`SubmitError::Exists`] when a session of that name was taken on before, by whomever; otherwise as
    /// [`Sessions::submit`].
    pub async fn submit_as(&self, id: SessionId, request: Request, door: &str) -> Result<(), SubmitError> {
        let inner = &self.inner;
        let story = Story::new(id, request.clone(), 1, &inner.ports);
        let seat = inner.seat(&story)?;
        let owned = Ownership::take(&inner.ports.home, id).map_err(SubmitError::Ownership)?;
        let owned = owned.ok_or(SubmitError::Exists(id))?;
        let requested = SessionRequested { request, door: door.to_owned() };
        match story.journal.record(vec![Event::SessionRequested(requested)]).await.map_err(of_store) {
            Ok(()) => {}
            Err(store::Error::Fenced { .. }) => return Err(SubmitError::Exists(id)),
            Err(error) => return Err(SubmitError::Journal(JournalError(error.into()))),
        }
        inner.tasks.spawn(own(seat, Arc::new(story), owned));
        Ok(())
    }

    /// Ends when this process does not own session `id` any more: after its last entry, or because there could be
    /// none. Whoever follows the session's log waits for both.
    pub fn left(&self, id: SessionId) -> impl Future<Output = ()> + Send + use<> {
        let left = self.inner.roll().living.get(&id).map(|living| living.left.clone());
        async move {
            if let Some(left) = left {
                left.cancelled().await;
            }
        }
    }

    /// What the model of session `id` says while it answers, from now until the session ends; nothing when this process
    /// does not own it. A listener that does not keep up misses pieces.
    pub fn listen(&self, id: SessionId) -> Option<impl Stream<Item = Heard> + Send + use<>> {
        self.inner.roll().living.get(&id).map(|living| living.voice.listen())
    }

    /// What a session is; nothing when there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn state(&self, id: SessionId) -> Result<Option<SessionState>, store::Error> {
        state(&self.inner.ports.store, id).await
    }

    /// Asks a session to end. Its work so far is kept as a patch.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub async fn cancel(&self, id: SessionId, reason: &str) -> Result<Cancelled, store::Error> {
        let living = self.inner.roll().living.get(&id).cloned();
        let Some(living) = living else { return self.not_ours(id).await };
        if living.cancel.is_cancelled() {
            // It was asked for before, and may have its last entry while its owner is still letting go.
            let ended = self.state(id).await?.is_some_and(|state| state.status.is_final());
            return Ok(if ended { Cancelled::AlreadyEnded } else { Cancelled::Asked });
        }
        // A task of its own: a caller that goes away in the middle must not leave a wish that is written down and
        // not carried out.
        let asking = self.inner.tasks.spawn(ask_to_end(living, reason.to_owned()));
        match asking.await {
            // Not found: its first entry is being written, and it ends right after that.
            Ok(Ok(()) | Err(store::Error::NotFound(_))) => Ok(Cancelled::Asked),
            Ok(Err(store::Error::Fenced { .. })) => self.not_ours(id).await,
            Ok(Err(error)) => Err(error),
            Err(panic) => {
                Err(store::Error::Database { doing: "write down the wish to cancel", source: panic.into() })
            }
        }
    }

    /// What to answer of a session that this process does not own.
    async fn not_ours(&self, id: SessionId) -> Result<Cancelled, store::Error> {
        Ok(match self.state(id).await? {
            None => Cancelled::NotFound,
            Some(state) if state.status.is_final() => Cancelled::AlreadyEnded,
            Some(_) => Cancelled::Elsewhere,
        })
    }

    /// Ends what crashed processes left behind: each session that nobody owns gets its final entry and keeps its
    /// work. Returns how many there were.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn recover(&self) -> Result<usize, store::Error> {
        recover::all(&self.inner.ports).await
    }

    /// Takes no more sessions, gives the living ones `grace` to end, cancels the rest and waits for their teardown,
    /// but not for ever: a disk or a database that hangs must not keep the process from its end.
    pub async fn drain(&self, grace: Duration) {
        self.inner.roll().draining = true;
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_ok() {
            return;
        }
        if tokio::time::timeout(TEARDOWN_TIME, self.cancel_all()).await.is_err() {
            let left: Vec<String> = self.inner.roll().living.keys().map(ToString::to_string).collect();
            error!("Left to the next process, for they take too long to end: {}", left.join(", "));
        }
    }

    async fn cancel_all(&self) {
        let ids: Vec<SessionId> = self.inner.roll().living.keys().copied().collect();
        for id in ids {
            if let Err(error) = self.cancel(id, "shutdown").await {
                error!(session.id = %id, "Cannot write down that {id} is cancelled: {}", failure::chain(&error));
            }
        }
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the session of `story` on the roll, if there is room.
    fn seat(self: &Arc<Self>, story: &Story) -> Result<Seat, SubmitError> {
        let mut roll = self.roll();
        if roll.draining {
            return Err(SubmitError::Draining);
        }
        if let Some(problem) = self.problems.first() {
            return Err(SubmitError::Unavailable(problem.clone()));
        }
        if roll.living.contains_key(&story.id) {
            return Err(SubmitError::Exists(story.id));
        }
        if roll.living.len() >= self.limits.running_max + self.limits.queued_max {
            return Err(SubmitError::QueueFull(self.limits.queued_max));
        }
        let (cancel, journal, voice) = (story.cancel.clone(), story.journal.clone(), story.voice.clone());
        roll.living.insert(story.id, Living { cancel, journal, voice, left: CancellationToken::new() });
        Ok(Seat { inner: Arc::clone(self), id: story.id, _counted: self.tasks.token() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(living) = self.inner.roll().living.remove(&self.id) {
            living.left.cancel();
        }
    }
}

/// Writes down that somebody wants the end of a session, and ends it even when that cannot be written.
async fn ask_to_end(living: Living, reason: String) -> Result<(), store::Error> {
    let asked = living.journal.record(vec![Event::CancelRequested(CancelRequested { reason })]).await;
    living.cancel.cancel();
    asked.map_err(of_store)
}

/// What the log said.
fn of_store(error: JournalError) -> store::Error {
    match error.0.downcast::<store::Error>() {
        Ok(error) => *error,
        Err(source) => store::Error::Database { doing: "write down what happened", source },
    }
}

/// Holds a session from its first entry to its last.
async fn own(seat: Seat, story: Arc<Story>, owned: Ownership) {
    let id = story.id;
    let slot = tokio::select! {
        slot = seat.inner.slots.acquire() => slot.ok(),
        () = story.cancel.cancelled() => None,
    };
    match last_entry(&story).await {
        Ok(outcome) => info!(session.id = %id, "Session {id} ended: {}", word(&outcome)),
        Err(error) => error!(session.id = %id, "Session {id} has no last entry: {}", failure::chain(&error)),
    }
    drop(slot);
    // Others may look after the session before those who wait for us hear that we left it.
    drop(owned);
    drop(seat);
}

/// The end of a session. A panic is a bug of ours; it must leave no session without its work and its last entry.
async fn last_entry(story: &Arc<Story>) -> Result<Outcome, JournalError> {
    let id = story.id;
    let panic = match tokio::spawn(start(Arc::clone(story))).await {
        Ok(ended) => return ended,
        Err(panic) => panic,
    };
    error!(session.id = %id, "The session {id} panicked: {panic}");
    let story = Arc::clone(story);
    match tokio::spawn(async move { run::after_panic(&story).await }).await {
        Ok(ended) => ended,
        Err(again) => Err(JournalError(again.into())),
    }
}

async fn start(story: Arc<Story>) -> Result<Outcome, JournalError> {
    let ports = &story.ports;
    let conditions = Conditions {
        command_timeout_s: ports.command_timeout.as_secs(),
        lifetime_s: ports.policy.lifetime.as_secs(),
        author_name: ports.identity.name.clone(),
        author_email: ports.identity.email.clone(),
    };
    let release = env!("CARGO_PKG_VERSION").to_owned();
    let started = AttemptStarted { release, conditions: Some(conditions) };
    story.journal.record(vec![Event::AttemptStarted(started)]).await?;
    run::drive(&story).await
}

/// The state after all entries of a session.
pub(crate) async fn state(store: &Store, id: SessionId) -> Result<Option<SessionState>, store::Error> {
    let mut state: Option<SessionState> = None;
    let mut seq = 0;
    loop {
        let page = store.log.read_after(id, seq, PAGE).await?;
        let Some(last) = page.last() else { return Ok(state) };
        seq = last.seq;
        for entry in &page {
            match &mut state {
                None => state = SessionState::begin(entry),
                Some(state) => state.apply(entry),
            }
        }
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Unchanged { .. } => "unchanged",
        Outcome::Budget { .. } => "budget",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Failed(Failure { code, .. }) => code.as_str(),
    }
}
