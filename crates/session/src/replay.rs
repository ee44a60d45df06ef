//! Runs a recorded session again, offline, through the whole story, and says where it goes another way.
//!
//! Played are the models' replies, the forge's answers, the clock and the ids; the repository comes from the recording and
//! what is pushed goes to a folder. Real is everything else: git, the log, the agent's loop, and the tools in a real sandbox,
//! unless their results are to be played as well.

mod clock;
mod comparison;
mod forge;
mod lapse;
mod observed;
mod parts;
mod reach;
mod sandbox;
mod tape;
mod volatile;

use std::path::PathBuf;
use std::time::Duration;

use events::SessionId;
use futures_util::StreamExt as _;
use model::Pace;
use tokio_util::sync::CancellationToken;

use crate::recording::Recording;
use crate::{Limits, Sessions, SubmitError};

use comparison::{Comparison, Step, Wish};
use observed::Running;
use parts::Parts;

pub use comparison::{Difference, Side};
pub use reach::Until;
pub use volatile::not_compared;

/// Where and how a recording is played.
#[derive(Debug)]
pub struct Stage {
    /// An empty folder for everything that the session leaves.
    pub home: PathBuf,
    /// A repository of this machine that holds the base, for recordings without code.
    pub repository: Option<PathBuf>,
    /// Where the tools are.
    pub inside: Inside,
    /// How much must be the same.
    pub strictness: Strictness,
}

/// Where the tools are.
#[derive(Debug)]
pub enum Inside {
    /// In a sandbox: commands really run.
    Sandbox(Box<Around>),
    /// In the recording: what they gave then is given again.
    Recording,
}

/// A sandbox for the tools.
#[derive(Debug)]
pub struct Around {
    /// Which.
    pub config: ::sandbox::Config,
    /// What it may use.
    pub policy: ::sandbox::Policy,
}

/// How much must be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// All but times, what the machine decides, and output that differs from run to run.
    Usual,
    /// That output as well.
    Exact,
}

/// What came of a replay.
#[derive(Debug)]
pub enum Verdict {
    /// Everything that could be compared is the same.
    Same {
        /// How many events.
        events: usize,
        /// How far that is.
        until: Until,
    },
    /// This is the first event that is not.
    Differs(Box<Difference>),
    /// Somebody ended the replay.
    Ended,
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The code is not in the recording, and nobody said where it is.
    #[error(
        "the recording does not hold the repository ({why}): name one on this machine that has commit {commit} \
         (--repo PATH)"
    )]
    CodeMissing {
        /// The base.
        commit: events::Oid,
        /// Why it is not there.
        why: String,
    },
    /// The repository that was named has another history.
    #[error("{} does not hold commit {commit}, which the recording starts from", repository.display())]
    CommitMissing {
        /// The repository.
        repository: PathBuf,
        /// The base.
        commit: events::Oid,
        /// What git said.
        #[source]
        source: repo::Error,
    },
    /// It does not begin with a request.
    #[error("the recording has no request for a session")]
    Empty,
    /// Results can be played only with the steps, which only a recording with code has.
    #[error(
        "without a sandbox a replay needs the steps of the session, and the recording has none: leave --no-sandbox out"
    )]
    StepsMissing,
    /// A reply cannot be read.
    #[error("the reply in entry {seq} cannot be played")]
    Reply {
        /// Where it is.
        seq: u64,
        /// What is wrong with it.
        #[source]
        source: model::Error,
    },
    /// git, or the pack in the recording.
    #[error("cannot lay out the recording's repository")]
    Repository(#[from] repo::Error),
    /// The log of the replay.
    #[error("cannot keep the log of the replay")]
    Store(#[from] store::Error),
    /// The session was not taken on.
    #[error("cannot begin the session again")]
    Submit(#[from] SubmitError),
    /// The log of the replay ended without an end of the session.
    #[error("the replay ended without its last entry; is the disk full?")]
    NoEnd,
}

/// What the models of `recording` answered, to be played at `pace` in a session that is otherwise another one: its
/// repository may stand elsewhere and its commands may print something else, as long as it asks the same number of times.
///
/// # Errors
/// [`ReplayError::Reply`] when a reply cannot be read.
pub fn models(recording: &Recording, pace: Pace) -> Result<model::PlayedConfig, ReplayError> {
    tape::tape(&recording.entries, &Until::End, pace)
}

/// How long the replay's session may take to close its sandbox once it is not needed any more.
const TEARDOWN_TIME: Duration = Duration::from_secs(30);

/// Plays `recording` until something differs, everything is compared, or `ended` says so.
///
/// # Errors
/// [`ReplayError`] when it cannot be played at all.
pub async fn replay(
    recording: &Recording,
    stage: Stage,
    ended: &CancellationToken,
) -> Result<Verdict, ReplayError> {
    let mut comparison = Comparison::of(recording, &stage);
    let Parts { ports, requested, running } = parts::parts(recording, stage).await?;
    let sessions = Sessions::new(ports, Limits { running_max: 1, queued_max: 0 }, Vec::new());
    let id = recording.session;
    sessions.submit_as(id, requested.request, &requested.door).await?;
    let verdict = tokio::select! {
        verdict = compare(&mut comparison, &sessions, id, running) => verdict,
        () = ended.cancelled() => Ok(Verdict::Ended),
    };
    if sessions.living() > 0 {
        let _ended_by_itself = sessions.cancel(id, "replayed").await;
    }
    sessions.drain(TEARDOWN_TIME).await;
    verdict
}

async fn compare(
    comparison: &mut Comparison,
    sessions: &Sessions,
    id: SessionId,
    mut running: Running,
) -> Result<Verdict, ReplayError> {
    let mut stream = std::pin::pin!(store::follow(sessions.store().log.clone(), id, 0));
    let (mut wish, mut cancelled) = (None, false);
    loop {
        tokio::select! {
            entry = stream.next() => {
                let entry = entry.ok_or(ReplayError::NoEnd)??;
                if let Step::Over(verdict) = comparison.take(&entry) {
                    return Ok(verdict);
                }
                wish = comparison.wish().filter(|_| !cancelled);
            }
            // A command that was interrupted then has to run first. If it ends, that is an entry, and another one.
            reason = due(wish.as_ref(), &mut running), if wish.is_some() => {
                (wish, cancelled) = (None, true);
                sessions.cancel(id, &reason).await?;
            }
        }
    }
}

/// Waits until the session is at the place at which `wish` was told then; gives why.
async fn due(wish: Option<&Wish>, running: &mut Running) -> String {
    let Some(wish) = wish else { return std::future::pending().await };
    if let Some(script) = &wish.during {
        running.wait_for(script).await;
    }
    wish.reason.clone()
}
