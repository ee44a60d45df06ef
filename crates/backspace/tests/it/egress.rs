//! Stories of sessions whose sandbox has a way out: what is let through, what is not, and where that is told.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use events::{Entry, Event, Outcome, Target};
use sandbox::egress::{Caps, Config, Host, Resolve, Route, Told, Trust};
use serde_json::json;
use session::{Egress, OpenFor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::world::{Bent, World, bash, calls, finish, the_fix};

/// One server of this machine, under every name.
struct OneServer(SocketAddr);

#[async_trait]
impl Resolve for OneServer {
    async fn addresses(&self, _: &Host) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.0])
    }
}

/// A way out to `registry.example`, which answers every greeting with `hello`.
pub(crate) async fn a_way_out(open_for: OpenFor, home: &std::path::Path) -> Egress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                connection.read_exact(&mut [0; 100]).await.unwrap();
                connection.write_all(b"hello").await.unwrap();
            });
        }
    });
    let hosts: BTreeSet<Host> = BTreeSet::from(["registry.example".parse().unwrap()]);
    let route = Route::Direct { resolver: Arc::new(OneServer(address)), private: hosts.clone() };
    let config = Config {
        hosts,
        route,
        lent: Vec::new(),
        trust: Trust::default(),
        told: Told::default(),
        caps: Caps::default(),
        folder: home.join("egress"),
    };
    Egress { config, packages: BTreeSet::new(), open_for }
}

/// Asks for a host as tools do, greets it with what a TLS library says, and prints what comes back.
pub(crate) const REACH: &str = r#"import os, socket, ssl, sys
host = sys.argv[1]
address, port = os.environ["HTTPS_PROXY"].removeprefix("http://").split(":")
s = socket.create_connection((address, int(port)))
s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
answer = s.recv(9999).decode()
if answer.startswith("HTTP/1.1 200"):
    out = ssl.MemoryBIO()
    try: ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=host).do_handshake()
    except ssl.SSLWantReadError: s.sendall(out.read())
    answer = s.makefile().read()
print(answer.splitlines()[-1])
"#;

fn reach(host: &str) -> serde_json::Value {
    bash(&format!("python3 reach.py {host}"))
}

fn replies() -> Vec<serde_json::Value> {
    vec![
        calls([reach("registry.example"), reach("evil.example")]),
        calls([the_fix(), reach("evil.example")]),
        calls([finish()]),
    ]
}

async fn told(open_for: OpenFor) -> (World, Vec<Entry>) {
    let sockets = tempfile::tempdir().unwrap();
    let mut bent = Bent::replies(replies());
    bent.egress = Some(a_way_out(open_for, sockets.path()).await);
    let world = World::local(bent).await;
    world.commit("reach.py", REACH);
    let entries = world.run(json!({})).await;
    let left = std::fs::read_dir(sockets.path().join("egress")).unwrap().count();
    assert_eq!(left, 0, "nothing stays of the way out");
    (world, entries)
}

fn page(entries: &[Entry]) -> String {
    let Event::SessionEnded(ended) = &entries.last().unwrap().event else { panic!() };
    let Outcome::Delivered(delivery) = &ended.outcome else { panic!("{:?}", ended.outcome) };
    let Target::PullRequest { url, .. } = &delivery.target else { panic!() };
    std::fs::read_to_string(url.strip_prefix("file://").unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reached_is_told_and_what_is_not_stands_in_the_pull_request() {
    let (world, entries) = told(OpenFor::Session).await;
    insta::assert_snapshot!(world.told(&entries));
    let page = page(&entries);
    let row = "| `evil.example` | 2 | `this host is not on the list of what sandboxes may reach (BACKSPACE_EGRESS)` |";
    assert!(page.contains(row), "{page}");
    assert!(!page.contains("| `registry.example`"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_for_setup_is_shut_before_the_agent_begins() {
    let (world, entries) = told(OpenFor::Setup).await;
    insta::assert_snapshot!(world.told(&entries));
    assert!(page(&entries).contains("| `registry.example` | 1 | `only the commands that set a project up"));
}
