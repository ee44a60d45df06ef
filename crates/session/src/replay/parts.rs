//! Puts the parts of a replay together: what is played, and what is real.

use std::sync::Arc;
use std::time::Duration;

use events::{
    Bounds, Branch, Budget, Conditions, Entry, Event, Oid, Redactor, Remote, SessionRequested, SessionState,
    Tenant, Whose,
};
use model::Pace;
use repo::{Planted, Repos, Source};
use sandbox::{Elsewhere, Policy, Sandbox};

use super::clock::PlayedClock;
use super::forge::PlayedForge;
use super::observed::{Inner, Running, observed};
use super::reach::reach;
use super::sandbox::PlayedSandbox;
use super::{Inside, ReplayError, Stage, tape};
use crate::recording::Recording;
use crate::{Forges, Identity, LocalShelf, Ports, Provider, Providers, SetupLimits};

/// The provider that a request is said to ask for, when it asked for none.
const PROVIDER: &str = "recording";

/// The parts of a replay.
pub(super) struct Parts {
    pub(super) ports: Ports,
    /// What is asked of them.
    pub(super) requested: SessionRequested,
    /// The command that runs at the moment.
    pub(super) running: Running,
}

/// The parts in which `recording` is played on `stage`.
pub(super) async fn parts(recording: &Recording, stage: Stage) -> Result<Parts, ReplayError> {
    let (entries, until) = reach(&recording.entries);
    let told = Told::of(recording, entries)?;
    let repos = Repos::open(stage.home.join("repos")).await?;
    let planted = plant(recording, &stage, &repos, &told).await?;
    let repos = repos.placing(told.remote.clone(), &planted);
    let (inner, policy, setup) = match stage.inside {
        Inside::Sandbox(around) => (Inner::Real(around.config), around.policy, Some(SetupLimits::default())),
        Inside::Recording => {
            (Inner::Played(played_sandbox(&planted, entries, &told).await?), Policy::default(), None)
        }
    };
    let (sandbox, running) = observed(inner);
    let forge = PlayedForge::new(planted, told.remote.clone(), told.base.clone(), entries);
    let forge: Arc<dyn forge::Forge> = Arc::new(forge);
    // A repository that was moved is asked for on one host and lives on another.
    let hosted =
        [&told.requested.request.remote, &told.remote].into_iter().filter_map(|remote| match remote {
            Remote::Local(_) => None,
            Remote::Hosted(hosted) => Some((hosted.host.clone(), Arc::clone(&forge))),
        });
    let hosted = hosted.collect();
    let store = store::open(&store::Config::Sqlite(stage.home.join("backspace.db"))).await?;
    let shelf = LocalShelf::new(repos.clone(), store.records.clone(), stage.home.join("pulls"));
    let played = model::Config::Played(tape::tape(entries, &until, Pace::AtOnce)?);
    let name = told.requested.request.provider.clone().unwrap_or_else(|| PROVIDER.to_owned());
    let Conditions { command_timeout_s, lifetime_s, author_name, author_email } = told.conditions;
    let ports = Ports {
        store,
        repos,
        forges: Forges { hosted, local: forge },
        shelf,
        providers: Providers(vec![Provider { name, config: played }]),
        retry: model::Policy::default(),
        budget: told.budget,
        breakers: model::Breakers::default(),
        sandbox: sandbox::Config::Elsewhere(Elsewhere(Arc::new(sandbox))),
        policy: Policy { lifetime: Duration::from_secs(lifetime_s), ..policy },
        egress: None,
        setup,
        command_timeout: Duration::from_secs(command_timeout_s),
        redactor: Arc::new(Redactor::default()),
        clock: Arc::new(PlayedClock::new(told.begun_us, recording.session)),
        identity: Identity { name: author_name, email: author_email },
        home: stage.home,
    };
    Ok(Parts { ports, requested: told.requested, running })
}

/// What a log tells of how the session began.
struct Told {
    requested: SessionRequested,
    begun_us: i64,
    /// The repository by the name that its forge gave it.
    remote: Remote,
    base: Branch,
    commit: Option<Oid>,
    conditions: Conditions,
    /// What the operator let the session use up.
    budget: Budget,
}

impl Told {
    /// What `recording` tells in `entries`, the first of which asks for the session.
    fn of(recording: &Recording, entries: &[Entry]) -> Result<Self, ReplayError> {
        let requested = recording.entries.iter().find_map(|entry| {
            if let Event::SessionRequested(requested) = &entry.event { Some(requested.clone()) } else { None }
        });
        let (Some(requested), Some(state)) = (requested, SessionState::fold(&recording.entries)) else {
            return Err(ReplayError::Empty);
        };
        let conditions = entries.iter().find_map(|entry| {
            if let Event::AttemptStarted(started) = &entry.event { started.conditions.clone() } else { None }
        });
        let bounds = entries.iter().find_map(|entry| {
            if let Event::AgentBriefed(briefed) = &entry.event { Some(briefed.bounds) } else { None }
        });
        let (base, commit) = match state.base.clone() {
            Some((base, commit)) => (base, Some(commit)),
            None => (requested.request.base.clone().unwrap_or_else(unnamed), None),
        };
        Ok(Self {
            begun_us: state.created_us,
            remote: state.repository().clone(),
            base,
            commit,
            conditions: conditions.unwrap_or_else(of_the_first_releases),
            budget: operators(&bounds.unwrap_or_default()),
            requested,
        })
    }
}

/// What the first releases, which did not tell, went by when nobody set anything else.
fn of_the_first_releases() -> Conditions {
    Conditions {
        command_timeout_s: 300,
        lifetime_s: 3600,
        author_name: "backspace".to_owned(),
        author_email: "backspace@users.noreply.github.com".to_owned(),
    }
}

/// A branch for a session that never came so far as to choose one.
#[expect(clippy::expect_used, reason = "the name is a constant")]
fn unnamed() -> Branch {
    "main".parse().expect("`main` is a branch name")
}

/// The bounds that the operator set; those of others are found again where they were found.
fn operators(bounds: &Bounds) -> Budget {
    fn of<T>(bound: Option<events::Bound<T>>) -> Option<T> {
        bound.filter(|bound| bound.whose == Whose::Operator).map(|bound| bound.max)
    }
    Budget {
        usd: of(bounds.usd),
        tokens: of(bounds.tokens),
        turns: of(bounds.turns),
        minutes: of(bounds.minutes),
    }
}

/// The folder that stands for the remote.
async fn plant(
    recording: &Recording,
    stage: &Stage,
    repos: &Repos,
    told: &Told,
) -> Result<Planted, ReplayError> {
    let remote = stage.home.join("remote.git");
    let Some(commit) = &told.commit else { return Ok(repos.plant(remote, &told.base, None).await?) };
    let missing = |why: &str| ReplayError::CodeMissing { commit: commit.clone(), why: why.to_owned() };
    match (&recording.code, &stage.repository) {
        (_, Some(repository)) => {
            let repos = Repos::open(stage.home.join("source")).await?;
            let local = Remote::Local(repository.clone());
            let source = Source { remote: local, tenant: Tenant::default(), credential: None };
            let (mirror, _) = repos.mirror(&source).await?;
            let planted = mirror.plant(remote, &told.base, commit).await;
            planted.map_err(|source| ReplayError::CommitMissing {
                repository: repository.clone(),
                commit: commit.clone(),
                source,
            })
        }
        (Some(code), None) => match &code.packed {
            Ok(packed) => Ok(repos.plant(remote, &told.base, Some(packed)).await?),
            Err(why) => Err(missing(why)),
        },
        (None, None) => Err(missing("it was recorded before there was any")),
    }
}

/// A sandbox that answers from the recording.
async fn played_sandbox(
    planted: &Planted,
    entries: &[Entry],
    told: &Told,
) -> Result<Arc<dyn Sandbox>, ReplayError> {
    let steps = entries.iter().filter_map(|entry| {
        if let Event::ToolFinished(tool) = &entry.event { tool.saved.as_ref() } else { None }
    });
    for step in steps {
        if !planted.holds(step).await? {
            return Err(ReplayError::StepsMissing);
        }
    }
    Ok(Arc::new(PlayedSandbox::new(planted.clone(), told.commit.clone(), entries)?))
}
