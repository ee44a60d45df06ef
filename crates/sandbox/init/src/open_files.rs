//! How many files one process may have open, so that all those of a sandbox leave the kernel's table to others.

use std::fs;

/// Some tools close every possible descriptor, which a larger number makes slow.
const EACH_MAX: u64 = 16_384;
/// What systems usually give at first: programs count on it.
const EACH_MIN: u64 = 1024;
/// All processes of one sandbox together open at most this part of what the kernel opens for all of the machine.
const PART: u64 = 2;
/// How many that is. It belongs to no namespace and no control group: who uses it up, uses it up for everybody.
const TABLE: &str = "/proc/sys/fs/file-max";

/// For each of at most `processes_max` processes.
pub(crate) fn each(processes_max: u64) -> u64 {
    let table = fs::read_to_string(TABLE).ok().and_then(|text| text.trim().parse().ok());
    share(table.unwrap_or(u64::MAX), processes_max)
}

fn share(table: u64, processes_max: u64) -> u64 {
    (table / PART / processes_max.max(1)).clamp(EACH_MIN, EACH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_processes_together_leave_half_of_the_table() {
        assert_eq!(share(9_223_372_036_854_775_807, 512), 16_384);
        assert_eq!(share(2_466_186, 512), 2408);
        assert_eq!(share(100_000, 512), 1024);
        assert_eq!(share(100_000, 0), 16_384);
    }
}
