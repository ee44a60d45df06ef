//! Other people's servers: where `./dev e2e models` puts them, how they are started, and when they listen.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// What the servers are asked with.
pub(crate) const KEY: &str = "sk-very-secret-key";
/// A server that does not listen after so many seconds never will; LiteLLM takes some twenty.
const START_S_MAX: u32 = 180;

/// A program that listens until this is dropped.
struct Server {
    port: u16,
    #[expect(dead_code, reason = "it is killed when it is dropped")]
    child: Child,
}

/// npm's `@copilotkit/aimock`: OpenAI's and Anthropic's wires.
pub(crate) struct Aimock(Server);

impl Aimock {
    pub(crate) async fn start() -> Self {
        let mut command = Command::new(installed("aimock/node_modules/.bin/llmock"));
        command.arg("--fixtures").arg(beside("aimock.json")).arg("--strict").env("AIMOCK_API_KEYS", KEY);
        Self(start(command, "--port").await)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }
}

/// PyPI's `litellm[proxy]`: a gateway, with answers of its own and with another server behind it.
pub(crate) struct LiteLlm(Server);

impl LiteLlm {
    /// Starts it before a server that listens on port `behind`.
    pub(crate) async fn start(behind: u16) -> Self {
        let mut command = Command::new(installed("litellm/bin/litellm"));
        command
            .arg("--config")
            .arg(beside("litellm.yaml"))
            .args(["--host", "127.0.0.1"])
            .env("OPENAI_BEHIND", format!("http://127.0.0.1:{behind}/v1"))
            .env("ANTHROPIC_BEHIND", format!("http://127.0.0.1:{behind}"))
            .env("KEY_BEHIND", KEY)
            .env("KEY_BEFORE", KEY)
            // Its prices would be fetched else.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        Self(start(command, "--port").await)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }
}

/// Starts `command` on a free port, and waits until it listens.
async fn start(mut command: Command, option: &str) -> Server {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    command.arg(option).arg(port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("./dev e2e models installs it: {command:?}: {error}"));
    for _ in 0..START_S_MAX {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Server { port, child };
        }
        assert_eq!(child.try_wait().unwrap(), None, "{command:?} ended");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{command:?} does not listen");
}

fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/e2e").join(path)
}

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e").join(name)
}

/// Shows the table to whoever runs this.
#[expect(clippy::print_stdout, reason = "the table is what this is run for")]
pub(crate) fn show(table: &str) {
    println!("\n{table}");
}
