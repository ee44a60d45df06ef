//! Where untrusted commands run: opens a sandbox over a base tree, runs commands and file tools inside, and tells what
//! they changed. Knows neither git nor forges nor models.

mod calls;
mod content;
mod disk;
pub mod docker;
pub mod egress;
mod export;
mod filter;
mod first;
mod folder;
mod hidden;
mod inside;
pub mod namespaces;
mod program;
mod removal;
mod upper;
mod user;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backspace_init::protocol::Fence;
use events::{ChangeList, ChangedPath, Content};
use tokio::sync::mpsc;

pub use inside::{Inside, Program};

pub use backspace_init::protocol::{Applied, Ended, FileAnswer, FileTool, PATH, Passage, Ran, Tier};

/// Which backend to open sandboxes with.
#[derive(Debug, Clone)]
pub enum Config {
    /// Linux namespaces, by bubblewrap.
    Namespaces(namespaces::Config),
    /// A container of a Docker or Podman engine.
    Docker(docker::Config),
    /// The first of these that is to be had.
    FirstOf(Vec<Config>),
    /// Whatever somebody else opens: a replay's, which answers from a recording or looks on.
    Elsewhere(Elsewhere),
}

/// Opens sandboxes that are none of this crate's. No weaker way to run commands: whoever makes it answers for what it
/// runs.
#[derive(Clone)]
pub struct Elsewhere(pub Arc<dyn Opens>);

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elsewhere")
    }
}

/// Opens a fresh sandbox.
#[async_trait]
pub trait Opens: Send + Sync {
    /// As [`open`].
    ///
    /// # Errors
    /// As [`open`].
    async fn open(&self, tree: &Tree, policy: &Policy) -> Result<Arc<dyn Sandbox>, Error>;

    /// As [`inside()`].
    ///
    /// # Errors
    /// As [`open`].
    async fn inside(&self, tree: &Tree, policy: &Policy, names: &[&str]) -> Result<Inside, Error>;
}

/// Opens a fresh sandbox over `tree`.
///
/// # Errors
/// [`Error::Unavailable`] when this machine cannot do what `policy` asks; it names the mend. Never opens a weaker one.
pub async fn open(config: &Config, tree: &Tree, policy: &Policy) -> Result<Arc<dyn Sandbox>, Error> {
    match config {
        Config::Namespaces(config) => Ok(Arc::new(namespaces::open(config, tree, policy).await?)),
        Config::Docker(config) => Ok(Arc::new(docker::open(config, tree, policy).await?)),
        Config::FirstOf(configs) => first::open(configs, tree, policy).await,
        Config::Elsewhere(elsewhere) => elsewhere.0.open(tree, policy).await,
    }
}

/// What stands inside sandboxes that are opened like this over `tree`, and which programs of `names` are among it.
///
/// # Errors
/// [`Error::Unavailable`] as [`open`].
pub async fn inside(config: &Config, tree: &Tree, policy: &Policy, names: &[&str]) -> Result<Inside, Error> {
    match config {
        Config::Namespaces(config) => Ok(namespaces::inside(config, policy, names)),
        Config::Docker(config) => docker::inside(config, policy, names).await,
        Config::FirstOf(configs) => first::inside(configs, tree, policy, names).await,
        Config::Elsewhere(elsewhere) => elsewhere.0.inside(tree, policy, names).await,
    }
}

/// The names and versions of what sandboxes are made with on this machine, for people who look for a fault.
pub async fn versions(config: &Config) -> Vec<String> {
    match config {
        Config::Namespaces(config) => namespaces::versions(config),
        Config::Docker(config) => docker::versions(config).await,
        Config::FirstOf(configs) => {
            let mut all = Vec::new();
            for config in configs {
                all.extend(Box::pin(versions(config)).await);
            }
            all
        }
        Config::Elsewhere(_) => Vec::new(),
    }
}

/// The files that a sandbox starts from. Nothing inside can change them.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Read-only folders laid over each other, the uppermost first: what setup added, a throw-away `.git`, then the
    /// checked-out base.
    pub layers: Vec<PathBuf>,
    /// The read-only folder that the home folder starts from; it starts empty without.
    pub home: Option<PathBuf>,
}

impl Tree {
    /// `layers`, the uppermost first, and an empty home folder.
    pub fn of(layers: Vec<PathBuf>) -> Self {
        Self { layers, home: None }
    }

    /// The same with what [`Sandbox::export`] wrote into `folder` laid over it.
    #[must_use]
    pub fn with_exported(mut self, folder: &Path) -> Self {
        self.layers.insert(0, folder.join(EXPORTED_WORK));
        self.home = Some(folder.join(EXPORTED_HOME));
        self
    }
}

/// What was added to the work tree, in the folder of an export.
pub const EXPORTED_WORK: &str = "work";
/// What was added to the home folder, in the folder of an export.
pub const EXPORTED_HOME: &str = "home";

/// What a sandbox may use. One value, made at the edge.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Bytes that the work tree's changes may take (a tmpfs; charged to memory as well).
    pub work_bytes_max: u64,
    /// Files and folders that the changes may hold.
    pub work_inodes_max: u64,
    /// Bytes of memory beyond the work tree's.
    pub memory_bytes_max: u64,
    /// Processes and threads.
    pub processes_max: u64,
    /// Processors whose whole time all commands together may take. Absent: all of this machine, behind the service.
    pub processors_max: Option<u32>,
    /// How long the sandbox may live.
    pub lifetime: Duration,
    /// Host sockets that stand inside, each reached through a loopback port of the sandbox. The only ways out.
    pub relays: Vec<Relay>,
    /// Environment variables of every command inside, beyond the fixed ones; one of the same name takes its place.
    /// Whatever runs inside reads them.
    pub environment: Vec<(String, String)>,
    /// Files that the home folder holds from the start.
    pub home: Vec<HomeFile>,
}

/// A file of the home folder. Whatever runs inside reads it, and may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeFile {
    /// Where it stands, below the home folder.
    pub path: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A way from inside to a socket of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The Unix socket. It must be writable by everybody, since a sandbox's user is another than the service's; its
    /// folder is what keeps others away from it.
    pub socket: PathBuf,
    /// Above 1023. Connections inside to this port of 127.0.0.1 are piped to the socket, byte for byte and half by half.
    pub port: u16,
}

impl Default for Policy {
    /// 4 GiB and 400,000 inodes of changes, 4 GiB of memory, 512 processes, all processors, one hour, no way out.
    fn default() -> Self {
        Self {
            work_bytes_max: 4 << 30,
            work_inodes_max: 400_000,
            memory_bytes_max: 4 << 30,
            processes_max: 512,
            processors_max: None,
            lifetime: Duration::from_secs(3600),
            relays: Vec::new(),
            environment: Vec::new(),
            home: Vec::new(),
        }
    }
}

/// An open sandbox; its work tree is `/work`.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Runs a shell script in the work tree. What it prints, a time-out and a crash are results, not errors.
    async fn run(&self, command: &Command) -> Result<Ran, Error>;

    /// Reads, searches, edits or writes files of the work tree, inside the sandbox.
    async fn file(&self, tool: &FileTool) -> Result<FileAnswer, Error>;

    /// What differs from the base, in time proportional to what differs. `.git` at the root is left out.
    async fn changes(&self) -> Result<ChangeList, Error>;

    /// What stands at a path of [`Sandbox::changes`] now, at most `bytes_max` of it. Never follows a link.
    ///
    /// # Errors
    /// [`Error::Changed`] when it is no longer what the list said.
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error>;

    /// Ends every process inside, and writes what they added to work tree and home folder into the folder `into`, which
    /// is made, for [`Tree::with_exported`]. Paths of the base stay as the base has them, `.git` at the root is left
    /// out, and what is neither file, folder nor link is passed over. Runs no command afterwards.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when there is more than `allowance`. What was written until an error is the caller's to
    /// remove.
    async fn export(&self, into: &Path, allowance: Allowance) -> Result<Exported, Error>;

    /// Ends every process inside and takes the sandbox down; nothing of it stays on the machine. May be called twice.
    async fn close(&self) -> Result<(), Error>;

    /// What holds in this sandbox.
    fn terms(&self) -> &Terms;
}

/// How much an export may hold.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Files, folders and links.
    pub entries_max: u64,
}

/// What was written of what a sandbox added to its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// The topmost paths that are new in the work tree, as bytes that nobody has vetted; nothing when there are too
    /// many.
    pub roots: Option<Vec<Vec<u8>>>,
    /// Some paths of the base that were changed or deleted inside and are as in the base again.
    pub undone: Vec<Vec<u8>>,
    /// How many there are of them. What was in a deleted folder is not counted.
    pub undone_total: u64,
}

/// What a sandbox can reach, in words.
fn network(relays: &[Relay]) -> String {
    let ports: Vec<String> = relays.iter().map(|relay| format!("127.0.0.1:{}", relay.port)).collect();
    if ports.is_empty() {
        "no network".to_owned()
    } else {
        format!("no network but what this service answers at {}", ports.join(" and "))
    }
}

/// A shell script to run.
#[derive(Debug, Clone)]
pub struct Command {
    /// Given to `bash -c` (`sh -c` where there is no bash).
    pub script: String,
    /// After this long its whole process tree is ended.
    pub timeout: Duration,
    /// Output beyond this many bytes keeps its head and its tail.
    pub output_bytes_max: usize,
    /// Hears all of the output while it comes, as well. Whoever does not take it holds the command up, and with it
    /// every other answer of this sandbox.
    pub live: Option<mpsc::Sender<Vec<u8>>>,
}

/// What holds in a sandbox, for the log and for people.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The backend's name.
    pub backend: &'static str,
    /// What is enforced, each in a few words.
    pub enforced: Vec<String>,
    /// What this machine cannot enforce, each in a few words.
    pub soft: Vec<String>,
    /// Backends that were wanted before this one and were not to be had, each with the reason.
    pub passed_over: Vec<String>,
}

impl Terms {
    /// Says whether the program inside could set its wall.
    fn say(&mut self, fence: Fence) {
        match fence {
            Fence::None => self.soft.push("files: mounts alone, this kernel gives no Landlock".to_owned()),
            Fence::Landlock => self.enforced.push("Landlock over all files".to_owned()),
        }
    }
}

/// What can go wrong with a sandbox. What goes wrong inside one is a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine cannot open one.
    #[error("no sandbox can be opened here: {reason}. {mend}")]
    Unavailable {
        /// What is missing or refused.
        reason: String,
        /// What mends it: a command or a setting.
        mend: String,
    },
    /// The sandbox is gone: killed, out of memory, or past its lifetime.
    #[error("the sandbox is gone: {reason}")]
    Lost {
        /// What we know of why.
        reason: String,
    },
    /// What commands left inside is more than may be exported.
    #[error("there is too much to be kept: {what}")]
    TooLarge {
        /// What is too large, and the bound.
        what: String,
    },
    /// A path is no longer what it was when listed.
    #[error("a changed file was replaced or grew while it was read")]
    Changed,
    /// The host's system refused something that should work.
    #[error("cannot {doing}")]
    System {
        /// What we were doing.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_landlock_is_told_of() {
        let said = |fence| {
            let mut terms = Terms::default();
            terms.say(fence);
            (terms.enforced.join("; "), terms.soft.join("; "))
        };
        assert_eq!(said(Fence::Landlock), ("Landlock over all files".to_owned(), String::new()));
        let soft = "files: mounts alone, this kernel gives no Landlock".to_owned();
        assert_eq!(said(Fence::None), (String::new(), soft));
    }
}
