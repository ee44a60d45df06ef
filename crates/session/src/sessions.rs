//! All sessions of this process: the queue, the running ones, cancelling, and the end of the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use events::{
    AttemptStarted, CancelRequested, Event, Failure, FailureCode, Journal as _, JournalError, Outcome,
    Request, SessionId, SessionRequested, SessionState, Step,
};
use store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use crate::journal::SessionJournal;
use crate::owner::Ownership;
use crate::run::{self, Story};
use crate::{Ports, failure, recover};

/// Entries read at once when a state is folded.
const PAGE: usize = 512;

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
    living: Mutex<HashMap<SessionId, Living>>,
    tasks: TaskTracker,
    draining: AtomicBool,
    problems: Vec<Problem>,
}

/// A session that this process owns.
#[derive(Clone)]
struct Living {
    cancel: CancellationToken,
    journal: SessionJournal,
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
            living: Mutex::default(),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
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
        self.inner.draining.load(Ordering::Acquire)
    }

    /// How many sessions this process owns, waiting ones included.
    pub fn living(&self) -> usize {
        self.inner.living().len()
    }

    /// Takes a session on: its first entry is durable when this returns; then it goes on by itself.
    ///
    /// # Errors
    /// [`SubmitError`] says why not; nothing was started.
    pub async fn submit(&self, request: Request, door: &str) -> Result<SessionId, SubmitError> {
        let inner = &self.inner;
        if self.is_draining() {
            return Err(SubmitError::Draining);
        }
        if let Some(problem) = inner.problems.first() {
            return Err(SubmitError::Unavailable(problem.clone()));
        }
        if self.living() >= inner.limits.running_max + inner.limits.queued_max {
            return Err(SubmitError::QueueFull(inner.limits.queued_max));
        }
        let id = inner.ports.clock.new_id();
        let owned = Ownership::take(&inner.ports.home, id).map_err(SubmitError::Ownership)?;
        let story = inner.story(id, request.clone(), 1);
        let requested = SessionRequested { request, door: door.to_owned() };
        story.journal.record(vec![Event::SessionRequested(requested)]).await.map_err(SubmitError::Journal)?;
        let living = Living { cancel: story.cancel.clone(), journal: story.journal.clone() };
        inner.living().insert(id, living);
        inner.tasks.spawn(own(Arc::clone(inner), Arc::new(story), owned));
        Ok(id)
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
        let living = self.inner.living().get(&id).cloned();
        let Some(living) = living else {
            return Ok(match self.state(id).await? {
                None => Cancelled::NotFound,
                Some(state) if state.status.is_final() => Cancelled::AlreadyEnded,
                Some(_) => Cancelled::Elsewhere,
            });
        };
        if !living.cancel.is_cancelled() {
            let asked = CancelRequested { reason: reason.to_owned() };
            if living.journal.record(vec![Event::CancelRequested(asked)]).await.is_err() {
                return Ok(Cancelled::AlreadyEnded);
            }
        }
        living.cancel.cancel();
        Ok(Cancelled::Asked)
    }

    /// What a session has changed so far, as a patch against its base; nothing when there is no such session or it
    /// has changed nothing.
    ///
    /// # Errors
    /// When the log or the mirror cannot be read.
    pub async fn diff(&self, id: SessionId) -> Result<Option<Vec<u8>>, Error> {
        let Some(state) = self.state(id).await? else { return Ok(None) };
        let (Some((_, base)), Some(commit)) =
            (state.base.clone(), state.commit.clone().or(state.saved.clone()))
        else {
            return Ok(None);
        };
        self.inner.ports.diff(&state, &base, &commit).await.map(Some)
    }

    /// The page of a pull request of a repository on this machine, as Markdown; see [`crate::LocalShelf::page`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn local_page(&self, key: &str, number: u64) -> Result<Option<String>, forge::LocalError> {
        self.inner.ports.shelf.page(key, number).await
    }

    /// Ends what crashed processes left behind: each session that nobody owns gets its final entry and keeps its
    /// work. Returns how many there were.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn recover(&self) -> Result<usize, store::Error> {
        recover::all(&self.inner.ports).await
    }

    /// Takes no more sessions, gives the living ones `grace` to end, cancels the rest and waits for their teardown.
    pub async fn drain(&self, grace: Duration) {
        self.inner.draining.store(true, Ordering::Release);
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_ok() {
            return;
        }
        let ids: Vec<SessionId> = self.inner.living().keys().copied().collect();
        for id in ids {
            if let Err(error) = self.cancel(id, "shutdown").await {
                error!(session.id = %id, "Cannot cancel {id}: {}", failure::chain(&error));
            }
        }
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn living(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Living>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn story(&self, id: SessionId, request: Request, attempt: u32) -> Story {
        Story::new(id, request, attempt, &self.ports)
    }
}

/// Holds a session from its first entry to its last.
async fn own(inner: Arc<Inner>, story: Arc<Story>, owned: Option<Ownership>) {
    let id = story.id;
    let slot = tokio::select! {
        slot = inner.slots.acquire() => slot.ok(),
        () = story.cancel.cancelled() => None,
    };
    // A panic is a bug of ours; it must not leave a session without its last entry.
    let task = tokio::spawn(start(Arc::clone(&story)));
    let ended = match task.await {
        Ok(ended) => ended,
        Err(panic) => {
            error!(session.id = %id, "The session {id} panicked: {panic}");
            let reason = "a bug in backspace ended the session; the service's log has the details";
            let failure = failure::at(Step::Work, FailureCode::Internal, reason);
            run::end(&story, Outcome::Failed(failure)).await
        }
    };
    match ended {
        Ok(outcome) => info!(session.id = %id, "Session {id} ended: {}", word(&outcome)),
        Err(error) => error!(session.id = %id, "Session {id} has no last entry: {}", failure::chain(&error)),
    }
    drop(slot);
    drop(owned);
    inner.living().remove(&id);
}

async fn start(story: Arc<Story>) -> Result<Outcome, JournalError> {
    let started = AttemptStarted { release: env!("CARGO_PKG_VERSION").to_owned() };
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
