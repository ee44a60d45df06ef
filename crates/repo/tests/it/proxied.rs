//! Remotes that are reached through the operator's proxy.

use events::{Hosted, Remote, Tenant};
use repo::{Proxy, Repos, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn source() -> Source {
    let [scheme, host, owner, name] = ["https", "forge.invalid", "o", "n"].map(str::to_owned);
    let remote = Remote::Hosted(Hosted { scheme, host, owner, name });
    Source { remote, tenant: Tenant::default(), credential: None }
}

/// What a proxy is asked first when a mirror is made that may reach `except` without it, or why there is no mirror.
async fn asked(except: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://me:secret@{}", listener.local_addr().unwrap()).into();
    let home = tempfile::tempdir().unwrap();
    let repos = Repos::open(home.path().join("home")).await.unwrap();
    let (repos, source) = (repos.through(Proxy { url, except: except.to_owned() }), source());
    let first = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let count = connection.read(&mut head).await.unwrap();
        connection.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&head[..count]).lines().next().unwrap().to_owned()
    };
    tokio::select! {
        line = first => line,
        mirror = repos.mirror(&source) => mirror.err().unwrap().to_string(),
    }
}

#[tokio::test]
async fn a_remote_is_reached_through_the_proxy_but_for_its_exceptions() {
    assert_eq!(asked("other.invalid").await, "CONNECT forge.invalid:443 HTTP/1.1");
    let direct = asked("forge.invalid").await;
    assert!(direct.contains("https://forge.invalid/o/n") && !direct.contains("secret"), "{direct}");
}
