//! A small world for a session to happen in: a repository, a recorded model, a real sandbox, real git, a forge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use events::{Entry, Event, Redactor, SessionId};
use fakes::forge::{Access, FakeForge, NewRepository, Reach, Seed, Token, Visibility};
use forge::github::{Pace, PlainHttp};
use futures_util::StreamExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use session::recording::{Portion, Recording};
use session::replay::{self, Inside, Stage, Strictness, Verdict};
use session::request::{self, LocalRepositories, Rules};
use session::{Forges, Identity, Limits, LocalShelf, Ports, Provider, Providers, Sessions, SystemClock};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The token of the stand-in for GitHub; it must stand nowhere in what a session leaves.
pub(crate) const TOKEN: &str = "ghp_canary0123456789abcdefghijklmnopqrst";

/// A world. Everything in it goes when it is dropped.
pub(crate) struct World {
    pub(crate) home: TempDir,
    pub(crate) forge: Option<FakeForge>,
    /// The repository as a request names it.
    pub(crate) repository: String,
    pub(crate) sessions: Sessions,
    pub(crate) rules: Rules,
}

/// What may be bent before a world is made.
pub(crate) struct Bent {
    /// Who may be asked.
    pub(crate) providers: Vec<Provider>,
    pub(crate) retry: model::Policy,
    pub(crate) sandbox: sandbox::Config,
    pub(crate) policy: sandbox::Policy,
    pub(crate) egress: Option<session::Egress>,
    pub(crate) setup: session::SetupLimits,
    /// The operator's.
    pub(crate) budget: events::Budget,
    pub(crate) running_max: usize,
}

impl Bent {
    /// The model gives `replies`.
    pub(crate) fn replies(replies: impl IntoIterator<Item = Value>) -> Self {
        let text = replies.into_iter().map(|reply| format!("{reply}\n")).collect();
        let scripted = model::ScriptedConfig { name: "story".into(), text };
        let config = model::Config::Scripted(scripted);
        Self::asking(vec![Provider { name: "scripted".into(), config }])
    }

    /// Who may be asked is `providers`.
    pub(crate) fn asking(providers: Vec<Provider>) -> Self {
        Self {
            providers,
            retry: model::Policy::default(),
            sandbox: sandbox::Config::Namespaces(sandbox::namespaces::Config::default()),
            policy: sandbox::Policy { work_bytes_max: 256 << 20, ..sandbox::Policy::default() },
            egress: None,
            budget: events::Budget::default(),
            setup: session::SetupLimits::default(),
            running_max: 4,
        }
    }
}

impl World {
    /// A world whose repository is a folder of this machine.
    pub(crate) async fn local(bent: Bent) -> Self {
        let home = tempfile::tempdir().unwrap();
        let repository = home.path().join("calc");
        make_repository(&repository);
        Self::assemble(home, None, repository.display().to_string(), bent).await
    }

    /// A world whose repository is on the stand-in for GitHub, reached by git over HTTP.
    pub(crate) async fn hosted(bent: Bent) -> Self {
        let home = tempfile::tempdir().unwrap();
        let seed = home.path().join("calc");
        make_repository(&seed);
        let listen = ([127, 0, 0, 1], 0).into();
        let forge_home = home.path().join("forge");
        std::fs::create_dir(&forge_home).unwrap();
        let forge = fakes::forge::start(fakes::forge::Config { listen, home: forge_home }).await.unwrap();
        let new = NewRepository {
            owner: "octo".into(),
            name: "calc".into(),
            visibility: Visibility::Public,
            default_branch: None,
        };
        forge.create_repository(&new, &Seed::Folder(seed)).await.unwrap();
        let token = Token {
            login: "dev".into(),
            access: Access::PullRequests,
            reach: Reach::Everything,
            sso_url: None,
        };
        forge.allow(TOKEN, token);
        let repository = format!("{}/octo/calc", forge.url());
        Self::assemble(home, Some(forge), repository, bent).await
    }

    async fn assemble(home: TempDir, forge: Option<FakeForge>, repository: String, bent: Bent) -> Self {
        let state = home.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let store = store::open(&store::Config::Sqlite(state.join("backspace.db"))).await.unwrap();
        let repos = repo::Repos::open(state.join("repos")).await.unwrap();
        let shelf = LocalShelf::new(repos.clone(), store.records.clone(), state.join("pulls"));
        let local = forge::open(&forge::Config::Local(shelf.forge_config(None))).unwrap();
        let hosted = forge.as_ref().map(|fake| {
            let token = Some(SecretString::from(TOKEN));
            let mut config = forge::github::Config::for_api(&fake.api_url(), token).unwrap();
            config.plain_http = PlainHttp::Allowed;
            config.pace = Pace {
                between_writes: Duration::ZERO,
                after_notice: Duration::ZERO,
                before_retry: Duration::from_millis(1),
                wait_max: Duration::from_secs(5),
            };
            (config.host.clone(), forge::open(&forge::Config::GitHub(config)).unwrap())
        });
        let providers = Providers(bent.providers);
        let offers = providers.offers();
        let (models, budget) = (providers.clone(), bent.budget);
        let ports = Ports {
            store,
            repos,
            forges: Forges { hosted: hosted.into_iter().collect(), local },
            shelf,
            providers,
            retry: bent.retry,
            budget: bent.budget,
            breakers: model::Breakers::default(),
            sandbox: bent.sandbox,
            policy: bent.policy,
            egress: bent.egress,
            setup: Some(bent.setup),
            command_timeout: Duration::from_secs(60),
            redactor: Arc::new(Redactor::new([TOKEN])),
            clock: Arc::new(SystemClock),
            identity: Identity { name: "backspace".into(), email: "backspace@example.org".into() },
            home: state,
        };
        let local = LocalRepositories::Any;
        let mut rules = Rules { local, providers: offers, models, budget, ..Rules::default() };
        rules.hosts.private.extend(forge.as_ref().map(FakeForge::host));
        rules.forges.extend(forge.as_ref().map(FakeForge::host));
        let sessions =
            Sessions::new(ports, Limits { running_max: bent.running_max, queued_max: 10 }, Vec::new());
        Self { home, forge, repository, sessions, rules }
    }

    /// A request for the world's repository, with `fields` besides.
    pub(crate) fn request(&self, fields: Value) -> events::Request {
        let mut body = json!({ "repoUrl": self.repository, "prompt": "Make add() add" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        request::parse(body.to_string().as_bytes(), &self.rules).unwrap()
    }

    /// Submits a request with `fields`.
    pub(crate) async fn submit(&self, fields: Value) -> SessionId {
        self.sessions.submit(self.request(fields), "story").await.unwrap()
    }

    /// Runs a session to its end and gives its log, in which the invariants hold.
    pub(crate) async fn run(&self, fields: Value) -> Vec<Entry> {
        let id = self.submit(fields).await;
        self.until_the_end(id).await
    }

    /// The whole log of a session, once it has ended.
    pub(crate) async fn until_the_end(&self, id: SessionId) -> Vec<Entry> {
        let entries = self.ended(id).await;
        self.happens_again(id).await;
        entries
    }

    /// As [`World::run`], in a hostile world: what nothing but the sandbox or a too large repository knew does not happen
    /// again.
    pub(crate) async fn run_once(&self, fields: Value) -> Vec<Entry> {
        let id = self.submit(fields).await;
        self.ended(id).await
    }

    async fn ended(&self, id: SessionId) -> Vec<Entry> {
        let log = self.sessions.store().log.clone();
        let stream = store::follow(log, id, 0);
        let entries: Vec<Entry> = stream.map(|entry| entry.unwrap()).collect().await;
        self.invariants(&entries);
        entries
    }

    /// The recording of a session, as it is written.
    pub(crate) async fn recorded(&self, id: SessionId) -> Vec<u8> {
        let pieces = self.sessions.recording(id, Portion::WithCode).await.unwrap().unwrap();
        let pieces: Vec<_> = pieces.map(|piece| piece.unwrap()).collect().await;
        pieces.concat()
    }

    /// The recording of a session, read back.
    pub(crate) async fn recording(&self, id: SessionId) -> Recording {
        Recording::read(&*self.recorded(id).await).unwrap()
    }

    /// Whatever happened in a session happens again when it is played, up to what the world outside decided. Where a
    /// secret was taken out of what the model wrote, it did something else then than what its words say now.
    async fn happens_again(&self, id: SessionId) {
        let recording = self.recording(id).await;
        let redacted = |entry: &Entry| entry.event.payload().unwrap().contains("[redacted]");
        if recording.entries.iter().any(redacted) {
            return;
        }
        let verdict = play(&recording, Inside::Recording).await;
        assert!(matches!(verdict, Verdict::Same { .. }), "{verdict:#?}");
    }

    /// What holds in every world: places without a gap, one last entry and it is the last, no token anywhere.
    fn invariants(&self, entries: &[Entry]) {
        let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (1..=entries.len() as u64).collect::<Vec<_>>());
        let ends = entries.iter().filter(|entry| matches!(entry.event, Event::SessionEnded(_))).count();
        assert_eq!(ends, 1, "one final entry");
        assert!(matches!(entries.last().unwrap().event, Event::SessionEnded(_)), "it is the last");
        if self.forge.is_some() {
            assert_eq!(files_with(&self.home.path().join("state"), TOKEN.as_bytes()), Vec::<PathBuf>::new());
        }
    }

    /// The log as text, without what differs from run to run.
    pub(crate) fn told(&self, entries: &[Entry]) -> String {
        let mut text = String::new();
        for entry in entries {
            let payload: Value = serde_json::from_str(&entry.event.payload().unwrap()).unwrap();
            text.push_str(&format!("{} {}\n", entry.event.kind(), stable(payload)));
        }
        self.without_chance(&text, entries[0].session)
    }

    /// `text` without ids, object names, ports and paths.
    pub(crate) fn without_chance(&self, text: &str, id: SessionId) -> String {
        let mut text = text
            .replace(&id.to_string(), "SESSION")
            .replace(&id.short(), "SHORT")
            .replace(&self.home.path().display().to_string(), "HOME");
        if let Some(forge) = &self.forge {
            text = text.replace(&forge.host(), "FORGE");
        }
        let other =
            regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
        let text = other.replace_all(&text, "OTHER").into_owned();
        let mut names = BTreeMap::new();
        let oid = regex::Regex::new(r"\b([0-9a-f]{40}|[0-9a-f]{12})\b").unwrap();
        let text = oid.replace_all(&text, |found: &regex::Captures<'_>| {
            let next = names.len() + 1;
            format!("<oid {}>", names.entry(found[0][..12].to_owned()).or_insert(next))
        });
        let key = regex::Regex::new(r"calc-[0-9a-f]{8}").unwrap();
        key.replace_all(&text, "calc-KEY").into_owned()
    }

    /// Commits `text` as the file at `path` to a world's repository that is a folder.
    pub(crate) fn commit(&self, path: &str, text: &str) {
        let folder = Path::new(&self.repository);
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        git(folder, &["add", "--all"]);
        git(folder, &["commit", "--quiet", "--message=Add a file"]);
    }

    /// What git says in the world's repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let folder = match &self.forge {
            None => PathBuf::from(&self.repository),
            Some(forge) => forge.git_dir("octo/calc").unwrap(),
        };
        git(&folder, arguments)
    }
}

/// What comes of playing `recording`.
pub(crate) async fn play(recording: &Recording, inside: Inside) -> Verdict {
    let home = tempfile::tempdir().unwrap();
    let (home, strictness) = (home.path().to_owned(), Strictness::Usual);
    let stage = Stage { home, repository: None, inside, strictness };
    replay::replay(recording, stage, &CancellationToken::new()).await.unwrap()
}

/// The event's fields without times, and without texts that git's version or the machine decides.
fn stable(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let drop = [
                "duration_ms",
                "enforced",
                "soft",
                "system",
                "task",
                "release",
                "trace_id",
                "conditions",
                "known",
                "sent_bytes",
                "received_bytes",
            ];
            Value::Object(
                fields
                    .into_iter()
                    .filter(|(name, _)| !drop.contains(&name.as_str()))
                    .map(|(n, v)| (n, stable(v)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(stable).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// A repository with a bug and a test that shows it.
pub(crate) fn make_repository(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("calc.sh"), "add() {\n  echo $(($1 - $2))\n}\n").unwrap();
    std::fs::write(
        folder.join("test.sh"),
        ". ./calc.sh\n[ \"$(add 2 3)\" = 5 ] && echo ok || { echo broken; exit 1; }\n",
    )
    .unwrap();
    std::fs::write(folder.join("README.md"), "# calc\n").unwrap();
    git(folder, &["init", "--quiet", "--initial-branch=main"]);
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message=A calculator"]);
}

/// Runs git without the user's settings, at a fixed time.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .output()
        .unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// Every file below `folder` that holds `needle`.
pub(crate) fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).unwrap_or_default();
                if bytes.windows(needle.len()).any(|window| window == needle) {
                    found.push(entry.path());
                }
            }
        }
    }
    found
}

/// A reply that calls tools.
pub(crate) fn calls(tools: impl IntoIterator<Item = Value>) -> Value {
    json!({ "content": tools.into_iter().collect::<Vec<_>>(), "stop": "tool_use", "model": "story-1" })
}

/// A tool call; its id is made of the tool's name and arguments, so that the log reads the same each time.
pub(crate) fn tool(name: &str, input: Value) -> Value {
    let digest =
        input.to_string().bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    json!({ "type": "tool_use", "id": format!("toolu_{name}_{digest:08x}"), "name": name, "input": input })
}

/// `bash`.
pub(crate) fn bash(command: &str) -> Value {
    tool("bash", json!({ "command": command }))
}

/// The edit that makes the test pass.
pub(crate) fn the_fix() -> Value {
    tool("edit", json!({ "path": "calc.sh", "old_str": "$1 - $2", "new_str": "$1 + $2" }))
}

/// `finish`.
pub(crate) fn finish() -> Value {
    let summary = "`add` subtracted. It adds now; `sh test.sh` failed before and passes.";
    tool("finish", json!({ "title": "Make add() add", "summary": summary }))
}
