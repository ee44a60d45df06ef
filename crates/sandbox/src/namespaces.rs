//! Runs commands in Linux namespaces, by bubblewrap, over an overlay of the base tree.

mod cgroup;
mod inside;
mod launcher;
mod mend;
mod start;
mod terms;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backspace_init::protocol::{Begin, FileAnswer, FileTool, Limits, Ran};
use backspace_init::stage::{Ground, Orders};
use events::{ChangeList, ChangedPath, Content};
use rustix::fs::{MemfdFlags, XattrFlags};

use crate::calls::{self, Calls};
use crate::disk::Disk;
use crate::folder::Reach;
use crate::{
    Allowance, Command, Error, Exported, Inside, Policy, Sandbox, Terms, Tree, content, export, filter,
    folder, upper, user,
};
use cgroup::Groups;
pub use mend::Restriction;
use start::{Belongings, Started, Uppers};

/// The program inside ends itself so much later than this process would have ended it.
const LIFETIME_GRACE: Duration = Duration::from_secs(60);

/// How to open sandboxes of namespaces.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The bubblewrap program; where the system keeps it when absent. Never searched by `PATH`.
    pub bubblewrap: Option<PathBuf>,
    /// Where the changes of a work tree live.
    pub changes: Changes,
    /// Files and folders of this machine that stand inside as well, read-only and at the same place: tools that are not
    /// in `/usr`, or in `/usr/local`, which is empty inside.
    pub tools: Vec<PathBuf>,
}

/// Where the changes of a work tree live, and with them `/tmp` and the home folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Changes {
    /// In memory, bounded in bytes and in files.
    #[default]
    Memory,
    /// In memory where this machine's kernel can (Linux 6.6), else below this folder.
    MemoryElse(PathBuf),
    /// Below this folder, whose own file system is the only bound.
    Folder(PathBuf),
}

pub(crate) async fn open(config: &Config, tree: &Tree, policy: &Policy) -> Result<Namespaces, Error> {
    let (config, tree, policy) = (config.clone(), tree.clone(), policy.clone());
    // Processes are started and waited for: not on a thread that others need.
    let opened = tokio::task::spawn_blocking(move || open_blocking(&config, &tree, &policy)).await;
    let ready = opened.map_err(|error| failed("open a sandbox")(io::Error::other(error)))??;
    ready.converse()
}

pub(crate) fn inside(config: &Config, policy: &Policy, names: &[&str]) -> Inside {
    inside::look(&config.tools, policy, names)
}

/// What keeps ordinary users of this machine from sandboxes like these, and the command that allows them. Whether one can
/// be opened says [`crate::open`] alone: a profile may allow this program what is forbidden to others.
pub fn restriction(config: &Config) -> Option<Restriction> {
    mend::restriction(config.bubblewrap.as_deref())
}

/// The program that starts sandboxes like these, if it is there.
pub fn launcher(config: &Config) -> Option<PathBuf> {
    launcher::program(config.bubblewrap.as_deref())
}

pub(crate) fn versions(config: &Config) -> Vec<String> {
    let system = rustix::system::uname();
    let mut versions =
        vec![format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy())];
    if let Some(bubblewrap) = launcher::program(config.bubblewrap.as_deref())
        && let Ok(said) = std::process::Command::new(bubblewrap).arg("--version").env_clear().output()
    {
        versions.push(String::from_utf8_lossy(&said.stdout).trim().to_owned());
    }
    versions
}

/// A sandbox that is ready, before the conversation is the runtime's.
struct Ready {
    started: Started,
    lower: Vec<OwnedFd>,
    belongings: Belongings,
    /// Where the changes lie, when that is no memory.
    disk: Option<Disk>,
    lifetime: Duration,
    terms: Terms,
}

fn open_blocking(config: &Config, tree: &Tree, policy: &Policy) -> Result<Ready, Error> {
    let place = match &config.changes {
        Changes::Memory => None,
        Changes::MemoryElse(_) if memory_has_attributes() => None,
        Changes::MemoryElse(place) | Changes::Folder(place) => Some(place.as_path()),
    };
    open_in(place, config, tree, policy)
}

/// Whether a tmpfs takes the attributes that an overlay keeps in its upper folder. Anonymous files live on one.
fn memory_has_attributes() -> bool {
    let set = |file| rustix::fs::fsetxattr(file, "user.overlay.probe", b"y", XattrFlags::empty());
    rustix::fs::memfd_create("probe", MemfdFlags::CLOEXEC).and_then(set).is_ok()
}

fn open_in(place: Option<&Path>, config: &Config, tree: &Tree, policy: &Policy) -> Result<Ready, Error> {
    let bubblewrap = launcher::program(config.bubblewrap.as_deref()).ok_or_else(mend::no_bubblewrap)?;
    let lower = tree.layers.iter().map(|layer| open_layer(layer)).collect::<Result<Vec<_>, _>>()?;
    let mut belongings = Belongings::default();
    if rustix::process::geteuid().is_root() {
        belongings.user = Some(user::take().map_err(failed("take a user id for a sandbox"))?);
    }
    let mut disk = None;
    if let Some(place) = place {
        let folder = folder::make(place, Reach::Passage)
            .map_err(failed("make a folder for the changes of a sandbox"))?;
        disk = Some(Disk::of(&folder.path)?);
        belongings.folder = Some(folder);
    }
    let bounds = bounds(policy, place);
    let groups = cgroup::make(bounds);
    let filters =
        filter::programs().map_err(|error| failed("write a system call filter")(io::Error::other(error)))?;
    let orders = Orders {
        layers: tree.layers.iter().map(|layer| launcher::bytes(layer)).collect(),
        home: tree.home.as_deref().map(launcher::bytes),
        changes: match &belongings.folder {
            None => Ground::Memory { bytes_max: policy.work_bytes_max, inodes_max: policy.work_inodes_max },
            Some(folder) => Ground::Folder(launcher::bytes(&folder.path)),
        },
        become_id: belongings.user.as_ref().map(|user| user.id),
        etc: launcher::etc(),
        relays: policy.relays.iter().map(|relay| (relay.port, launcher::bytes(&relay.socket))).collect(),
        groups: groups.iter().flat_map(Groups::entrances).map(|file| launcher::bytes(&file)).collect(),
        launcher: launcher::command(&bubblewrap, &config.tools, &policy.relays, filters.len()),
        filters,
    };
    let limits = Limits {
        processes_max: policy.processes_max,
        memory_bytes_max: policy.memory_bytes_max,
        // A tmpfs has its own bound, and a program is told of it by an error instead of a signal.
        file_bytes_max: if place.is_some() { policy.work_bytes_max } else { u64::MAX },
        watched_bytes_max: groups.is_err().then_some(policy.memory_bytes_max),
    };
    let mut terms = terms::terms(&terms::Bounded { policy, bounds, groups: &groups, disk: disk.as_ref() });
    belongings.groups = groups.ok();
    let begin = Begin {
        limits,
        environment: policy.environment.clone(),
        home: policy.home.iter().map(|file| (file.path.clone(), file.content.clone())).collect(),
        relays: policy.relays.iter().map(|relay| relay.port).collect(),
        // The launcher loads them before it starts the program inside.
        filters: Vec::new(),
        lifetime_ms: u64::try_from(policy.lifetime.saturating_add(LIFETIME_GRACE).as_millis())
            .unwrap_or(u64::MAX),
    };
    let started = start::start(&orders, begin, &mut belongings)?;
    terms.say(started.fence);
    Ok(Ready { started, lower, belongings, disk, lifetime: policy.lifetime, terms })
}

/// Root shows a layer's files as the sandbox's user's own. An ordinary user has to own them.
fn open_layer(layer: &Path) -> Result<OwnedFd, Error> {
    let opened = File::open(layer).map_err(failed("open a layer of the base tree"))?;
    let user = rustix::process::geteuid();
    if !user.is_root() && rustix::fs::fstat(&opened).is_ok_and(|stat| stat.st_uid != user.as_raw()) {
        return Err(mend::not_own(layer));
    }
    Ok(opened.into())
}

/// What the control groups are to hold everything inside to.
fn bounds(policy: &Policy, place: Option<&Path>) -> cgroup::Bounds {
    // What the work tree holds in memory is charged to the sandbox as well.
    let work = if place.is_some() { 0 } else { policy.work_bytes_max };
    cgroup::Bounds {
        memory_bytes_max: policy.memory_bytes_max.saturating_add(work),
        processes_max: policy.processes_max,
        processors_max: policy.processors_max,
    }
}

/// Returns when a sandbox has lived as long as it may or takes the last of the disk, with the words for that.
async fn over(lifetime: Duration, disk: Option<Disk>) -> String {
    let full = async {
        match disk {
            Some(disk) => disk.fills_up().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        reason = full => reason,
        reason = calls::life_of(lifetime) => reason,
    }
}

impl Ready {
    /// Makes the conversation the runtime's.
    fn converse(self) -> Result<Namespaces, Error> {
        let Self { started, lower, belongings, disk, lifetime, terms } = self;
        let belongings = Arc::new(Mutex::new(belongings));
        let reasons = Arc::clone(&belongings);
        let reason = move |over: String| {
            let belongings = reasons.lock().unwrap_or_else(PoisonError::into_inner);
            let starved = belongings.groups.as_ref().is_some_and(Groups::ran_out_of_memory);
            std::future::ready(if starved { calls::STARVED.to_owned() } else { over })
        };
        let socket = started.socket;
        let socket = socket.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(socket));
        let (from, to) = socket.map_err(failed("talk with a sandbox"))?.into_split();
        let calls = calls::begin(from, to, over(lifetime, disk), reason);
        Ok(Namespaces {
            calls,
            layers: Arc::new(Layers { uppers: started.uppers, lower }),
            belongings,
            terms,
        })
    }
}

/// What its changes are read from.
struct Layers {
    uppers: Uppers,
    lower: Vec<OwnedFd>,
}

/// A sandbox of namespaces.
pub(crate) struct Namespaces {
    calls: Calls,
    layers: Arc<Layers>,
    belongings: Arc<Mutex<Belongings>>,
    terms: Terms,
}

impl Namespaces {
    /// Says that these were wanted before.
    pub(crate) fn having_passed_over(mut self, others: &[String]) -> Self {
        self.terms.passed_over = others.to_vec();
        self
    }
}

#[async_trait]
impl Sandbox for Namespaces {
    async fn run(&self, command: &Command) -> Result<Ran, Error> {
        self.calls.run(command).await
    }

    async fn file(&self, tool: &FileTool) -> Result<FileAnswer, Error> {
        self.calls.file(tool).await
    }

    async fn changes(&self) -> Result<ChangeList, Error> {
        let layers = Arc::clone(&self.layers);
        read_aside("list what changed in a sandbox", move || {
            upper::changes(layers.uppers.work.as_fd(), &layers.lower, upper::PATHS_MAX)
        })
        .await
    }

    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error> {
        let (layers, path) = (Arc::clone(&self.layers), path.clone());
        let read = move || content::read(layers.uppers.work.as_fd(), &path, bytes_max);
        read_aside("read a changed file of a sandbox", read).await?.ok_or(Error::Changed)
    }

    async fn export(&self, into: &Path, allowance: Allowance) -> Result<Exported, Error> {
        self.calls.end("what it holds is exported");
        let (layers, belongings) = (Arc::clone(&self.layers), Arc::clone(&self.belongings));
        let into = into.to_owned();
        let export = move || {
            belongings.lock().unwrap_or_else(PoisonError::into_inner).end();
            let Uppers { work, home } = &layers.uppers;
            let added = export::Added { work: work.as_fd(), base: &layers.lower, home: home.as_fd() };
            export::write(&added, &into, allowance)
        };
        let written = tokio::task::spawn_blocking(export).await;
        written.map_err(|error| failed("write what a sandbox has added")(io::Error::other(error)))?
    }

    async fn close(&self) -> Result<(), Error> {
        self.calls.end("it was closed");
        let belongings = Arc::clone(&self.belongings);
        read_aside("take a sandbox down", move || {
            belongings.lock().unwrap_or_else(PoisonError::into_inner).take_down()
        })
        .await
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.calls.end("it was dropped");
    }
}

/// Does what blocks on another thread.
async fn read_aside<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).and_then(|result| result).map_err(failed(doing))
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::System { doing: doing.to_owned(), source }
}
