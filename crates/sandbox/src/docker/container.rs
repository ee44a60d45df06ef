//! What an engine is told of a container: the walls around it.

use std::collections::HashMap;

use backspace_init::protocol::{BY_PIPES, HOME, Ids, RELAYS, WORK};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountType, MountVolumeOptions, ResourcesUlimits,
};

use super::engine::Facts;
use super::image::{INIT, Prepared};
use crate::{Policy, filter, hidden};

/// Process 1's own threads and its supervisors, beside what the commands may have.
const OWN_PROCESSES_MAX: u64 = 72;
/// What gVisor's own kernel takes beside them, all of it counted with the container.
const GVISOR_PROCESSES_MAX: u64 = 512;
/// How many processes of this machine one inside gVisor may be: it ends when it gets none. Its kernel bounds those inside,
/// and needs some more for each, also for those that end (measured: eight, while commands fork as fast as they can).
const GVISOR_PROCESSES_EACH: u64 = 16;
/// A processor, in an engine's unit.
const NANO: i64 = 1_000_000_000;
/// Half of what a group of processes has that nobody said anything of.
const CPU_SHARES: i64 = 512;
/// Shared memory is for programs that pass pieces of work to each other.
const SHARED_BYTES_MAX: u64 = 64 << 20;
/// Open files of a process; what is inside takes fewer.
const OPEN_FILES_MAX: i64 = 16_384;
/// What besides [`hidden::FILES_OF_PROC`] tells of the machine. Newer engines hide some by themselves, older ones fewer.
/// `/sys/fs` stays: in it programs read the bounds that hold for them.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/block",
    "/sys/bus",
    "/sys/class",
    "/sys/dev",
    "/sys/devices",
    "/sys/firmware",
    "/sys/hypervisor",
    "/sys/kernel",
    "/sys/module",
    "/sys/power",
];
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What process 1 starts with, as root, to become two other users and to have no capability left, not even to be found by
/// what is executed: see `backspace-init`'s `identity.rs`. No command starts before.
const TO_PART: &[&str] = &["SETGID", "SETPCAP", "SETUID"];

/// What differs from one container to the next.
pub(super) struct Asked<'a> {
    pub(super) labels: HashMap<String, String>,
    pub(super) runtime: Option<&'a str>,
    pub(super) user: User,
    /// Process 1's own, which no command has.
    pub(super) own: u32,
    pub(super) work: Work,
}

/// Whom all commands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) id: u32,
    pub(super) group: u32,
}

/// What stands at the places of the work tree and of the home folder.
pub(super) enum Work {
    /// These volumes, for the work tree and for the home folder.
    Volumes([String; 2]),
    /// Memory, for trees of these sizes and their changes.
    Memory([Size; 2]),
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// The container.
pub(super) fn body(
    asked: Asked<'_>,
    image: &Prepared,
    policy: &Policy,
    facts: &Facts,
) -> ContainerCreateBody {
    let ids = Ids { user: asked.user.id, group: asked.user.group, own: asked.own };
    ContainerCreateBody {
        image: Some(image.name.clone()),
        hostname: Some("sandbox".to_owned()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(vec![INIT.to_owned()]),
        cmd: Some([BY_PIPES.to_owned()].into_iter().chain(ids.to_arguments()).collect()),
        working_dir: Some(WORK.to_owned()),
        labels: Some(asked.labels.clone()),
        // Its end is process 1's: the engine closes it when this process is gone.
        attach_stdin: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(false),
        // An image's own would be started by the engine inside, again and again.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(host_config(asked, image, policy, facts)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(asked: Asked<'_>, image: &Prepared, policy: &Policy, facts: &Facts) -> HostConfig {
    let memory = i64::try_from(memory(&asked.work, policy)).unwrap_or(i64::MAX);
    let processes_max = match is_gvisor(asked.runtime, facts) {
        true => {
            policy.processes_max.saturating_mul(GVISOR_PROCESSES_EACH).saturating_add(GVISOR_PROCESSES_MAX)
        }
        false => policy.processes_max.saturating_add(OWN_PROCESSES_MAX),
    };
    let strings = |list: &[&str]| Some(list.iter().map(|&it| it.to_owned()).collect());
    let limit = |name: &str, hard| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(hard),
        hard: Some(hard),
    };
    HostConfig {
        auto_remove: Some(true),
        runtime: asked.runtime.map(str::to_owned),
        network_mode: Some("none".to_owned()),
        // Else the engine writes down which name servers the machine asks.
        dns: strings(&["127.0.0.1"]),
        dns_search: strings(&["."]),
        extra_hosts: strings(&["sandbox:127.0.0.1"]),
        ipc_mode: Some(if facts.is_podman { "private" } else { "none" }.to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        cap_drop: strings(&["ALL"]),
        cap_add: strings(TO_PART),
        security_opt: Some(security_options(facts)),
        masked_paths: Some(masked()),
        readonly_paths: strings(READ_ONLY),
        readonly_rootfs: Some(true),
        tmpfs: Some(memory_folders(&asked, image, policy, facts)),
        mounts: Some(mounts(&asked, policy)),
        memory: Some(memory),
        nano_cpus: policy.processors_max.map(|most| i64::from(most) * NANO),
        // Absent, an engine gives all containers the same as what runs beside them.
        cpu_shares: policy.processors_max.is_none().then_some(CPU_SHARES),
        memory_swap: Some(memory),
        pids_limit: Some(i64::try_from(processes_max).unwrap_or(i64::MAX)),
        ulimits: Some(vec![limit("core", 0), limit("nofile", OPEN_FILES_MAX)]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    }
}

fn security_options(facts: &Facts) -> Vec<String> {
    let mut options = vec!["no-new-privileges".to_owned()];
    // Podman takes it for a path of its own machine, and has a profile by itself; process 1 loads our programs everywhere.
    if !facts.is_podman {
        options.push(format!("seccomp={}", filter::profile()));
    }
    options
}

fn masked() -> Vec<String> {
    let of_proc = hidden::FILES_OF_PROC.iter().map(|name| format!("/proc/{name}"));
    MASKED.iter().map(|&path| path.to_owned()).chain(of_proc).collect()
}

/// All of the container's memory: what it holds of files in memory is charged to it.
pub(super) fn memory(work: &Work, policy: &Policy) -> u64 {
    let files = match work {
        // The temporary folder.
        Work::Volumes(_) => policy.work_bytes_max / 2,
        // That, the work tree, and half as much for the home folder.
        Work::Memory([tree, home]) => {
            policy.work_bytes_max.saturating_mul(2).saturating_add(tree.bytes).saturating_add(home.bytes)
        }
    };
    policy.memory_bytes_max.saturating_add(files)
}

pub(super) fn is_gvisor(runtime: Option<&str>, facts: &Facts) -> bool {
    runtime.unwrap_or(&facts.default_runtime).contains("runsc")
}

/// What can be written besides the work tree, and the work tree where it is memory.
fn memory_folders(
    asked: &Asked<'_>,
    image: &Prepared,
    policy: &Policy,
    facts: &Facts,
) -> HashMap<String, String> {
    // The temporary and the home folder may take half of the work tree's allowance each.
    let half = Size { bytes: policy.work_bytes_max / 2, files: policy.work_inodes_max };
    let shared = Size { bytes: SHARED_BYTES_MAX.min(half.bytes), files: half.files };
    let User { id, group } = asked.user;
    let options = |size: Size, more: &str| {
        let mut options = format!("rw,nosuid,nodev,size={}", size.bytes);
        if facts.is_podman {
            // It knows neither owners nor numbers of files; all folders are everybody's inside.
            options.push_str(",exec,mode=1777");
        } else {
            options.push_str(&format!(",nr_inodes={},{more}", size.files));
        }
        options
    };
    let owner = format!("uid={id},gid={group}");
    let own = format!("exec,mode=0755,{owner}");
    let mut folders = HashMap::from([("/tmp".to_owned(), options(half, &format!("exec,mode=1777,{owner}")))]);
    if !facts.is_podman {
        folders.insert("/dev/shm".to_owned(), options(shared, &format!("noexec,mode=1777,{owner}")));
    }
    if let Work::Memory([tree, home]) = &asked.work {
        let with = |base: &Size, bytes: u64| Size {
            bytes: base.bytes.saturating_add(bytes),
            files: base.files.saturating_add(policy.work_inodes_max),
        };
        folders.insert(WORK.to_owned(), options(with(tree, policy.work_bytes_max), &own));
        folders.insert(HOME.to_owned(), options(with(home, half.bytes), &own));
    }
    // An engine would make volumes there, without bounds and for ever. Nothing of them is needed here.
    for volume in &image.volumes {
        folders.entry(volume.clone()).or_insert_with(|| options(shared, &own));
    }
    folders
}

fn mounts(asked: &Asked<'_>, policy: &Policy) -> Vec<Mount> {
    let relays = policy.relays.iter().map(|relay| Mount {
        typ: Some(MountType::BIND),
        source: Some(relay.socket.display().to_string()),
        target: Some(format!("{RELAYS}/{}", relay.port)),
        read_only: Some(true),
        ..Mount::default()
    });
    let volumes = match &asked.work {
        Work::Memory(_) => &[][..],
        Work::Volumes(volumes) => &volumes[..],
    };
    let volumes = volumes.iter().zip([WORK, HOME]).map(|(volume, place)| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.clone()),
        target: Some(place.to_owned()),
        // What the image holds there is not copied into it.
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    });
    relays.chain(volumes).collect()
}
