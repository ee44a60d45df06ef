//! What holds in a container, in words.

use super::container::{self, Work, is_gvisor};
use super::engine::Facts;
use super::{Config, WorkTree};
use crate::{Policy, Terms};

/// What is enforced and what is not.
pub(super) fn terms(config: &Config, policy: &Policy, facts: &Facts, work_tree: &WorkTree) -> Terms {
    let runtime = config.runtime.as_deref().unwrap_or(&facts.default_runtime);
    let kernel =
        if is_gvisor(config.runtime.as_deref(), facts) { ", a kernel of its own (gVisor)" } else { "" };
    let size = policy.work_bytes_max >> 20;
    let files = policy.work_inodes_max;
    let mut terms = Terms {
        backend: "docker",
        enforced: vec![
            crate::network(&policy.relays),
            format!("a container of {} by {runtime}{kernel}, its root read-only", config.image),
            "no capabilities, no new privileges, filtered system calls".to_owned(),
            format!("at most {} s", policy.lifetime.as_secs()),
        ],
        soft: facts.soft.iter().map(|&words| words.to_owned()).collect(),
        passed_over: Vec::new(),
    };
    let bounds = [
        ("processes", format!("at most {} processes", policy.processes_max)),
        ("memory", memory(policy, work_tree)),
    ];
    let holds = |what: &str| facts.soft.iter().all(|words| !words.starts_with(what));
    terms.enforced.extend(bounds.into_iter().filter(|(what, _)| holds(what)).map(|(_, words)| words));
    terms.enforced.push(match policy.processors_max {
        Some(most) => format!("at most {most} processors"),
        None => "half the service's weight on the processors".to_owned(),
    });
    match work_tree {
        WorkTree::Overlay(_) => {
            terms.soft.push(format!(
                "disk: {size} MiB and {files} files are looked at every second, not held by the kernel; the sandbox ends \
                 as well when little is left of its disk"
            ));
            terms.soft.push(
                "user: commands have that of the checkout, which is this service's own user; a container of a root service, or with \
                 BACKSPACE_CHANGES=memory, has one of its own"
                    .to_owned(),
            );
        }
        WorkTree::Sent if facts.is_podman || is_gvisor(config.runtime.as_deref(), facts) => {
            terms.enforced.push(format!("changes of at most {size} MiB"));
            terms.soft.push("files: no bound on their number".to_owned());
        }
        WorkTree::Sent => terms.enforced.push(format!("changes of at most {size} MiB and {files} files")),
    }
    if config.engine.starts_with("tcp://") {
        terms.soft.push("the engine is spoken with in the clear, by whoever reaches its port".to_owned());
    }
    terms
}

/// What is written into memory counts with what processes take: so an engine counts it, and so a command may use it.
fn memory(policy: &Policy, work_tree: &WorkTree) -> String {
    let mib = |work: &Work| container::memory(work, policy) >> 20;
    match work_tree {
        WorkTree::Overlay(_) => {
            format!("at most {} MiB of memory, with files in it", mib(&Work::Volumes(Default::default())))
        }
        WorkTree::Sent => format!(
            "at most {} MiB of memory, with files in it, beside the tree that was sent",
            mib(&Work::Memory(Default::default()))
        ),
    }
}
