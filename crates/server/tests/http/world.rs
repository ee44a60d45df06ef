//! A service on loopback, over a store in memory and a forge that lets sessions wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use events::{
    Branch, Event, NewEntry, Oid, Outcome, Redactor, Remote, Request, Said, SessionEnded, SessionId,
    SessionRequested, Telemetry,
};
use forge::{Credential, Error, Forge, NewPullRequest, PullRequest, Repository};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use server::ServerConfig;
use session::request::Rules;
use session::{
    Forges, Identity, Limits, LocalShelf, Offer, Ports, Provider, Providers, Sessions, SystemClock,
};
use store::Records;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing that a test waits for takes longer on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the service holds and never tells.
pub(crate) const SECRET: &str = "ghp_canary0123456789abcdefghijklmnopqrst";

/// A service that listens.
pub(crate) struct World {
    pub(crate) sessions: Sessions,
    pub(crate) repos: repo::Repos,
    pub(crate) shelf: LocalShelf,
    pub(crate) client: Client,
    pub(crate) address: String,
    /// Sessions wait in their first step for a permit of this.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<std::io::Result<()>>,
    _home: tempfile::TempDir,
}

/// What a test wants to be different.
pub(crate) struct Wishes {
    pub(crate) limits: Limits,
    pub(crate) problems: Vec<session::Problem>,
    pub(crate) config: fn(&mut ServerConfig),
    /// What stands before the store's records.
    pub(crate) records: fn(Arc<dyn Records>) -> Arc<dyn Records>,
}

impl Default for Wishes {
    fn default() -> Self {
        let limits = Limits { running_max: 8, queued_max: 8 };
        Self { limits, problems: Vec::new(), config: |_| {}, records: |records| records }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Wishes::default()).await
    }

    pub(crate) async fn with(wishes: Wishes) -> Self {
        let home = tempfile::tempdir().unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let mut ports = ports(home.path().to_owned(), Arc::clone(&gate)).await;
        ports.store.records = (wishes.records)(ports.store.records);
        let (repos, shelf) = (ports.repos.clone(), ports.shelf.clone());
        let sessions = Sessions::new(ports, wishes.limits, wishes.problems);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rules = rules();
        let mut config = ServerConfig::new(address, rules);
        (wishes.config)(&mut config);
        let shutdown = CancellationToken::new();
        let ended = shutdown.clone().cancelled_owned();
        let server = tokio::spawn(server::serve_on(listener, config, sessions.clone(), ended));
        let address = format!("http://{address}");
        Self { sessions, repos, shelf, client: Client::new(), address, gate, shutdown, server, _home: home }
    }

    /// Lets all sessions go on: the forge does not know their repository.
    pub(crate) fn open_the_gate(&self) {
        self.gate.add_permits(1000);
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.address)).timeout(PATIENCE)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let json = [("content-type", "application/json")];
        let request =
            self.client.post(format!("{}{path}", self.address)).timeout(PATIENCE).body(body.to_string());
        json.into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Follows a session from just after `seq`.
    pub(crate) async fn follow(&self, id: SessionId, seq: u64) -> Stream {
        let request = self.get(&format!("/v1/sessions/{id}/events")).header("accept", "text/event-stream");
        let response = request.header("last-event-id", seq.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Stream::of(response)
    }

    /// Writes the first entry of a session that nobody drives.
    pub(crate) async fn begin(&self, n: u64) -> SessionId {
        let id = SessionId::new(1_700_000_000_000_000 + i64::try_from(n).unwrap() * 1000, u128::from(n));
        let requested = Event::SessionRequested(SessionRequested { request: request(n), door: "run".into() });
        self.append(id, &[requested]).await;
        id
    }

    pub(crate) async fn append(&self, id: SessionId, events: &[Event]) -> u64 {
        let entries =
            events.iter().map(|event| NewEntry::of(event, 1_700_000_000_000_000).unwrap()).collect();
        self.sessions.store().log.append(id, 1, entries).await.unwrap()
    }
}

/// A body as JSON; null when it is none.
pub(crate) async fn read(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default()
}

/// A submission that is taken.
pub(crate) fn submission() -> Value {
    serde_json::json!({ "repoUrl": "https://forge.example/o/n", "prompt": "Add validation" })
}

pub(crate) fn said(text: &str) -> Event {
    Event::Said(Said { text: text.into() })
}

pub(crate) fn ended() -> Event {
    let outcome = Outcome::Unchanged { summary: "Nothing to do.".into() };
    Event::SessionEnded(SessionEnded { outcome, telemetry: Telemetry::default() })
}

fn request(n: u64) -> Request {
    let body = format!(r#"{{"repoUrl":"https://forge.example/o/n{n}","prompt":"Prompt {n}"}}"#);
    session::request::parse(body.as_bytes(), &rules()).unwrap()
}

fn rules() -> Rules {
    let scripted = Offer { provider: "scripted".into(), models: model::Models::Any };
    let (providers, forges) = (vec![scripted], vec!["forge.example".into()]);
    Rules { providers, forges, ..Rules::default() }
}

async fn ports(home: PathBuf, gate: Arc<Semaphore>) -> Ports {
    let store = store::open(&store::Config::Memory).await.unwrap();
    let repos = repo::Repos::open(home.join("repos")).await.unwrap();
    let shelf = LocalShelf::new(repos.clone(), store.records.clone(), home.join("pulls"));
    let forge: Arc<dyn Forge> = Arc::new(Gated(gate));
    let scripted = model::ScriptedConfig { name: "none".into(), text: String::new() };
    let provider = Provider { name: "scripted".into(), config: model::Config::Scripted(scripted) };
    Ports {
        store,
        repos,
        forges: Forges { hosted: vec![("forge.example".into(), Arc::clone(&forge))], local: forge },
        shelf,
        providers: Providers(vec![provider]),
        retry: model::Policy::default(),
        budget: events::Budget::default(),
        breakers: model::Breakers::default(),
        sandbox: sandbox::Config::Namespaces(sandbox::namespaces::Config::default()),
        policy: sandbox::Policy::default(),
        egress: None,
        setup: Some(session::SetupLimits::default()),
        command_timeout: Duration::from_secs(1),
        redactor: Arc::new(Redactor::new([SECRET])),
        clock: Arc::new(SystemClock),
        identity: Identity { name: "b".into(), email: "b@example.org".into() },
        home,
    }
}

/// A forge that keeps whoever asks waiting, and then knows nothing.
struct Gated(Arc<Semaphore>);

#[async_trait]
impl Forge for Gated {
    async fn repository(&self, remote: &Remote) -> Result<Repository, Error> {
        self.0.acquire().await.unwrap().forget();
        Err(Error::NotFound(remote.to_text()))
    }

    async fn credential(&self, _: &Remote) -> Result<Option<Credential>, Error> {
        Ok(None)
    }

    async fn branch_head(&self, _: &Remote, _: &Branch) -> Result<Option<Oid>, Error> {
        Ok(None)
    }

    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, Error> {
        Err(Error::NotFound(new.title.clone()))
    }

    async fn pull_request(&self, remote: &Remote, _: u64) -> Result<PullRequest, Error> {
        Err(Error::NotFound(remote.to_text()))
    }

    fn compare_url(&self, _: &Remote, _: &Branch, _: &Branch) -> Option<String> {
        None
    }
}

/// A stream of server-sent events, read as its chunks come.
pub(crate) struct Stream {
    pub(crate) response: Response,
    rest: String,
}

/// An event as it was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) id: u64,
    pub(crate) data: Value,
}

impl Stream {
    pub(crate) fn of(response: Response) -> Self {
        Self { response, rest: String::new() }
    }

    /// The next block, without the empty line behind it.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                return Some(block);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event; comments and `retry` are passed over.
    pub(crate) async fn next(&mut self) -> Option<Sent> {
        loop {
            let block = self.block().await?;
            let Some((id, data)) = block.strip_prefix("id: ").and_then(|rest| rest.split_once("\ndata: "))
            else {
                continue;
            };
            return Some(Sent { id: id.parse().unwrap(), data: serde_json::from_str(data).unwrap() });
        }
    }

    /// All events until the end of the stream.
    pub(crate) async fn rest(mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(sent) = self.next().await {
            all.push(sent);
        }
        all
    }
}
