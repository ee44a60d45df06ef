//! What of `/proc` no sandbox is shown.

/// What of `/proc` tells of this machine and not of the sandbox, and of what no program has need. The command line of
/// the kernel may hold anything.
pub(crate) const FILES_OF_PROC: &[&str] = &[
    "cmdline",
    "config.gz",
    "iomem",
    "ioports",
    "kallsyms",
    "key-users",
    "keys",
    "modules",
    "version_signature",
];
