//! What holds in a sandbox of namespaces, in words for the log and for people.

use super::cgroup::{Bounds, Groups};
use crate::disk::Disk;
use crate::{Policy, Terms};

/// What a sandbox is held to, and what this machine gave to hold it.
pub(super) struct Bounded<'a> {
    pub(super) policy: &'a Policy,
    pub(super) bounds: Bounds,
    pub(super) groups: &'a Result<Groups, String>,
    /// Where the changes lie, when that is no memory.
    pub(super) disk: Option<&'a Disk>,
}

/// Says it.
pub(super) fn terms(bounded: &Bounded<'_>) -> Terms {
    let policy = bounded.policy;
    let mut terms = Terms {
        backend: "namespaces",
        enforced: vec![
            crate::network(&policy.relays),
            "a root of its own: /usr read-only, nothing of this machine's people".to_owned(),
            "no capabilities, no user namespaces, filtered system calls".to_owned(),
            format!("at most {} processes", policy.processes_max),
            format!("at most {} s", policy.lifetime.as_secs()),
        ],
        ..Terms::default()
    };
    work(bounded, &mut terms);
    memory(bounded, &mut terms);
    terms
}

fn work(bounded: &Bounded<'_>, terms: &mut Terms) {
    let (size, files) = (mib(bounded.policy.work_bytes_max), bounded.policy.work_inodes_max);
    match bounded.disk {
        None => terms.enforced.push(format!("changes of at most {size} and {files} files")),
        Some(disk) => terms.soft.push(format!(
            "disk: at most {size} a file, and no bound on all of them but that the sandbox ends when its disk has \
             less than {} left",
            mib(disk.free_bytes_min)
        )),
    }
}

fn memory(bounded: &Bounded<'_>, terms: &mut Terms) {
    let groups = match bounded.groups {
        Ok(groups) => groups,
        Err(reason) => {
            terms.soft.push(format!(
                "memory: at most {} a process; that all of them together keep to it is looked after twice a second, \
                 as far as they show what they hold ({reason})",
                mib(bounded.policy.memory_bytes_max)
            ));
            terms.soft.push(format!("processor time: commands come after the service ({reason})"));
            return;
        }
    };
    terms.enforced.push(format!("at most {} of memory in all", mib(bounded.bounds.memory_bytes_max)));
    if !groups.bound_swap() {
        terms.soft.push(
            "swap: this kernel counts it for no control group, so that memory may go on there".to_owned(),
        );
    }
    match (&groups.processors, bounded.bounds.processors_max) {
        (Ok(()), None) => terms.enforced.push("half the service's weight on the processors".to_owned()),
        (Ok(()), Some(most)) => terms.enforced.push(format!("at most {most} processors")),
        (Err(reason), _) => {
            terms.soft.push(format!("processor time: commands come after the service ({reason})"));
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
