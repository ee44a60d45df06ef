//! A way out to servers of this machine, and what the tests ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use sandbox::Policy;
use sandbox::egress::{self, Caps, Config, Decision, Egress, Host, Resolve, Route};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub(crate) const CONNECTED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A fixed list of names, and what they lead to.
#[derive(Clone, Default)]
pub(crate) struct Names(pub(crate) BTreeMap<String, Vec<SocketAddr>>);

#[async_trait]
impl Resolve for Names {
    async fn addresses(&self, host: &Host) -> io::Result<Vec<SocketAddr>> {
        self.0.get(host.as_str()).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(crate) fn hosts(names: &[&str]) -> BTreeSet<Host> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// A way out to servers of this machine.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) names: Names,
    pub(crate) config: Config,
}

impl World {
    pub(crate) fn new(allowed: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let route = Route::Direct { resolver: Arc::new(Names::default()), private: hosts(allowed) };
        let config = Config {
            hosts: hosts(allowed),
            route,
            lent: Vec::new(),
            trust: egress::Trust::default(),
            told: egress::Told::default(),
            caps: Caps::default(),
            folder: folder.path().join("egress"),
        };
        Self { folder, names: Names::default(), config }
    }

    /// `name` leads to a server that answers every connection as `answer` says.
    pub(crate) async fn serve<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &str,
        answer: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection));
            }
        });
        self.names.0.insert(name.to_owned(), vec![address]);
        address
    }

    /// To the servers that were started so far; those on the list may be this machine's.
    pub(crate) fn route(&self) -> Route {
        match &self.config.route {
            Route::Direct { private, .. } => {
                Route::Direct { resolver: Arc::new(self.names.clone()), private: private.clone() }
            }
            other @ Route::Upstream(_) => other.clone(),
        }
    }

    pub(crate) fn open(&mut self) -> Open {
        self.config.route = self.route();
        Open(egress::open(&self.config).unwrap())
    }
}

pub(crate) struct Open(pub(super) Egress);

impl Open {
    pub(crate) async fn connect(&self) -> UnixStream {
        let policy = self.0.granted_to(&Policy::default());
        UnixStream::connect(&policy.relays[0].socket).await.unwrap()
    }

    /// Sends `bytes`, closes that half, and gives all that comes back.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        rest_of(&mut client).await
    }

    /// Asks for `host` and greets `name`.
    pub(crate) async fn greet(&self, host: &str, name: &str) -> UnixStream {
        let mut client = self.connect().await;
        client.write_all(connect(host).as_bytes()).await.unwrap();
        expect(&mut client, CONNECTED).await;
        client.write_all(&hello(name)).await.unwrap();
        client
    }

    pub(crate) fn decided(&self) -> Vec<String> {
        self.0.decided().iter().map(shown).collect()
    }

    pub(crate) async fn close(self) -> Vec<String> {
        let (last, removed) = self.0.close().await;
        removed.unwrap();
        last.iter().map(shown).collect()
    }
}

fn shown(decision: &Decision) -> String {
    let verdict = match decision.verdict {
        egress::Verdict::Allowed => "allowed",
        egress::Verdict::Refused(refusal) => refusal.as_str(),
    };
    let Decision { host, times, sent_bytes, received_bytes, .. } = decision;
    format!("{host} {verdict} ×{times} {sent_bytes}/{received_bytes}")
}

pub(crate) fn connect(host: &str) -> String {
    format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n")
}

/// A TLS greeting to `name` that has nothing else.
pub(crate) fn hello(name: &str) -> Vec<u8> {
    let u16 = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let name = name.as_bytes();
    let entry = [&[0], &u16(name.len())[..], name].concat();
    let list = [&u16(entry.len())[..], &entry].concat();
    let extension = [&[0, 0], &u16(list.len())[..], &list].concat();
    let body = [&[3, 3], &[7; 32][..], &[0, 0, 2, 0x13, 1, 1, 0], &u16(extension.len()), &extension].concat();
    let message = [&[1, 0], &u16(body.len())[..], &body].concat();
    [&[22, 3, 1], &u16(message.len())[..], &message].concat()
}

pub(crate) async fn expect(client: &mut UnixStream, said: &str) {
    let mut heard = vec![0; said.len()];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), said);
}

pub(crate) async fn rest_of(client: &mut UnixStream) -> String {
    let mut heard = Vec::new();
    // What was cut gives an error after what was said.
    drop(client.read_to_end(&mut heard).await);
    String::from_utf8_lossy(&heard).into_owned()
}

pub(crate) async fn echo(mut connection: TcpStream) {
    let (mut from, mut to) = connection.split();
    drop(tokio::io::copy(&mut from, &mut to).await);
}

/// Counts connections, and says nothing.
pub(crate) fn counting() -> (Arc<AtomicUsize>, impl Fn(TcpStream) -> std::future::Ready<()> + Send + 'static)
{
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    (count, move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    })
}
