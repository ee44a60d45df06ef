//! Where attacks are made: a sandbox, and targets on this machine that none of them may reach.

use std::fs::{self, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Ended, Policy, Ran, Sandbox, Tree};
use tempfile::TempDir;

/// An attack takes seconds at most; what holds it up is told apart from what ends it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Verdicts are a line; some attacks print much more before.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// What stands in the file that nobody inside may read.
pub(crate) const CANARY: &str = "canary-7f3a9c51e2";
const PRELUDE: &str = include_str!("prelude.py");
/// As everywhere in these tests: not whatever a developer's shell finds first.
const PYTHON: &str = "/usr/bin/python3";

/// What somebody said of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It succeeded.
    Breached(String),
    /// It failed.
    Held(String),
    /// This machine has not what it needs.
    Absent(String),
    /// It could only be shown with powers that these tests have not.
    Unshown(String),
    /// Nothing that can be understood.
    Unclear(String),
}

/// Targets on this machine, and how sandboxes are opened for attacks.
pub(crate) struct Stage {
    folder: TempDir,
    victim: Child,
    tcp: std::net::TcpListener,
    echo_port: u16,
    /// Kept so that the names are taken.
    _sockets: [UnixListener; 2],
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.victim.kill());
        drop(self.victim.wait());
    }
}

impl Stage {
    /// Sets it; nothing when this machine opens no sandbox and nobody said that it must.
    pub(crate) async fn set() -> Option<Self> {
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("canary"), CANARY).unwrap();
        fs::create_dir(path("open")).unwrap();
        fs::set_permissions(path("open"), Permissions::from_mode(0o777)).unwrap();
        let abstract_name = format!("attack-{}-{}", std::process::id(), folder.path().display());
        let sockets = [
            UnixListener::bind(path("socket")).unwrap(),
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(abstract_name).unwrap()).unwrap(),
        ];
        fs::set_permissions(path("socket"), Permissions::from_mode(0o777)).unwrap();
        let stage = Self {
            victim: Command::new("sleep").arg("1001").stdin(Stdio::null()).spawn().unwrap(),
            tcp: std::net::TcpListener::bind(("0.0.0.0", 0)).unwrap(),
            echo_port: echo(),
            _sockets: sockets,
            folder,
        };
        stage.open(policy()).await.map(|sandbox| {
            drop(sandbox);
            stage
        })
    }

    /// What the scripts are told of the targets.
    fn environment(&self, place: &str) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("ATTACK_PLACE", place.to_owned()),
            ("ATTACK_KERNEL", kernel().to_owned()),
            ("CANARY", path("canary")),
            ("CANARY_TEXT", CANARY.to_owned()),
            ("OPEN_FOLDER", path("open")),
            ("SOCKET", path("socket")),
            ("ABSTRACT", format!("attack-{}-{}", std::process::id(), self.folder.path().display())),
            ("PORT", self.tcp.local_addr().unwrap().port().to_string()),
            ("ECHO_PORT", self.echo_port.to_string()),
            ("HOST_ADDRESS", host_address()),
            ("VICTIM", self.victim.id().to_string()),
        ]
    }

    /// A sandbox over a small tree of its own.
    pub(crate) async fn open(&self, policy: Policy) -> Option<Open> {
        let base = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let tree = base.path().join("tree");
        fs::create_dir(&tree).unwrap();
        make_tree(&tree);
        match sandbox::open(&config(), &Tree::of(vec![tree]), &policy).await {
            Ok(sandbox) => Some(Open { sandbox, base }),
            #[expect(clippy::disallowed_methods, reason = "the tests' own switch")]
            Err(error @ sandbox::Error::Unavailable { .. })
                if std::env::var_os("BACKSPACE_REQUIRE_SANDBOX").is_none() =>
            {
                println!("SKIPPED, this machine opens no sandbox: {error}");
                None
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }

    /// A folder of this machine that everybody may write to.
    pub(crate) fn open_folder(&self) -> PathBuf {
        self.folder.path().join("open")
    }

    /// Runs `script` in a sandbox of its own.
    pub(crate) async fn inside(&self, script: &str) -> Said {
        let sandbox = self.open(policy()).await.unwrap();
        let ran = sandbox.try_to_run(&self.shell(script, "inside")).await;
        sandbox.sandbox.close().await.unwrap();
        match ran {
            Ok(Ran { ended: Ended::Exited(_), output, .. }) => said(&output),
            Ok(Ran { ended, output, .. }) => Said::Unclear(format!("{ended:?}: {output}")),
            // That kernel is a process of the sandbox's, and ends with what takes all memory.
            Err(sandbox::Error::Lost { reason }) if kernel() == "own" && reason == STARVED => {
                Said::Held(format!("the sandbox ended: {reason}"))
            }
            Err(sandbox::Error::Lost { reason }) => Said::Breached(format!("the sandbox ended: {reason}")),
            Err(error) => Said::Unclear(error.to_string()),
        }
    }

    /// Runs `script` on this machine, in a folder of its own.
    pub(crate) async fn outside(&self, script: &str) -> Said {
        let folder = tempfile::tempdir().unwrap();
        make_tree(folder.path());
        self.outside_in(script, folder.path()).await
    }

    /// Runs `script` on this machine, in `folder`.
    pub(crate) async fn outside_in(&self, script: &str, folder: &Path) -> Said {
        let folder = folder.to_owned();
        let shell = self.shell(script, "outside");
        tokio::task::spawn_blocking(move || {
            // A file and no pipe: what is left in the background would hold that open.
            let mut output = tempfile::tempfile().unwrap();
            Command::new("bash")
                .args(["-c", &shell])
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(output.try_clone().unwrap())
                .status()
                .unwrap();
            let mut text = Vec::new();
            output.seek(SeekFrom::Start(0)).unwrap();
            output.read_to_end(&mut text).unwrap();
            said(&String::from_utf8_lossy(&text))
        })
        .await
        .unwrap()
    }

    /// `script` after what every script begins with, for a shell.
    pub(crate) fn shell(&self, script: &str, place: &str) -> String {
        let mut text = String::new();
        for (name, value) in self.environment(place) {
            text.push_str(&format!("export {name}='{value}'\n"));
        }
        text + &format!("{PYTHON} - 2>&1 <<'END_OF_ATTACK'\n{PRELUDE}{script}\nEND_OF_ATTACK\n")
    }
}

/// An open sandbox and the folder of its base tree.
pub(crate) struct Open {
    pub(crate) sandbox: Arc<dyn Sandbox>,
    pub(crate) base: TempDir,
}

impl Open {
    /// Runs a shell script.
    pub(crate) async fn run(&self, script: &str) -> Ran {
        self.try_to_run(script).await.unwrap()
    }

    /// Runs a shell script that may end the sandbox.
    pub(crate) async fn try_to_run(&self, script: &str) -> Result<Ran, sandbox::Error> {
        let command = sandbox::Command {
            script: script.to_owned(),
            timeout: PATIENCE,
            output_bytes_max: OUTPUT_BYTES_MAX,
            live: None,
        };
        self.sandbox.run(&command).await
    }

    /// The base tree, which nothing inside may change.
    pub(crate) fn tree(&self) -> PathBuf {
        self.base.path().join("tree")
    }
}

/// Answers every datagram, as long as the tests run.
fn echo() -> u16 {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            drop(socket.send_to(&buffer[..length], from));
        }
    });
    port
}

/// An address of this machine that is not the loopback's, if it has one.
fn host_address() -> String {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    // Nothing is sent: it is only asked by which way one would send.
    let address = socket.connect(("192.0.2.1", 9)).and_then(|()| socket.local_addr());
    address.map_or("127.0.0.1".to_owned(), |address| address.ip().to_string())
}

/// The files that every attack finds.
pub(crate) fn make_tree(folder: &Path) {
    fs::create_dir(folder.join("folder")).unwrap();
    for name in ["README", "gone", "folder/file", "folder/other"] {
        fs::write(folder.join(name), format!("{name}\n")).unwrap();
    }
}

/// Small bounds: what exceeds them costs this machine little where nobody bounds it.
pub(crate) fn policy() -> Policy {
    Policy {
        work_bytes_max: 64 << 20,
        work_inodes_max: 2000,
        memory_bytes_max: 256 << 20,
        processes_max: 64,
        lifetime: Duration::from_secs(300),
        ..Policy::default()
    }
}

/// Why a sandbox is lost that took all of its memory.
pub(crate) const STARVED: &str = "it ran out of memory";

/// Whose kernel serves what is inside.
pub(crate) fn kernel() -> &'static str {
    if kind() == "docker+runsc" { "own" } else { "shared" }
}

/// The names of the backends that are attacked, each with a table of its own.
pub(crate) const KINDS: [&str; 3] = ["namespaces", "docker", "docker+runsc"];

/// The name of the one that is attacked.
pub(crate) fn kind() -> String {
    #[expect(clippy::disallowed_methods, reason = "the tests' own switch")]
    std::env::var("BACKSPACE_TEST_SANDBOX").unwrap_or_else(|_| "namespaces".to_owned())
}

/// The backend that is attacked.
#[expect(clippy::disallowed_methods, reason = "`./dev attack` says where the engine is")]
pub(crate) fn config() -> sandbox::Config {
    let docker = |runtime: Option<&str>, image: &str| {
        sandbox::Config::Docker(sandbox::docker::Config {
            engine: std::env::var("DOCKER_HOST")
                .unwrap_or_else(|_| panic!("`./dev attack` starts an engine")),
            image: image.to_owned(),
            runtime: runtime.map(str::to_owned),
            changes: sandbox::docker::Changes::Memory,
        })
    };
    match kind().as_str() {
        "namespaces" => sandbox::Config::Namespaces(sandbox::namespaces::Config::default()),
        "docker" => docker(None, "backspace-sandbox"),
        "docker+runsc" => docker(Some("runsc"), "backspace-sandbox-gvisor"),
        other => panic!("BACKSPACE_TEST_SANDBOX is `{other}`: it is one of {KINDS:?}"),
    }
}

/// The settings by which `backspace` takes the backend that is attacked.
pub(crate) fn settings() -> Vec<(&'static str, String)> {
    let sandbox::Config::Docker(docker) = config() else {
        return vec![("BACKSPACE_SANDBOX", kind())];
    };
    let mut settings = vec![
        ("BACKSPACE_SANDBOX", "docker".to_owned()),
        ("DOCKER_HOST", docker.engine),
        ("BACKSPACE_IMAGE", docker.image),
    ];
    settings.extend(docker.runtime.map(|runtime| ("BACKSPACE_DOCKER_RUNTIME", runtime)));
    settings
}

/// The verdict in the last line of `output`.
pub(crate) fn said(output: &str) -> Said {
    let last = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let (word, why) = last.split_once(": ").unwrap_or_default();
    let why = why.to_owned();
    match word {
        "BREACHED" => Said::Breached(why),
        "HELD" => Said::Held(why),
        "ABSENT" => Said::Absent(why),
        "UNSHOWN" => Said::Unshown(why),
        _ => Said::Unclear(output.to_owned()),
    }
}

/// The processes of this machine whose command line holds `mark`.
pub(crate) fn processes_with(mark: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let marked = processes.filter_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        line.windows(mark.len()).any(|part| part == mark.as_bytes()).then_some(process)
    });
    marked.collect()
}
