//! What one sandbox may use of this machine, so that all that are open at once leave something to the machine.

use std::num::{NonZeroU32, NonZeroU64};

use anyhow::Result;
use sandbox::{Config, Policy};

use super::{running_max, seconds};
use crate::config::Settings;

/// This much of the machine's memory, in hundredths, is for sandboxes. The rest is the service's, its database's, git's.
const SHARE_PERCENT: u64 = 75;
/// With less, hardly a project's tests run, and a sandbox is of no use.
const MEMORY_BYTES_MIN: u64 = 512 << 20;
/// With less, hardly a project's dependencies find room.
const CHANGES_BYTES_MIN: u64 = 256 << 20;

/// How many sandboxes are open at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AtOnce {
    /// A command's own.
    #[default]
    One,
    /// As many as a service has sessions at work.
    AsSet,
}

/// What a sandbox of `config` may use.
///
/// # Errors
/// A number that is none.
pub(crate) fn policy(settings: &Settings, config: &Config, at_once: AtOnce) -> Result<Policy> {
    let default = default(machine_bytes(), sessions(settings, at_once)?, ways_to_fill(config));
    let mib = |name, bytes| -> Result<u64> {
        let set = settings.parsed::<NonZeroU64>(name)?;
        Ok(set.map_or(bytes, |mib| mib.get().saturating_mul(1 << 20)))
    };
    Ok(Policy {
        memory_bytes_max: mib("BACKSPACE_SANDBOX_MEMORY_MIB", default.memory_bytes_max)?,
        work_bytes_max: mib("BACKSPACE_SANDBOX_CHANGES_MIB", default.work_bytes_max)?,
        processes_max: settings
            .parsed::<NonZeroU64>("BACKSPACE_SANDBOX_PROCESSES")?
            .map_or(default.processes_max, NonZeroU64::get),
        processors_max: settings.parsed("BACKSPACE_SANDBOX_PROCESSORS")?.map(NonZeroU32::get),
        lifetime: seconds(settings, "SANDBOX_TIMEOUT", default.lifetime.as_secs())?,
        ..default
    })
}

/// What all sandboxes of a service may take of this machine's memory.
pub(crate) struct Sum {
    pub(crate) sandboxes: u64,
    /// By each of them: its processes, and files that are held in memory.
    pub(crate) each_bytes: u64,
    pub(crate) machine_bytes: u64,
}

impl Sum {
    /// Whether all of them find room.
    pub(crate) fn fits(&self) -> bool {
        self.sandboxes.saturating_mul(self.each_bytes) <= self.machine_bytes
    }
}

/// What sandboxes of `config` come to.
///
/// # Errors
/// As [`policy`].
pub(crate) fn sum(settings: &Settings, config: &Config) -> Result<Sum> {
    let policy = policy(settings, config, AtOnce::AsSet)?;
    let files = policy.work_bytes_max.saturating_mul(ways_to_fill(config));
    Ok(Sum {
        sandboxes: sessions(settings, AtOnce::AsSet)?,
        each_bytes: policy.memory_bytes_max.saturating_add(files),
        machine_bytes: machine_bytes(),
    })
}

fn sessions(settings: &Settings, at_once: AtOnce) -> Result<u64> {
    match at_once {
        AtOnce::One => Ok(1),
        AtOnce::AsSet => Ok(u64::try_from(running_max(settings)?).unwrap_or(u64::MAX)),
    }
}

/// A part of a machine with `machine_bytes` of memory when `sessions` share it: half for processes, half for files. At
/// most what [`Policy::default`] gives, at least what is of use.
fn default(machine_bytes: u64, sessions: u64, ways_to_fill: u64) -> Policy {
    let most = Policy::default();
    let half = machine_bytes / 100 * SHARE_PERCENT / sessions.max(1) / 2;
    Policy {
        memory_bytes_max: half.clamp(MEMORY_BYTES_MIN, most.memory_bytes_max),
        work_bytes_max: (half / ways_to_fill).clamp(CHANGES_BYTES_MIN, most.work_bytes_max),
        ..most
    }
}

/// How often what the work tree's changes may take can be taken: containers give as much to the temporary and the home
/// folder together.
fn ways_to_fill(config: &Config) -> u64 {
    match config {
        Config::Namespaces(_) | Config::Elsewhere(_) => 1,
        Config::Docker(_) => 2,
        Config::FirstOf(configs) => configs.iter().map(ways_to_fill).max().unwrap_or(1),
    }
}

/// The memory of this machine.
fn machine_bytes() -> u64 {
    let system = rustix::system::sysinfo();
    system.totalram.saturating_mul(system.mem_unit.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::empty;

    #[test]
    fn what_sessions_may_take_together_leaves_a_quarter_of_the_machine() {
        let mib = |machine_gib: u64, sessions, ways| {
            let policy = default(machine_gib << 30, sessions, ways);
            (policy.memory_bytes_max >> 20, policy.work_bytes_max >> 20)
        };
        assert_eq!(mib(24, 5, 1), (1843, 1843));
        assert_eq!(mib(24, 5, 2), (1843, 921));
        assert_eq!(mib(16, 1, 1), (4096, 4096), "no more than anybody needs");
        assert_eq!(mib(2, 5, 1), (512, 256), "no less than is of use");
    }

    #[test]
    fn settings_say_otherwise_and_the_sum_tells_when_there_is_no_room() {
        let with = |pairs: &[(&'static str, &str)]| {
            let mut settings = empty();
            pairs.iter().for_each(|(name, value)| settings.set(name, value, "a test"));
            settings
        };
        let config = Config::Namespaces(sandbox::namespaces::Config::default());
        let set = with(&[
            ("BACKSPACE_SANDBOX_MEMORY_MIB", "100"),
            ("BACKSPACE_SANDBOX_CHANGES_MIB", "50"),
            ("BACKSPACE_SANDBOX_PROCESSES", "30"),
            ("BACKSPACE_SANDBOX_PROCESSORS", "2"),
            ("MAX_CONCURRENT_JOBS", "3"),
        ]);
        let policy = policy(&set, &config, AtOnce::AsSet).unwrap();
        assert_eq!((policy.memory_bytes_max, policy.work_bytes_max), (100 << 20, 50 << 20));
        assert_eq!((policy.processes_max, policy.processors_max), (30, Some(2)));
        let sum = sum(&set, &config).unwrap();
        assert_eq!((sum.sandboxes, sum.each_bytes, sum.fits()), (3, 150 << 20, true));
        let too_much = with(&[("BACKSPACE_SANDBOX_MEMORY_MIB", "100000000")]);
        assert!(!super::sum(&too_much, &config).unwrap().fits());
        for name in ["BACKSPACE_SANDBOX_MEMORY_MIB", "BACKSPACE_SANDBOX_PROCESSORS"] {
            let error = super::policy(&with(&[(name, "0")]), &config, AtOnce::One).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{name} (from a test) is `0`")), "{error}");
        }
    }
}
