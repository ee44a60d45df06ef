//! Which process a container or volume belongs to, written on it as labels, and whether that process is gone.

use std::collections::HashMap;
use std::fs;

/// Everything of ours has this label; its value is the machine.
pub(super) const MACHINE: &str = "backspace.machine";
const BOOT: &str = "backspace.boot";
const SPACE: &str = "backspace.process-space";
const PROCESS: &str = "backspace.process";
const STARTED: &str = "backspace.process-started";

/// A process, told from all others of all machines and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    machine: String,
    /// Another after each start of the machine.
    boot: String,
    /// Process numbers mean something in it alone.
    space: String,
    process: String,
    /// In the kernel's ticks; a number is used again.
    started: String,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let named = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let process = std::process::id().to_string();
        Self {
            machine: named(read("/etc/machine-id"), &host),
            boot: read("/proc/sys/kernel/random/boot_id"),
            space: space.to_string_lossy().into_owned(),
            started: started(&process).unwrap_or_default(),
            process,
        }
    }

    /// As labels.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        let Self { machine, boot, space, process, started } = self.clone();
        let pairs =
            [(MACHINE, machine), (BOOT, boot), (SPACE, space), (PROCESS, process), (STARTED, started)];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Whether the process that `labels` tell of is gone, as far as `self` can know; who knows nothing says no.
    pub(super) fn knows_gone(&self, labels: &HashMap<String, String>) -> bool {
        let of = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
        if of(MACHINE) != self.machine || of(BOOT).is_empty() {
            return false;
        }
        if of(BOOT) != self.boot {
            return true;
        }
        // Processes of another container of this machine are not to be seen from here.
        of(SPACE) == self.space && started(of(PROCESS)).is_none_or(|started| started != of(STARTED))
    }
}

/// When a living process was started.
fn started(process: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it is in parentheses and may hold any character.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_gone_is_gone() {
        let this = Owner::this();
        let with = |name: &str, value: &str| {
            let mut labels = this.labels();
            labels.insert(name.to_owned(), value.to_owned());
            labels
        };
        assert!(!this.knows_gone(&this.labels()));
        assert!(this.knows_gone(&with(STARTED, "1")), "the number is another process's by now");
        assert!(this.knows_gone(&with(PROCESS, "999999999")));
        assert!(this.knows_gone(&with(BOOT, "before")));
        for stranger in [with(MACHINE, "other"), with(BOOT, ""), HashMap::new()] {
            assert!(!this.knows_gone(&stranger), "{stranger:?}");
        }
        let mut elsewhere = with(PROCESS, "999999999");
        elsewhere.insert(SPACE.to_owned(), "pid:[1]".to_owned());
        assert!(!this.knows_gone(&elsewhere));
    }
}
