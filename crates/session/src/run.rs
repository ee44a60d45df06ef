//! The story of a session: preflight, checkout, sandbox, work, checks, pull request, teardown.

use std::sync::Arc;

use events::{
    Event, Failure, Journal, JournalError, Outcome, Request, SessionEnded, SessionId, Step, StepStarted,
    Warned,
};
use tokio_util::sync::CancellationToken;

use crate::journal::SessionJournal;
use crate::{Ports, failure, steps, telemetry};

/// One session on its way.
pub(crate) struct Story {
    pub(crate) id: SessionId,
    pub(crate) request: Request,
    pub(crate) ports: Arc<Ports>,
    pub(crate) journal: SessionJournal,
    pub(crate) cancel: CancellationToken,
}

/// Takes a session to its one final entry, however it goes.
///
/// # Errors
/// When the log refuses the final entry: another attempt has taken the session over, or the disk is full.
pub(crate) async fn drive(story: &Story) -> Result<Outcome, JournalError> {
    let outcome = match run(story).await {
        Ok(outcome) => outcome,
        Err(failure) => steps::rescue(story, failure).await,
    };
    end(story, outcome).await
}

/// Writes the final entry.
///
/// # Errors
/// As [`drive`].
pub(crate) async fn end(story: &Story, outcome: Outcome) -> Result<Outcome, JournalError> {
    let telemetry = telemetry::of(story).await;
    story
        .journal
        .record(vec![Event::SessionEnded(SessionEnded { outcome: outcome.clone(), telemetry })])
        .await?;
    Ok(outcome)
}

/// The story. The sandbox is torn down however the work inside it ends.
async fn run(story: &Story) -> Result<Outcome, Failure> {
    let place = story.unless_cancelled(Step::Preflight, steps::preflight(story)).await?;
    let checkout = story.unless_cancelled(Step::Checkout, steps::checkout(story, &place)).await?;
    let sandbox = steps::provision(story, &checkout).await?;
    let outcome = run_inside(story, &place, &checkout, &*sandbox).await;
    steps::teardown(story, &*sandbox).await;
    outcome
}

async fn run_inside(
    story: &Story,
    place: &steps::Place,
    checkout: &steps::Checkout,
    sandbox: &dyn sandbox::Sandbox,
) -> Result<Outcome, Failure> {
    let worked = steps::work(story, checkout, sandbox).await?;
    if worked.stop == agent::Stop::Cancelled {
        return Err(failure::cancelled(Step::Work));
    }
    let Some(tree) = &worked.tree else { return Ok(steps::nothing_changed(&worked.stop)) };
    steps::check(story, sandbox).await?;
    steps::publish(story, place, checkout, &steps::Work { stop: &worked.stop, tree }).await
}

impl Story {
    /// The story of a session for one attempt at it.
    pub(crate) fn new(id: SessionId, request: Request, attempt: u32, ports: &Arc<Ports>) -> Self {
        let journal = SessionJournal {
            log: ports.store.log.clone(),
            session: id,
            attempt,
            redactor: ports.redactor.clone(),
            clock: ports.clock.clone(),
        };
        Self { id, request, ports: ports.clone(), journal, cancel: CancellationToken::new() }
    }

    /// When the session was asked for: the date of its commits, so that the same work gives the same commit again.
    pub(crate) async fn created_us(&self) -> i64 {
        let first = self
            .ports
            .store
            .log
            .read_after(self.id, 0, 1)
            .await
            .ok()
            .and_then(|page| page.first().map(|e| e.at_us));
        first.unwrap_or_else(|| self.ports.clock.now_us())
    }

    /// Writes down that `step` begins, unless the session was cancelled before.
    pub(crate) async fn begin(&self, step: Step, message: impl Into<String>) -> Result<(), Failure> {
        if self.cancel.is_cancelled() {
            return Err(failure::cancelled(step));
        }
        self.record(step, vec![Event::StepStarted(StepStarted { step, message: message.into() })]).await
    }

    /// What `step` gives, unless the session is cancelled before: only for steps that leave nothing behind when they
    /// are dropped.
    async fn unless_cancelled<T>(
        &self,
        step: Step,
        doing: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = doing => done,
            () = self.cancel.cancelled() => Err(failure::cancelled(step)),
        }
    }

    /// Writes `events` down.
    pub(crate) async fn record(&self, step: Step, events: Vec<Event>) -> Result<(), Failure> {
        self.journal.record(events).await.map_err(|error| failure::internal(step, &error))
    }

    /// Writes down something that the user should know and that stops nothing.
    pub(crate) async fn warn(
        &self,
        step: Step,
        code: &str,
        message: impl Into<String>,
    ) -> Result<(), Failure> {
        let warned = Warned { code: code.to_owned(), message: message.into() };
        self.record(step, vec![Event::Warned(warned)]).await
    }
}
