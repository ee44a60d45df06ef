//! The system call filters of a sandbox: one list of rules, told to the kernel and to container engines.

mod profile;
mod program;
mod rules;

pub(crate) use profile::profile;
pub(crate) use program::programs;

#[cfg(test)]
mod tests;
