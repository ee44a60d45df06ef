//! Texts by which an installation is known to need the project's own code: it is shown all of it, and what it adds is of one
//! commit then.
//!
//! No wall stands on them: what is shown to a setup that other commits share is decided by names alone. A text that means
//! something else costs one installation; one that is missing lets an installation fail that is then made once more. They
//! are looked for without regard to case, and each line begins after a line break.

/// What a file of that name says does not matter: it is a program.
pub(super) const WHATEVER: &[&str] = &[""];

/// Scripts of the project's own that an installation runs, programs of it that it links, and dependencies that are copied
/// from the project. An escape could hide each.
pub(super) const NODE: &[&str] = &[
    "\"preinstall\"",
    "\"install\"",
    "\"postinstall\"",
    "\"prepublish\"",
    "\"preprepare\"",
    "\"prepare\"",
    "\"postprepare\"",
    // The script of that name, not the list.
    "\"dependencies\": \"",
    "\"dependencies\":\"",
    "\"pnpm:devPreinstall\"",
    "\"bin\"",
    "\"patchedDependencies\"",
    "\"injected\"",
    "\"file:",
    "\"link:",
    "\"portal:",
    "\"workspace:",
    "\"patch:",
    ".tgz\"",
    ".tar\"",
    ".tar.gz\"",
    "\\u",
];
/// Lock files of npm and pnpm name what comes from the project by these.
pub(super) const NODE_LOCK: &[&str] = &["file:", "link:", "portal:", "workspace:", "patch"];
/// yarn's has the words of `package.json`, in which a path may stand without a scheme.
pub(super) const YARN_LOCK: &[&str] = &[
    "file:",
    "link:",
    "portal:",
    "workspace:",
    "patch:",
    "@.",
    "@/",
    "@~/",
    ".tgz\"",
    ".tgz:",
    ".tar.gz\"",
    ".tar.gz:",
];
/// Programs and modules that are run around scripts.
pub(super) const NPMRC: &[&str] = &["node-options", "script-shell", "pnpmfile", "inject", "patch", "file:"];
pub(super) const YARNRC: &[&str] = &["path", "mirror", "script", "preload", "file:"];
pub(super) const PNPM_WORKSPACE: &[&str] =
    &["patch", "pnpmfile", "inject", "file:", "link:", "nodeOptions", "scriptShell"];

/// pip takes whatever has a slash in it, or ends as an archive, for a path; lines of options lead to other files; a file
/// may be in another encoding.
pub(super) const PIP: &[&str] = &[
    "\n-", "\n.", "\n\t", "\n ", "/", "file:", ".whl", ".zip", ".tar", ".tgz", ".tbz", ".txz", ".tlz", "$",
    "coding:", "coding=", "\u{feff}", "\0",
];
/// The project's own code is built in these cases; other packages lie at paths.
pub(super) const PYPROJECT: &[&str] = &[
    "build-system",
    "\npackage",
    " path",
    "{path",
    ",path",
    ".path",
    "\tpath",
    "\npath",
    "\"path\"",
    "'path'",
    "workspace",
    "file:",
    "find-links",
    "\\u",
];
pub(super) const UV: &[&str] = &["path", "find-links", "file:", "workspace"];
pub(super) const UV_LOCK: &[&str] = &["directory =", "path =", "file:"];

/// Programs of the project's own in the place of cargo's.
pub(super) const CARGO_CONFIG: &[&str] = &["rustc", "wrapper", "credential", "include"];
pub(super) const RUST_TOOLCHAIN: &[&str] = &["path"];

/// A registry that is a folder of the project's.
pub(super) const MAVEN: &[&str] = &["file:", "baseUri"];
pub(super) const JVM_OPTIONS: &[&str] = &["agent", "@", "path"];

/// It is a program in Ruby; these make it read more.
pub(super) const BUNDLER: &[&str] = &[
    "gemspec", "path", "eval", "load", "require", "read", "open", "system", "exec", "send", "plugin",
    "file.", "dir.", "dir[", "io.", "`", "%x", "file:",
];
pub(super) const BUNDLER_LOCK: &[&str] = &["\npath", "\nplugin"];

/// Scripts, packages at paths, and maps of the project's own classes.
pub(super) const COMPOSER: &[&str] =
    &["\"scripts\"", "\"classmap\"", "\"path\"", "\"artifact\"", "optimize", "authoritative", "file:", "\\u"];
pub(super) const COMPOSER_LOCK: &[&str] = &["\"path\"", "file:"];
