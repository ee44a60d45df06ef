//! What the way out of a sandbox costs: bytes a second, and time until the first one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use sandbox::egress::{self, Caps, Config, Host, Resolve, Route, Told, Trust};
use sandbox::{Command, Ended, Policy, Sandbox, Tree, namespaces};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::figure::{Figure, Row};
use crate::{Measure, machine, repository};

pub(crate) const MEASURE: Measure = Measure {
    name: "egress",
    title: "the way out of a sandbox",
    about: "A program inside asks the proxy for a host, greets it as TLS does, and reads what a server of this machine sends: \
            through the relay of the sandbox's process 1, a Unix socket, the proxy, and loopback. Beside it the same program \
            outside, which connects to the server itself. Client, both ends of the way and server share two cores.",
    run: measure,
};

const HOST: &str = "server.example";
/// Bytes of one transfer.
const BYTES: usize = 512 << 20;
const TRANSFERS: usize = 7;
const CONNECTIONS: usize = 200;

/// Connects to the port in its first argument, through the proxy when there is a second one, and says a greeting to the
/// host. Then either reads all and prints MB/s, or prints the milliseconds until the first byte, so often as is said.
const CLIENT: &str = r#"import socket, ssl, sys, time
port, kind, times, proxied = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), len(sys.argv) > 4
out = ssl.MemoryBIO()
try: ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="server.example").do_handshake()
except ssl.SSLWantReadError: hello = out.read()
buffer = bytearray(1 << 20)
for _ in range(times):
    begun = time.perf_counter()
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if proxied:
        s.sendall(b"CONNECT server.example:443 HTTP/1.1\r\n\r\n")
        assert s.recv(999).startswith(b"HTTP/1.1 200")
    s.sendall(hello)
    first = s.recv_into(buffer)
    if kind == "first":
        print((time.perf_counter() - begun) * 1000)
    else:
        total, begun = 0, time.perf_counter()
        while True:
            got = s.recv_into(buffer)
            if got == 0: break
            total += got
        print(total / (time.perf_counter() - begun) / 1e6)
    s.close()
"#;

struct ThisMachine(SocketAddr);

#[async_trait]
impl Resolve for ThisMachine {
    async fn addresses(&self, _: &Host) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.0])
    }
}

fn measure() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure_way_out())
}

async fn measure_way_out() -> Result<Vec<Row>> {
    let folder = machine::folder()?;
    let base = folder.path().join("base");
    repository::small(&base)?;
    std::fs::write(base.join("client.py"), CLIENT)?;
    let mut figures = Vec::new();
    for (kind, bytes, times) in [("bytes", BYTES, 1), ("first", 1, CONNECTIONS)] {
        let server = serve(bytes).await?;
        let config = config(server, folder.path().join("egress"))?;
        let egress = egress::open(&config)?;
        let policy = egress.granted_to(&Policy::default());
        let namespaces = sandbox::Config::Namespaces(namespaces::Config::default());
        let opened = sandbox::open(&namespaces, &Tree::of(vec![base.clone()]), &policy).await?;
        let (mut ours, mut direct) = (Vec::new(), Vec::new());
        for _ in 0..if kind == "bytes" { TRANSFERS } else { 1 } {
            let port = egress::PROXY_PORT;
            ours.extend(inside(&*opened, &format!("python3 client.py {port} {kind} {times} proxied")).await?);
            direct.extend(outside(&base, server.port(), kind, times).await?);
        }
        opened.close().await?;
        egress.close().await.1?;
        figures.push((ours, direct));
    }
    let [(bytes, raw_bytes), (first, raw_first)] = &figures[..] else { anyhow::bail!("two were measured") };
    let raw_first = Figure::new("ms", raw_first.iter().copied());
    let added = Figure::new("ms", first.iter().map(|ours| ours - raw_first.median()));
    Ok(vec![
        Row::new("throughput", Figure::new("MB/s", bytes.iter().copied()))
            .at_least(500.0)
            .beside("directly, outside", Figure::new("MB/s", raw_bytes.iter().copied())),
        Row::new("connect, request, greeting → first byte", Figure::new("ms", first.iter().copied()))
            .beside("directly, outside", raw_first),
        Row::new("of that added by the way out", added).at_most(1.0),
    ])
}

/// A server that answers whatever it is sent first with so many bytes.
async fn serve(bytes: usize) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let piece: Arc<[u8]> = vec![7; 1 << 20].into();
        while let Ok((mut connection, _)) = listener.accept().await {
            let piece = Arc::clone(&piece);
            tokio::spawn(async move {
                let _ = connection.set_nodelay(true);
                let _ = connection.read(&mut [0; 4096]).await;
                let mut left = bytes;
                while left > 0 {
                    let length = left.min(piece.len());
                    if connection.write_all(&piece[..length]).await.is_err() {
                        return;
                    }
                    left -= length;
                }
            });
        }
    });
    Ok(address)
}

fn config(server: SocketAddr, folder: std::path::PathBuf) -> Result<Config> {
    let host: Host = HOST.parse().context("a host's name")?;
    Ok(Config {
        hosts: [host.clone()].into(),
        route: Route::Direct { resolver: Arc::new(ThisMachine(server)), private: [host].into() },
        lent: Vec::new(),
        trust: Trust::default(),
        told: Told::default(),
        // One connection after the other, as fast as it goes.
        caps: Caps { per_second_max: 100_000, ..Caps::default() },
        folder,
    })
}

async fn inside(sandbox: &dyn Sandbox, script: &str) -> Result<Vec<f64>> {
    let command = Command {
        script: script.to_owned(),
        timeout: std::time::Duration::from_secs(120),
        output_bytes_max: 64 * 1024,
        live: None,
    };
    let ran = sandbox.run(&command).await?;
    ensure!(ran.ended == Ended::Exited(0), "{script}: {:?}: {}", ran.ended, ran.output);
    numbers(&ran.output)
}

async fn outside(folder: &std::path::Path, port: u16, kind: &str, times: usize) -> Result<Vec<f64>> {
    let mut command = tokio::process::Command::new("/usr/bin/python3");
    command.arg("client.py").args([port.to_string(), kind.to_owned(), times.to_string()]).current_dir(folder);
    let done = command.output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    numbers(&String::from_utf8_lossy(&done.stdout))
}

fn numbers(text: &str) -> Result<Vec<f64>> {
    text.lines().map(|line| line.parse().with_context(|| format!("`{line}` is no number"))).collect()
}
