//! The story of a session: preflight, checkout, setup, sandbox, work, checks, pull request, teardown.

use std::sync::Arc;

use events::{
    Event, Failure, FailureCode, Journal, JournalError, Outcome, Request, SessionEnded, SessionId, Step,
    StepStarted, Warned,
};
use tokio_util::sync::CancellationToken;

use crate::failure::Stopped;
use crate::journal::SessionJournal;
use crate::voice::Voice;
use crate::way_out::WayOut;
use crate::{Ports, failure, sessions, steps, telemetry};

/// One session on its way.
pub(crate) struct Story {
    pub(crate) id: SessionId,
    pub(crate) request: Request,
    pub(crate) ports: Arc<Ports>,
    pub(crate) journal: SessionJournal,
    pub(crate) cancel: CancellationToken,
    /// What its model says while it answers.
    pub(crate) voice: Voice,
}

/// Takes a session to its one final entry, however it goes.
///
/// # Errors
/// When the log refuses the final entry: another attempt has taken the session over, or the disk is full.
pub(crate) async fn drive(story: &Story) -> Result<Outcome, JournalError> {
    let outcome = match run(story).await {
        Ok(outcome) => outcome,
        Err(stopped) => steps::rescue(story, stopped).await,
    };
    end(story, outcome).await
}

/// Ends a session whose story broke off because of a bug of ours, with its work kept.
///
/// # Errors
/// As [`drive`].
pub(crate) async fn after_panic(story: &Story) -> Result<Outcome, JournalError> {
    let state = sessions::state(&story.ports.store, story.id).await.ok().flatten();
    let step = state.and_then(|state| state.step).unwrap_or(Step::Preflight);
    let reason = "a bug in backspace ended the session; the service's log has the details";
    let failure = failure::at(step, FailureCode::Internal, reason);
    let outcome = steps::rescue(story, Stopped::Failed(failure)).await;
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
async fn run(story: &Story) -> Result<Outcome, Stopped> {
    let place = story.unless_cancelled(steps::preflight(story)).await?;
    let checkout = story.unless_cancelled(steps::checkout(story, &place)).await?;
    let ground = steps::setup(story, &checkout).await?;
    let outcome = run_on(story, &place, &checkout, &ground).await;
    ground.release().await;
    outcome
}

async fn run_on(
    story: &Story,
    place: &steps::Place,
    checkout: &steps::Checkout,
    ground: &steps::Ground,
) -> Result<Outcome, Stopped> {
    story.still_wanted()?;
    let sandbox = steps::provision(story, checkout, ground).await?;
    let outcome = run_inside(story, place, checkout, ground, &*sandbox).await;
    steps::teardown(story, &*sandbox).await;
    outcome
}

async fn run_inside(
    story: &Story,
    place: &steps::Place,
    checkout: &steps::Checkout,
    ground: &steps::Ground,
    sandbox: &dyn sandbox::Sandbox,
) -> Result<Outcome, Stopped> {
    story.still_wanted()?;
    story.journal.way_out.after_setup(story.ports.egress.as_ref());
    let worked = steps::work(story, checkout, ground, sandbox).await?;
    if worked.stop == agent::Stop::Cancelled {
        return Err(Stopped::Cancelled);
    }
    let Some(tree) = &worked.tree else { return Ok(steps::nothing_changed(&worked.stop)) };
    steps::check(story, checkout, sandbox).await?;
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
            way_out: WayOut::default(),
            at: Arc::default(),
        };
        let voice = Voice::new(journal.at.clone(), ports.redactor.clone());
        Self { id, request, ports: ports.clone(), journal, cancel: CancellationToken::new(), voice }
    }

    /// When the session was asked for: the date of its commits, so that the same work gives the same commit again.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) async fn created_us(&self) -> Result<i64, store::Error> {
        let page = self.ports.store.log.read_after(self.id, 0, 1).await?;
        page.first().map(|entry| entry.at_us).ok_or(store::Error::NotFound(self.id))
    }

    /// Writes down that `step` begins.
    pub(crate) async fn begin(&self, step: Step, message: impl Into<String>) -> Result<(), Failure> {
        self.record(step, vec![Event::StepStarted(StepStarted { step, message: message.into() })]).await
    }

    /// Stops a session that was cancelled. Asked before every step that cannot be dropped in its middle.
    pub(crate) fn still_wanted(&self) -> Result<(), Stopped> {
        if self.cancel.is_cancelled() { Err(Stopped::Cancelled) } else { Ok(()) }
    }

    /// What `step` gives, unless the session is cancelled before: only for steps that leave nothing behind when they
    /// are dropped.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stopped::Cancelled),
            done = step => Ok(done?),
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
