//! What one client may hold.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{PATIENCE, Wishes, World, ended};

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.address.strip_prefix("http://").unwrap()).await.unwrap()
}

async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
}

async fn answered(stream: &mut TcpStream) {
    let mut text = [0; 15];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut text)).await.expect("no answer").unwrap();
    assert_eq!(&text, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn beyond_the_bound_a_connection_waits_until_another_one_is_closed() {
    let world =
        World::with(Wishes { config: |config| config.connections_max = 1, ..Wishes::default() }).await;
    let mut first = connect(&world).await;
    ask(&mut first).await;
    answered(&mut first).await;
    let mut second = connect(&world).await;
    ask(&mut second).await;
    for _ in 0..3 {
        ask(&mut first).await;
        let mut some = [0; 1024];
        assert!(first.read(&mut some).await.unwrap() > 0);
    }
    assert_eq!(second.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(first);
    answered(&mut second).await;
}

#[tokio::test]
async fn headers_that_do_not_come_whole_end_the_connection() {
    let brief = |config: &mut server::ServerConfig| config.headers_within = Duration::from_millis(20);
    let world = World::with(Wishes { config: brief, ..Wishes::default() }).await;
    let mut stream = connect(&world).await;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: local").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is kept open").unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stream_is_no_connection_on_which_headers_are_awaited() {
    let brief = |config: &mut server::ServerConfig| {
        config.headers_within = Duration::from_secs(1);
        config.heartbeat = Duration::from_millis(100);
    };
    let world = World::with(Wishes { config: brief, ..Wishes::default() }).await;
    let id = world.begin(1).await;
    let mut stream = world.follow(id, 0).await;
    assert_eq!(stream.next().await.unwrap().id, 1);
    for _ in 0..15 {
        assert_eq!(stream.block().await.unwrap(), ": still here");
    }
    world.append(id, &[ended()]).await;
    assert_eq!(stream.rest().await.len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let brief = |config: &mut server::ServerConfig| config.body_within = Duration::from_millis(1);
    let world = World::with(Wishes { config: brief, ..Wishes::default() }).await;
    for path in ["/code", "/v1/sessions"] {
        let mut stream = connect(&world).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await;
        read.expect("the body is waited for").unwrap();
        assert!(text.starts_with("HTTP/1.1 408") && text.contains("\"body_timeout\""), "{text}");
    }
}
