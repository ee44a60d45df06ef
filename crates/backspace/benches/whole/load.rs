//! Many connections that ask for the next answer as soon as they have one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http;

/// As many as the reference measurements had.
const CONNECTIONS: usize = 16;

/// How many whole answers a second come for `paths`, asked for in turn on kept connections, by one thread of this process.
///
/// # Errors
/// When a connection breaks, or an answer is not a 200.
pub(crate) fn answers_a_second(address: SocketAddr, paths: &[String], duration: Duration) -> Result<f64> {
    let requests: Vec<Vec<u8>> = paths.iter().map(|path| http::request(address, "GET", path, None)).collect();
    let (requests, turn) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                tokio::spawn(ask_on(address, Arc::clone(&requests), Arc::clone(&turn), started + duration))
            })
            .collect();
        let mut answers = 0;
        for client in clients {
            answers += client.await.context("a client panicked")??;
        }
        Ok(answers as f64 / started.elapsed().as_secs_f64())
    })
}

async fn ask_on(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    turn: Arc<AtomicUsize>,
    until: Instant,
) -> Result<usize> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut answer = Vec::new();
    let mut count = 0;
    while Instant::now() < until {
        let place = turn.fetch_add(1, Ordering::Relaxed) % requests.len();
        stream.write_all(requests.get(place).context("a place within")?).await?;
        answer.clear();
        while !http::is_whole(&answer) {
            ensure!(stream.read_buf(&mut answer).await? > 0, "the connection broke");
        }
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "refused: {}", String::from_utf8_lossy(&answer));
        count += 1;
    }
    Ok(count)
}
