//! One connection from inside: what it asks for, whether it may, and what follows.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::client_hello::server_name;
use super::connect::{self, Connect, PORT};
use super::pace::Direction;
use super::registry;
use super::rewound::Rewound;
use super::route::dial;
use super::tally::Verdict;
use super::tunnel::{self, Cut, Meter};
use super::{Host, NotAHello, NotConnect, Refusal, Shared};

/// How long a program may take to say what it wants, and then to greet.
const SAY_MAX: Duration = Duration::from_secs(10);
/// One read of what it says.
const READ_BYTES: usize = 4096;

const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
/// A fatal alert of TLS, `access_denied`: the client is past HTTP and would not understand it.
const ACCESS_DENIED: &[u8] = &[21, 3, 3, 0, 2, 2, 49];

/// Holds the conversation with `client` to its end.
pub(super) async fn hold(shared: &Shared, mut client: UnixStream) {
    let mut heard = Vec::new();
    let asked = hear(&mut client, &mut heard, connect::read).await;
    let Connect { host, bytes } = match asked {
        Ok(Some(connect)) => connect,
        // It went without a word.
        Ok(None) => return,
        Err(refusal) => {
            let line = heard.split(|byte| *byte == b'\r').next().unwrap_or_default();
            shared.tally.count(&String::from_utf8_lossy(line), None, Verdict::Refused(refusal));
            return say(&mut client, &refusal.answer()).await;
        }
    };
    let greeting = heard.split_off(bytes);
    match admit(shared, &host).await {
        Ok(server) => {
            tokio::select! {
                biased;
                () = shared.over.cancelled() => {}
                () = speak(shared, client, greeting, &host, server) => {}
            }
        }
        Err(refusal) => {
            shared.tally.count(host.as_str(), Some(PORT), Verdict::Refused(refusal));
            say(&mut client, &refusal.answer()).await;
        }
    }
}

/// Whether `host` may be reached now, and the connection to it.
async fn admit(shared: &Shared, host: &Host) -> Result<TcpStream, Refusal> {
    // Before anything is asked of a name server: what is not on the list leaves no trace outside.
    if !shared.config.hosts.contains(host) {
        return Err(Refusal::NotListed);
    }
    tokio::select! {
        biased;
        () = shared.over.cancelled() => Err(Refusal::Over),
        connected = async {
            shared.pace.turn().await?;
            dial(&shared.config.route, host).await
        } => connected,
    }
}

/// Lets the two speak, if what the client says first names the host that it asked for.
async fn speak(
    shared: &Shared,
    mut client: UnixStream,
    mut heard: Vec<u8>,
    host: &Host,
    mut server: TcpStream,
) {
    if client.write_all(CONNECTED).await.is_err() {
        return;
    }
    let named = match hear(&mut client, &mut heard, server_name).await {
        Ok(Some(name)) if name == *host => Ok(()),
        Ok(Some(_)) => Err(Refusal::OtherHost),
        Ok(None) => Err(Refusal::Silent),
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = named {
        shared.tally.count(host.as_str(), Some(PORT), Verdict::Refused(refusal));
        return say(&mut client, ACCESS_DENIED).await;
    }
    let moved = shared.tally.count(host.as_str(), Some(PORT), Verdict::Allowed);
    let meter = Arc::new(Meter::new(&shared.pace, moved));
    let speaking = async {
        if shared.config.lent.iter().any(|lent| lent.host == *host) {
            return registry::serve(shared, Rewound::new(heard, client), host, server, &meter).await;
        }
        meter.count(Direction::Sent, heard.len() as u64)?;
        server.write_all(&heard).await.map_err(|_| Cut::Broken)?;
        tunnel::pass(&mut client, &mut server, &meter).await
    };
    match tunnel::bounded(speaking, &meter, &shared.config.caps).await {
        Ok(()) | Err(Cut::Broken) => {}
        Err(Cut::Refused(refusal)) => {
            shared.tally.count(host.as_str(), Some(PORT), Verdict::Refused(refusal));
        }
    }
}

/// Reads into `heard` until `read` makes something of it; nothing when the client ends before.
async fn hear<T, E: Into<Refusal>>(
    client: &mut UnixStream,
    heard: &mut Vec<u8>,
    read: impl Fn(&[u8]) -> Result<Option<T>, E>,
) -> Result<Option<T>, Refusal> {
    let hearing = async {
        loop {
            if let Some(made) = read(heard).map_err(Into::into)? {
                return Ok(Some(made));
            }
            heard.reserve(READ_BYTES);
            // A connection that is torn off has ended too.
            if client.read_buf(heard).await.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    };
    timeout(SAY_MAX, hearing).await.unwrap_or(Err(Refusal::Silent))
}

/// The last words. Nobody may be there to hear them.
async fn say(client: &mut UnixStream, words: &[u8]) {
    drop(timeout(SAY_MAX, client.write_all(words)).await);
}

impl From<NotConnect> for Refusal {
    fn from(reason: NotConnect) -> Self {
        Self::Request(reason)
    }
}

impl From<NotAHello> for Refusal {
    fn from(reason: NotAHello) -> Self {
        Self::Hello(reason)
    }
}
