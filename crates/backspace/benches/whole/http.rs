//! HTTP as plain as a load client's has to be, so that the server is what is measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// A server that is silent for longer will not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than a whole session of 50 events.
const READ_BYTES: usize = 128 * 1024;

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    read: Vec<u8>,
}

/// A request as bytes; with a body it is JSON.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, body: Option<&str>) -> Vec<u8> {
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream, */*\r\n");
    if let Some(body) = body {
        text.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    } else {
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// Whether `answer` is whole.
pub(crate) fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = find(answer, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        // No event holds these bytes: they are one line each.
        return answer.ends_with(b"\r\n0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or_default();
    answer.len() >= end + 4 + length
}

/// Where `needle` begins in `text`.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .context("cannot set a socket")?;
        Ok(Self { stream, address, read: Vec::new() })
    }

    /// Sends a request and forgets what was read before.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<Instant> {
        self.read.clear();
        let request = request(self.address, method, path, body);
        let sent = Instant::now();
        self.stream.write_all(&request).context("cannot send a request")?;
        Ok(sent)
    }

    /// Reads until the answer holds `text`.
    ///
    /// # Errors
    /// When it ends without.
    pub(crate) fn read_until(&mut self, text: &[u8]) -> Result<()> {
        while find(&self.read, text).is_none() {
            self.read_more()?;
        }
        Ok(())
    }

    /// What was read of the answer so far.
    pub(crate) fn seen(&self) -> &[u8] {
        &self.read
    }

    /// Reads to the end of the answer, which must be a 2xx, and gives it.
    ///
    /// # Errors
    /// When the connection breaks or the answer is another one.
    pub(crate) fn read_all(&mut self) -> Result<&[u8]> {
        while !is_whole(&self.read) {
            self.read_more()?;
        }
        ensure!(self.read.starts_with(b"HTTP/1.1 2"), "refused: {}", String::from_utf8_lossy(&self.read));
        Ok(&self.read)
    }

    fn read_more(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).context("cannot read an answer")?;
        ensure!(count > 0, "the answer broke off: {}", String::from_utf8_lossy(&self.read));
        ensure!(self.read.len() < READ_BYTES, "the answer does not end");
        self.read.extend_from_slice(&buffer[..count]);
        Ok(())
    }
}
