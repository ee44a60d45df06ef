//! Entries to fill a store with.

use events::{
    AttemptStarted, Branch, Budget, Delivery, Event, Failure, FailureCode, Hosted, Limit, ModelRetried,
    NewEntry, Outcome, Publish, PullRequestOpened, Remote, Request, Said, SessionEnded, SessionId,
    SessionRequested, Step, Target, Telemetry,
};

/// The `n`th session; later ones have greater ids.
pub(crate) fn session(n: u64) -> SessionId {
    SessionId::new(1_700_000_000_000_000 + i64::try_from(n).unwrap() * 1000, u128::from(n))
}

pub(crate) fn remote(name: &str) -> Remote {
    Remote::Hosted(Hosted {
        scheme: "https".into(),
        host: "forge.example".into(),
        owner: "o".into(),
        name: name.into(),
    })
}

pub(crate) fn requested(name: &str, prompt: &str) -> NewEntry {
    let request = Request {
        remote: remote(name),
        prompt: prompt.into(),
        branch: None,
        base: None,
        title: None,
        draft: false,
        provider: None,
        model: None,
        publish: Publish::Pr,
        setup: events::SetupWish::AsFound,
        checks: vec![],
        budget: Budget::default(),
    };
    entry(1_000, &Event::SessionRequested(SessionRequested { request, door: "run".into() }))
}

pub(crate) fn started() -> NewEntry {
    entry(2_000, &Event::AttemptStarted(AttemptStarted { release: "0.1.0".into(), conditions: None }))
}

pub(crate) fn said(text: &str) -> NewEntry {
    entry(3_000, &Event::Said(Said { text: text.into() }))
}

pub(crate) fn paused() -> NewEntry {
    let (provider, reason) = (Some("anthropic".into()), "anthropic is not answering: 529".into());
    entry(3_500, &Event::ModelRetried(ModelRetried { provider, reason, wait_ms: 60_000, retry: 1 }))
}

pub(crate) fn opened(url: &str) -> NewEntry {
    let target = pull_request(url);
    let base = "main".parse().unwrap();
    entry(
        4_000,
        &Event::PullRequestOpened(PullRequestOpened { target, base, title: "t".into(), adopted: false }),
    )
}

pub(crate) fn ended() -> NewEntry {
    ended_by(Outcome::Unchanged { summary: "nothing to do".into() })
}

pub(crate) fn ended_by(outcome: Outcome) -> NewEntry {
    entry(5_000, &Event::SessionEnded(SessionEnded { outcome, telemetry: Telemetry::default() }))
}

/// One outcome of each kind.
pub(crate) fn outcomes() -> Vec<Outcome> {
    let main: Branch = "main".parse().unwrap();
    let delivery = Delivery {
        target: pull_request("https://x/pull/1"),
        base: main,
        base_commit: "a".repeat(40).parse().unwrap(),
        commit: "b".repeat(40).parse().unwrap(),
        files: vec![],
        title: "t".into(),
        summary: "s".into(),
    };
    let failure = Failure {
        code: FailureCode::Internal,
        step: Step::Work,
        reason: "r".into(),
        hint: None,
        saved: None,
    };
    vec![
        Outcome::Delivered(delivery),
        Outcome::Unchanged { summary: "s".into() },
        Outcome::Budget { limit: Limit::Turns, delivery: None },
        Outcome::Cancelled { saved: None },
        Outcome::Failed(failure),
    ]
}

fn pull_request(url: &str) -> Target {
    Target::PullRequest {
        url: url.into(),
        number: 1,
        branch: "backspace/x".parse().unwrap(),
        draft: false,
        compare_url: None,
    }
}

fn entry(at_us: i64, event: &Event) -> NewEntry {
    NewEntry::of(event, at_us).unwrap()
}
