//! The one way out of a sandbox: a proxy on this machine that connects to hosts of a list, and tells what it decided.
//!
//! It is the host's end of a [`Relay`]; what enforces it is that a sandbox has no network besides. One is opened for each
//! session. What it understands is `CONNECT host:443` and nothing else; `docs/decisions/0008` says why it is as it is.

mod address;
mod authority;
pub mod client_hello;
pub mod connect;
mod conversation;
mod environment;
mod host;
mod lending;
mod lent;
mod pace;
mod refusal;
mod registry;
mod rewound;
mod route;
mod tally;
mod trust;
mod tunnel;
mod upstream;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::folder::{self, Folder, Reach};
use crate::{Error, HomeFile, Policy, Relay};

pub use client_hello::NotAHello;
pub use connect::NotConnect;
pub use host::{Host, NotAHost};
pub use lent::{Below, Lent, NotAFolder};
pub use refusal::Refusal;
pub use route::{Resolve, Route, System};
pub use tally::{Decision, Verdict};
pub use trust::Trust;
pub use upstream::{NotAProxy, Upstream};

use lending::Lending;
use pace::Pace;
use tally::Tally;

/// Where programs inside find the proxy: the port that proxies have by habit.
pub const PROXY_PORT: u16 = 3128;
/// The socket's name in its folder.
const SOCKET: &str = "proxy";
/// What is waited before a connection is taken again when this machine has no more descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// What sandboxes may reach, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The hosts that may be reached.
    pub hosts: BTreeSet<Host>,
    /// How they are.
    pub route: Route,
    /// Credentials that downloads from some of them have, without anything inside ever having them.
    pub lent: Vec<Lent>,
    /// Whose certificates are believed, outside and inside.
    pub trust: Trust,
    /// What tools inside are told besides of the proxy: environment variables, and files of the home folder.
    pub told: Told,
    /// What one session may use.
    pub caps: Caps,
    /// Where the sockets' folders are made. Nobody else may come there.
    pub folder: PathBuf,
}

/// What tools inside are told of the operator's registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Files of the home folder.
    pub home: Vec<HomeFile>,
}

/// What one session may use of the network. Meant to stop a program that runs wild, not to ration honest ones.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Connections at once; others wait. As many as a sandbox relays.
    pub at_once_max: usize,
    /// Connections that are begun a second; more of them wait. A package manager begins tens.
    pub per_second_max: u32,
    /// Connections in all. The largest installation needs hundreds.
    pub connections_max: u64,
    /// Bytes sent in all. Installing sends requests only, and what is sent may be what was to stay inside.
    pub sent_bytes_max: u64,
    /// Bytes received in all: room for the largest toolkits.
    pub received_bytes_max: u64,
    /// A connection on which nothing was moved for this long, at most twice as long, is ended.
    pub idle_max: Duration,
    /// No connection is kept for longer.
    pub lifetime_max: Duration,
}

impl Default for Caps {
    /// 128 connections at once, 100 a second, 20,000 in all; 256 MiB sent, 16 GiB received; 2 minutes idle, an hour.
    fn default() -> Self {
        Self {
            at_once_max: 128,
            per_second_max: 100,
            connections_max: 20_000,
            sent_bytes_max: 256 << 20,
            received_bytes_max: 16 << 30,
            idle_max: Duration::from_secs(120),
            lifetime_max: Duration::from_secs(3600),
        }
    }
}

/// The way out of one session's sandbox.
#[derive(Debug)]
pub struct Egress {
    shared: Arc<Shared>,
    folder: Folder,
    serving: JoinHandle<()>,
    _end: DropGuard,
}

/// What all connections of a session share.
#[derive(Debug)]
struct Shared {
    config: Config,
    lending: Option<Lending>,
    tally: Tally,
    pace: Arc<Pace>,
    /// Cancelled when nothing may be reached any more.
    over: CancellationToken,
}

/// Opens the way out for one session.
///
/// # Errors
/// [`Error::System`] when the socket cannot be made.
pub fn open(config: &Config) -> Result<Egress, Error> {
    let failed = |source| Error::System { doing: "open the way out of a sandbox".to_owned(), source };
    let folder = folder::make(&config.folder, Reach::Owner).map_err(failed)?;
    let listener = listen(&folder).map_err(failed)?;
    let end = CancellationToken::new();
    let shared = Arc::new(Shared {
        config: config.clone(),
        lending: Lending::new(config).map_err(failed)?,
        tally: Tally::new(config.hosts.clone()),
        pace: Arc::new(Pace::new(&config.caps)),
        over: end.child_token(),
    });
    let serving = tokio::spawn(serve(listener, Arc::clone(&shared), end.clone()));
    Ok(Egress { shared, folder, serving, _end: end.drop_guard() })
}

/// Whether `host` can be connected to: for people who look for a fault. It need not be on the list.
///
/// # Errors
/// Why not.
pub async fn tried(config: &Config, host: &Host) -> Result<(), Refusal> {
    route::dial(&config.route, host).await.map(drop)
}

/// Listens in `folder`. The path of a socket has 107 bytes at most, which a folder of state may exceed; the descriptor's
/// has few.
fn listen(folder: &Folder) -> io::Result<UnixListener> {
    let opened = fs::File::open(&folder.path)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
    fs::set_permissions(folder.path.join(SOCKET), Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn serve(listener: UnixListener, shared: Arc<Shared>, end: CancellationToken) {
    let mut conversations = JoinSet::new();
    loop {
        let room = conversations.len() < shared.config.caps.at_once_max;
        tokio::select! {
            biased;
            () = end.cancelled() => break,
            Some(_) = conversations.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((client, _)) => {
                    let shared = Arc::clone(&shared);
                    conversations.spawn(async move { conversation::hold(&shared, client).await });
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            },
        }
    }
    conversations.shutdown().await;
}

impl Egress {
    /// `policy` with this way out: the relay, and all that tools inside are told of it.
    #[must_use]
    pub fn granted_to(&self, policy: &Policy) -> Policy {
        let mut policy = policy.clone();
        policy.relays.push(Relay { socket: self.folder.path.join(SOCKET), port: PROXY_PORT });
        let Config { trust, told, .. } = &self.shared.config;
        let mut environment: Vec<_> = environment::of_tools().collect();
        environment.extend(told.environment.iter().cloned());
        policy.home.extend(told.home.iter().cloned());
        let own = self.shared.lending.as_ref().map(|lending| &lending.authority.certificate);
        if own.is_some() || !trust.is_empty() {
            let (file, variables) = trust.inside(own);
            policy.home.push(file);
            environment.extend(variables);
        }
        // Without these nothing is reached, whatever a repository wants them to be.
        policy.environment.retain(|(name, _)| environment.iter().all(|(own, _)| own != name));
        policy.environment.extend(environment);
        policy
    }

    /// From here on nothing is reached: open connections are cut, new ones are refused and say so.
    pub fn allow_none(&self) {
        self.shared.over.cancel();
    }

    /// The names of the hosts that are reached now.
    pub fn reaches(&self) -> Vec<String> {
        let hosts = self.shared.config.hosts.iter().filter(|_| !self.shared.over.is_cancelled());
        hosts.map(Host::to_string).collect()
    }

    /// What was decided since the last call.
    pub fn decided(&self) -> Vec<Decision> {
        self.shared.tally.next()
    }

    /// Ends it, and gives what was not told yet.
    ///
    /// # Errors
    /// When its folder cannot be removed.
    pub async fn close(self) -> (Vec<Decision>, io::Result<()>) {
        let Self { shared, folder, serving, _end: end } = self;
        drop(end);
        // It ends by the token; should it have panicked, its connections are gone as well.
        drop(serving.await);
        (shared.tally.last(), folder.remove())
    }
}
