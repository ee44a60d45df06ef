use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use events::{
    AttemptStarted, BaseChosen, Branch, Budget, CancelRequested, ChangeList, ChangedKind, ChangedPath,
    CommitMade, Content, Entry, Event, Journal as _, NewEntry, Oid, Outcome, Publish, PullRequestOpened,
    Redactor, Remote, Request, Saved, SessionRequested, Shown, Stamp, StepStarted, Target, ToolFinished,
};
use forge::{Credential, Forge, NewPullRequest, PullRequest, Repository};
use repo::{Contents, ContentsError, Repos};
use store::{EventLog, Grown, Store};
use tempfile::TempDir;

use super::*;
use crate::journal::SessionJournal;
use crate::{Forges, Identity, Limits, LocalShelf, Providers, Sessions, SystemClock};

/// The local forge, seen with a credential or without, by any other name of the repository, too.
struct Seen {
    local: Arc<dyn Forge>,
    account: Option<&'static str>,
}

#[async_trait]
impl Forge for Seen {
    async fn repository(&self, remote: &Remote) -> Result<Repository, forge::Error> {
        self.local.repository(remote).await
    }

    async fn credential(&self, _remote: &Remote) -> Result<Option<Credential>, forge::Error> {
        Ok(self.account.map(|user| Credential { user: user.to_owned(), password: "secret".into() }))
    }

    async fn branch_head(&self, remote: &Remote, branch: &Branch) -> Result<Option<Oid>, forge::Error> {
        self.local.branch_head(remote, branch).await
    }

    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, forge::Error> {
        self.local.open_pull_request(new).await
    }

    async fn pull_request(&self, remote: &Remote, number: u64) -> Result<PullRequest, forge::Error> {
        self.local.pull_request(remote, number).await
    }

    fn compare_url(&self, remote: &Remote, base: &Branch, head: &Branch) -> Option<String> {
        self.local.compare_url(remote, base, head)
    }
}

/// Work that no sandbox had to make.
struct Fixed;

#[async_trait]
impl Contents for Fixed {
    async fn content(&self, _path: &ChangedPath, _max: u64) -> Result<Option<Content>, ContentsError> {
        Ok(Some(Content::File { executable: false, bytes: b"echo $(($1 + $2))\n".to_vec() }))
    }
}

/// A log on a disk that fails: no final entry can be written, and one session cannot be read.
struct Failing {
    log: Arc<dyn EventLog>,
    unreadable: Option<SessionId>,
}

#[async_trait]
impl EventLog for Failing {
    async fn append(&self, id: SessionId, attempt: u32, new: Vec<NewEntry>) -> Result<u64, store::Error> {
        if self.unreadable.is_none() && new.iter().any(|entry| entry.kind == "session_ended") {
            return Err(store::Error::Database { doing: "append", source: "no space left".into() });
        }
        self.log.append(id, attempt, new).await
    }

    async fn read_after(&self, id: SessionId, seq: u64, limit: usize) -> Result<Vec<Entry>, store::Error> {
        if self.unreadable == Some(id) {
            return Err(store::Error::Database { doing: "read", source: "a bad sector".into() });
        }
        self.log.read_after(id, seq, limit).await
    }

    async fn begin_attempt(&self, id: SessionId) -> Result<u32, store::Error> {
        self.log.begin_attempt(id).await
    }

    fn watch(&self, id: SessionId) -> Grown {
        self.log.watch(id)
    }
}

/// A repository, and a home in which processes come and go.
struct World {
    home: TempDir,
    store: Store,
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let calc = home.path().join("calc");
        std::fs::create_dir(&calc).unwrap();
        std::fs::write(calc.join("calc.sh"), "echo $(($1 - $2))\n").unwrap();
        git(&calc, &["init", "--quiet", "--initial-branch=main"]);
        git(&calc, &["add", "--all"]);
        git(&calc, &["commit", "--quiet", "--message=A calculator"]);
        let store = store::open(&store::Config::Memory).await.unwrap();
        Self { home, store }
    }

    fn calc(&self) -> PathBuf {
        self.home.path().join("calc")
    }

    /// What a process that has this account reaches the world through.
    async fn process(&self, account: Option<&'static str>) -> Arc<Ports> {
        let repos = Repos::open(self.home.path().join("repos")).await.unwrap();
        let records = self.store.records.clone();
        let shelf = LocalShelf::new(repos.clone(), records, self.home.path().join("pulls"));
        let local = forge::open(&forge::Config::Local(shelf.forge_config(None))).unwrap();
        Arc::new(Ports {
            store: self.store.clone(),
            repos,
            forges: Forges { hosted: Vec::new(), local: Arc::new(Seen { local, account }) },
            shelf,
            providers: Providers::default(),
            retry: model::Policy::default(),
            budget: events::Budget::default(),
            breakers: model::Breakers::default(),
            sandbox: sandbox::Config::Namespaces(sandbox::namespaces::Config::default()),
            policy: sandbox::Policy::default(),
            egress: None,
            setup: Some(crate::SetupLimits::default()),
            command_timeout: Duration::from_secs(60),
            redactor: Arc::new(Redactor::new(["secret"])),
            clock: Arc::new(SystemClock),
            identity: Identity { name: "backspace".into(), email: "b@example.org".into() },
            home: self.home.path().to_owned(),
        })
    }

    /// Begins a session, as a process with these ports would, up to a saved step that holds the fix.
    async fn left_by(&self, ports: &Arc<Ports>, asked_for: Remote) -> Left {
        let id = ports.clock.new_id();
        let story = Story::new(id, request(asked_for), 1, ports);
        let remote = Remote::Local(self.calc());
        let forge = ports.forges.of(&remote).unwrap();
        let source = ports.source(&*forge, &remote).await.unwrap();
        let (mirror, _) = ports.repos.mirror(&source).await.unwrap();
        let main: Branch = "main".parse().unwrap();
        let base = mirror.branch(&main).await.unwrap().unwrap();
        let tree = mirror.base_tree(&base, &main).await.unwrap();
        let mut recorder = mirror.recorder(id, &tree, None).await.unwrap();
        let stamp = Stamp { inode: 1, ctime_ns: 1 };
        let kind = ChangedKind::File { executable: false, bytes: 18 };
        let list = ChangeList {
            paths: vec![ChangedPath { path: b"calc.sh".to_vec(), kind, stamp }],
            truncated: false,
        };
        let saved = recorder.save(&list, &Fixed).await.unwrap().commit.unwrap();
        recorder.close().await.unwrap();
        let request = story.request.clone();
        let left = Left { journal: story.journal, id, base: base.clone(), saved: saved.clone() };
        left.record(Event::SessionRequested(SessionRequested { request, door: "run".into() })).await;
        left.record(Event::AttemptStarted(AttemptStarted { release: "0".into(), conditions: None })).await;
        left.record(Event::BaseChosen(BaseChosen { remote, base: main, commit: base })).await;
        let began = StepStarted { step: Step::Work, message: String::new() };
        left.record(Event::StepStarted(began)).await;
        left.record(Event::ToolFinished(ToolFinished {
            call_id: "1".into(),
            tool: "edit".into(),
            result: String::new(),
            failed: false,
            shown: Shown::Nothing,
            saved: Some(saved),
            duration_ms: 1,
        }))
        .await;
        left
    }

    async fn state(&self, id: SessionId) -> SessionState {
        sessions::state(&self.store, id).await.unwrap().unwrap()
    }
}

/// A session whose process is gone.
struct Left {
    journal: SessionJournal,
    id: SessionId,
    base: Oid,
    saved: Oid,
}

impl Left {
    async fn record(&self, event: Event) {
        self.journal.record(vec![event]).await.unwrap();
    }
}

fn request(remote: Remote) -> Request {
    Request {
        remote,
        prompt: "Make add() add".into(),
        branch: Some("fix/add".parse().unwrap()),
        base: None,
        title: None,
        draft: false,
        provider: None,
        model: None,
        publish: Publish::Pr,
        setup: events::SetupWish::AsFound,
        checks: Vec::new(),
        budget: Budget::default(),
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(arguments);
    let done = command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[tokio::test]
async fn work_that_another_credential_fetched_is_left_to_a_process_that_has_it() {
    let world = World::new().await;
    let theirs = world.process(Some("dev")).await;
    let left = world.left_by(&theirs, Remote::Local(world.calc())).await;
    let without = world.process(None).await;
    assert_eq!(all(&without).await.unwrap(), 0, "no mirror of that name");
    // Its own mirror of the same repository does not hold the work either.
    let own = world.left_by(&without, Remote::Local(world.calc())).await;
    assert_eq!(all(&without).await.unwrap(), 1);
    assert!(world.state(own.id).await.status.is_final());
    assert!(!world.state(left.id).await.status.is_final());

    git(&world.calc(), &["branch", "-D", "fix/add"]);
    assert_eq!(all(&theirs).await.unwrap(), 1);
    let Some(Outcome::Failed(failure)) = world.state(left.id).await.outcome else { panic!() };
    assert_eq!((failure.code, failure.step), (FailureCode::Interrupted, Step::Work));
    let Some(Saved::Branch { commit, .. }) = failure.saved else { panic!("{failure:?}") };
    assert_eq!(git(&world.calc(), &["rev-parse", "fix/add"]), commit.as_str());
}

#[tokio::test]
async fn what_recovery_does_stands_in_the_log_and_goes_where_the_repository_is_now() {
    let world = World::new().await;
    let ports = world.process(None).await;
    // It was asked for under a name that it does not have any more.
    let left = world.left_by(&ports, Remote::Local("/nowhere/formerly-calc".into())).await;
    assert_eq!(all(&ports).await.unwrap(), 1);
    let state = world.state(left.id).await;
    let head: Oid = git(&world.calc(), &["rev-parse", "fix/add"]).parse().unwrap();
    assert_eq!(state.pushed, Some(("fix/add".parse().unwrap(), head.clone())));
    assert_eq!(state.commit, Some(head));
    let entries = world.store.log.read_after(left.id, 0, 100).await.unwrap();
    let kinds: Vec<&str> = entries[5..].iter().map(|entry| entry.event.kind()).collect();
    assert_eq!(kinds, ["commit_made", "git_ran", "branch_pushed", "session_ended"]);
}

#[tokio::test]
async fn a_session_that_was_cancelled_before_the_crash_ends_as_cancelled() {
    let world = World::new().await;
    let ports = world.process(None).await;
    let left = world.left_by(&ports, Remote::Local(world.calc())).await;
    left.record(Event::CancelRequested(CancelRequested { reason: "asked".into() })).await;
    assert_eq!(all(&ports).await.unwrap(), 1);
    let Some(Outcome::Cancelled { saved: Some(Saved::Patch { path, .. }) }) =
        world.state(left.id).await.outcome
    else {
        panic!()
    };
    assert!(std::fs::read_to_string(path).unwrap().contains("+echo $(($1 + $2))"));
    assert_eq!(git(&world.calc(), &["branch", "--format=%(refname:short)"]), "main");
}

#[tokio::test]
async fn a_pull_request_that_was_open_before_the_crash_is_delivered() {
    let world = World::new().await;
    let ports = world.process(None).await;
    let remote = Remote::Local(world.calc());
    let left = world.left_by(&ports, remote.clone()).await;
    let (head, base): (Branch, Branch) = ("fix/add".parse().unwrap(), "main".parse().unwrap());
    git(&world.calc(), &["branch", "fix/add"]);
    let made = CommitMade {
        commit: left.base.clone(),
        base: left.base.clone(),
        files: Vec::new(),
        title: "Add".into(),
        summary: "Adds.".into(),
    };
    let new = NewPullRequest {
        remote: remote.clone(),
        head: head.clone(),
        base: base.clone(),
        title: "Add".into(),
        body: "Adds.".into(),
        draft: false,
        marker: "<!-- x -->".into(),
    };
    let opened = ports.forges.local.open_pull_request(&new).await.unwrap();
    let target = Target::PullRequest {
        url: opened.url,
        number: opened.number,
        branch: head,
        draft: false,
        compare_url: None,
    };
    left.record(Event::CommitMade(made)).await;
    let event = PullRequestOpened { target: target.clone(), base, title: "Add".into(), adopted: false };
    left.record(Event::PullRequestOpened(event)).await;
    assert_eq!(all(&ports).await.unwrap(), 1);
    let Some(Outcome::Delivered(delivery)) = world.state(left.id).await.outcome else { panic!() };
    assert_eq!((delivery.target, delivery.summary.as_str()), (target, "Adds."));
}

#[tokio::test]
async fn work_that_cannot_be_brought_out_is_named() {
    let world = World::new().await;
    let theirs = world.process(Some("dev")).await;
    let left = world.left_by(&theirs, Remote::Local(world.calc())).await;
    let without = world.process(None).await;
    let story = Story::new(left.id, request(Remote::Local(world.calc())), 1, &without);
    let failure = failure::at(Step::Work, FailureCode::Internal, "a bug");
    let Outcome::Failed(failure) = steps::rescue(&story, Stopped::Failed(failure)).await else { panic!() };
    let hint = failure.hint.unwrap();
    assert!(hint.contains(left.saved.as_str()) && hint.contains("refs/backspace/"), "{hint}");
}

#[tokio::test]
async fn a_session_that_panicked_keeps_its_work() {
    let world = World::new().await;
    let ports = world.process(None).await;
    let left = world.left_by(&ports, Remote::Local(world.calc())).await;
    let story = Story::new(left.id, request(Remote::Local(world.calc())), 1, &ports);
    let Outcome::Failed(failure) = run::after_panic(&story).await.unwrap() else { panic!() };
    assert_eq!((failure.code, failure.step), (FailureCode::Internal, Step::Work));
    assert!(matches!(failure.saved, Some(Saved::Branch { .. })), "{failure:?}");
}

#[tokio::test]
async fn a_session_that_cannot_be_read_keeps_no_other_from_its_end() {
    let mut world = World::new().await;
    let ports = world.process(None).await;
    let unreadable = world.left_by(&ports, Remote::Local(world.calc())).await.id;
    let readable = world.left_by(&ports, Remote::Local(world.calc())).await.id;
    let log = world.store.log.clone();
    world.store.log = Arc::new(Failing { log, unreadable: Some(unreadable) });
    assert_eq!(all(&world.process(None).await).await.unwrap(), 1);
    assert!(world.state(readable).await.status.is_final());
}

#[tokio::test]
async fn whoever_waits_hears_of_a_session_that_cannot_have_its_last_entry() {
    let mut world = World::new().await;
    let log = world.store.log.clone();
    world.store.log = Arc::new(Failing { log, unreadable: None });
    let ports = Arc::into_inner(world.process(None).await).unwrap();
    let sessions = Sessions::new(ports, Limits { running_max: 1, queued_max: 0 }, Vec::new());
    let nowhere = Remote::Local("/nowhere".into());
    let id = sessions.submit(request(nowhere), "run").await.unwrap();
    sessions.left(id).await;
    assert!(!world.state(id).await.status.is_final());
    assert_eq!(sessions.living(), 0);
}
