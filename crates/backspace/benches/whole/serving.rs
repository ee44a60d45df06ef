//! A `backspace serve` to talk to.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::http::Connection;
use crate::process::{self, BINARY, Settings};

/// A service that is not there after this long does not start.
const START_MAX: Duration = Duration::from_secs(20);

/// A running service. It ends when this is dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts a service that takes as many sessions as it is asked for, otherwise as it comes.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
        let address = free.local_addr().context("cannot tell a free port")?;
        drop(free);
        let mut settings = settings.clone();
        settings.push(("RATE_LIMIT_REQUESTS".to_owned(), "1000000".to_owned()));
        let listen = address.to_string();
        let mut command = process::command(BINARY, &["serve", "--listen", &listen], &settings);
        let service = Self { child: command.spawn().context("cannot start the service")?, address };
        let started = Instant::now();
        while service.health().is_err() {
            ensure!(started.elapsed() < START_MAX, "the service does not answer");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(service)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How long `/health` takes, on a connection of its own.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn health(&self) -> Result<Duration> {
        let started = Instant::now();
        let mut connection = Connection::open(self.address)?;
        connection.send("GET", "/health", None)?;
        connection.read_all()?;
        Ok(started.elapsed())
    }
}

/// The body of a request for a session on `repository`.
pub(crate) fn submission(repository: &str) -> String {
    json!({ "repoUrl": repository, "prompt": "Count on" }).to_string()
}

impl Drop for Service {
    fn drop(&mut self) {
        // It would give its living sessions ten seconds; they are nobody's here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
