//! Limits on memory, processes and processor time of a whole sandbox, by control groups of either version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Groups are named after their owner, so that those of a dead one can be told and swept.
const PREFIX: &str = "backspace.";
/// Where this process itself goes when it divides the group that it was given: one with members divides no more.
const MAIN: &str = "backspace.main";
/// The launcher and its helpers, beside what the commands may have.
const OWN_PROCESSES_MAX: u64 = 72;
/// A sandbox counts for half of what the service itself does, when both want the processors. Version 1 counts in other
/// units than version 2.
const SHARES: &str = "512";
const WEIGHT: &str = "50";
/// Processor time is given out once in so many microseconds; the kernel's default.
const PERIOD_US: u64 = 100_000;
/// While processes are moved out of a group they may start further ones there.
const MOVE_TRIES_MAX: u32 = 20;
/// A group can be removed a moment after its last process has ended.
const REMOVE_TRIES_MAX: u32 = 200;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

/// The groups of one sandbox: one with version 2, one for each controller with version 1.
#[derive(Debug)]
pub(super) struct Groups {
    folders: Vec<PathBuf>,
    /// Whether processor time is weighed and bounded as well, or why not: a machine may give the one and not the other.
    pub(super) processors: Result<(), String>,
}

/// The file that bounds swap in a group: with version 2 swap alone, with version 1 memory and swap together. A kernel that
/// does not count swap has neither.
const SWAP: [&str; 2] = ["memory.swap.max", "memory.memsw.limit_in_bytes"];

/// What a group is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) memory_bytes_max: u64,
    pub(super) processes_max: u64,
    pub(super) processors_max: Option<u32>,
}

/// Makes the groups of a sandbox, and sweeps those of owners that are gone.
///
/// # Errors
/// The words that say why this machine gives no groups.
pub(super) fn make(bounds: Bounds) -> Result<Groups, String> {
    let read = |path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (mounts, own) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
    let mut groups = Groups { folders: Vec::new(), processors: Ok(()) };
    for place in &places(&mounts, &own)? {
        if let Err(error) = groups.add(place, bounds) {
            groups.remove();
            return Err(error);
        }
    }
    groups.processors = match processors(&mounts, &own, &groups.folders) {
        Ok(Some(place)) => groups.add(&place, bounds),
        Ok(None) => Ok(()),
        Err(reason) => Err(reason),
    };
    Ok(groups)
}

/// The further place at which processor time is bounded, if there has to be one.
fn processors(mounts: &str, own: &str, folders: &[PathBuf]) -> Result<Option<Place>, String> {
    if folders.iter().any(|folder| folder.join("cpu.weight").exists()) {
        return Ok(None);
    }
    let place = own_folder(mounts, own, Some("cpu")).map(Place::Processors);
    place.map(Some).ok_or_else(|| "the controller cpu is not given to this process".to_owned())
}

impl Groups {
    /// Makes a group at `place` and bounds it. One that was made is removed with the others, bounded or not.
    fn add(&mut self, place: &Place, bounds: Bounds) -> Result<(), String> {
        sweep(place.folder());
        let named = |error| format!("{}: {error}", place.folder().display());
        let folder = place.make().map_err(named)?;
        self.folders.push(folder.clone());
        place.bound(&folder, bounds).map_err(named)
    }

    /// The files by which a process enters; what it starts from then on is in too.
    ///
    /// A single thread that moves itself is moved at once by version 1. For any other move the kernel waits until no thread
    /// of the machine is about to fork, some 6 ms.
    pub(super) fn entrances(&self) -> Vec<PathBuf> {
        let entrance = |folder: &PathBuf| {
            let of_threads = folder.join("tasks");
            if of_threads.exists() { of_threads } else { folder.join("cgroup.procs") }
        };
        self.folders.iter().map(entrance).collect()
    }

    /// Whether what is in memory cannot go on in swap.
    pub(super) fn bound_swap(&self) -> bool {
        self.folders.iter().any(|folder| SWAP.iter().any(|file| folder.join(file).exists()))
    }

    /// Whether the kernel ended a process of it for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let files =
            self.folders.iter().flat_map(|it| [it.join("memory.events"), it.join("memory.oom_control")]);
        let counts = files.filter_map(|file| fs::read_to_string(file).ok());
        counts
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }

    /// Removes the groups; their processes have been ended.
    pub(super) fn remove(&self) {
        for folder in &self.folders {
            for _ in 0..REMOVE_TRIES_MAX {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(REMOVE_PAUSE),
                    // What is left after all is swept by the next sandbox.
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

/// A folder below which groups are made.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Version 1, for memory.
    Memory(PathBuf),
    /// Version 1, for the number of processes.
    Processes(PathBuf),
    /// Version 1, for processor time.
    Processors(PathBuf),
    /// Version 2, for all of them.
    Unified(PathBuf),
}

/// Where groups can be made, from this process's own mounts and groups.
fn places(mounts: &str, own: &str) -> Result<Vec<Place>, String> {
    let one = |controller| own_folder(mounts, own, Some(controller));
    match (one("memory"), one("pids"), own_folder(mounts, own, None)) {
        (Some(memory), Some(pids), _) => Ok(vec![Place::Memory(memory), Place::Processes(pids)]),
        (_, _, Some(unified)) => Ok(vec![Place::Unified(unified)]),
        _ => Err("no control groups are mounted".to_owned()),
    }
}

/// The folder of this process's own group: of a version 1 controller, or of version 2.
fn own_folder(mounts: &str, own: &str, controller: Option<&str>) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let found = match controller {
            Some(wanted) => controllers.split(',').any(|one| one == wanted),
            None => controllers.is_empty(),
        };
        found.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let found = match controller {
            Some(wanted) => kind == "cgroup" && options.split(',').any(|option| option == wanted),
            None => kind == "cgroup2",
        };
        // Inside a container the mount begins at the container's own group.
        let below = path.strip_prefix(root.trim_end_matches('/')).unwrap_or(path);
        found.then(|| Path::new(point).join(below.trim_start_matches('/')))
    })
}

impl Place {
    fn folder(&self) -> &Path {
        let (Self::Memory(folder)
        | Self::Processes(folder)
        | Self::Processors(folder)
        | Self::Unified(folder)) = self;
        // After the division this process's own group is one below.
        folder.parent().filter(|_| folder.ends_with(MAIN)).unwrap_or(folder)
    }

    fn make(&self) -> io::Result<PathBuf> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if let Self::Unified(_) = self {
            divide(self.folder())?;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder().join(format!("{PREFIX}{}.{number}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    fn bound(&self, folder: &Path, bounds: Bounds) -> io::Result<()> {
        let processes = bounds.processes_max.saturating_add(OWN_PROCESSES_MAX).to_string();
        let memory = bounds.memory_bytes_max.to_string();
        match self {
            Self::Memory(_) => {
                fs::write(folder.join("memory.limit_in_bytes"), &memory)?;
                write_if_there(&folder.join(SWAP[1]), &memory)
            }
            Self::Processes(_) => fs::write(folder.join("pids.max"), processes),
            Self::Processors(_) => {
                fs::write(folder.join("cpu.shares"), SHARES)?;
                let Some(processors) = bounds.processors_max else { return Ok(()) };
                fs::write(folder.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
                fs::write(folder.join("cpu.cfs_quota_us"), (u64::from(processors) * PERIOD_US).to_string())
            }
            Self::Unified(_) => {
                fs::write(folder.join("memory.max"), &memory)?;
                write_if_there(&folder.join(SWAP[0]), "0")?;
                fs::write(folder.join("pids.max"), processes)?;
                write_if_there(&folder.join("cpu.weight"), WEIGHT)?;
                let Some(processors) = bounds.processors_max else { return Ok(()) };
                let quota = format!("{} {PERIOD_US}", u64::from(processors) * PERIOD_US);
                write_if_there(&folder.join("cpu.max"), &quota)
            }
        }
    }
}

/// Lets a version 2 group have groups below it with limits of their own.
fn divide(folder: &Path) -> io::Result<()> {
    let has_both =
        |text: &str| ["memory", "pids"].iter().all(|one| text.split_whitespace().any(|it| it == *one));
    if has_both(&fs::read_to_string(folder.join("cgroup.subtree_control"))?) {
        return Ok(());
    }
    if !has_both(&fs::read_to_string(folder.join("cgroup.controllers"))?) {
        return Err(io::Error::other("the controllers memory and pids are not given to this process"));
    }
    // A unit's group is systemd's unless the unit says otherwise.
    let of_a_unit =
        folder.extension().is_some_and(|kind| kind == "service" || kind == "scope" || kind == "slice");
    if of_a_unit && rustix::process::geteuid().is_root() && !is_delegated(folder) {
        return Err(io::Error::other("the unit has not `Delegate=yes`"));
    }
    empty(folder, &folder.join(MAIN))?;
    fs::write(folder.join("cgroup.subtree_control"), "+memory +pids")?;
    // Where it is not given, the sandbox says so.
    drop(fs::write(folder.join("cgroup.subtree_control"), "+cpu"));
    Ok(())
}

/// Moves this process and what it has started, which may be a `git` of another session, from `folder` to `main`.
fn empty(folder: &Path, main: &Path) -> io::Result<()> {
    for _ in 0..MOVE_TRIES_MAX {
        let members = fs::read_to_string(folder.join("cgroup.procs"))?;
        if members.is_empty() {
            break;
        }
        let is_others = |member: &str| !is_own(member) && Path::new("/proc").join(member).exists();
        if members.lines().any(is_others) {
            return Err(io::Error::other(
                "other processes share the group of this one; start it as a unit of its own",
            ));
        }
        fs::create_dir_all(main)?;
        for member in members.lines() {
            match fs::write(main.join("cgroup.procs"), member) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                moved => moved?,
            }
        }
    }
    // The system refuses to divide a group that still has members.
    Ok(())
}

/// Whether a process is this one or descends from it.
fn is_own(process: &str) -> bool {
    let own = std::process::id().to_string();
    let mut process = process.to_owned();
    while process != own {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        match parent.map(str::trim) {
            None | Some("0") => return false,
            Some(parent) => process = parent.to_owned(),
        }
    }
    true
}

fn is_delegated(folder: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].iter().any(|name| {
        let mut value = [0; 8];
        rustix::fs::getxattr(folder, *name, &mut value).is_ok_and(|length| value[..length].starts_with(b"1"))
    })
}

fn write_if_there(file: &Path, value: &str) -> io::Result<()> {
    if file.exists() { fs::write(file, value) } else { Ok(()) }
}

/// Removes groups below `place` whose owner is gone. Those with members stay: the system refuses.
fn sweep(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('.')?.0.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            drop(fs::remove_dir(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests;
