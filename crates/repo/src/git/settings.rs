//! The environment and the settings that every git command of ours runs with.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use events::Redactor;
use secrecy::ExposeSecret as _;
use tokio::process::Command;

use crate::Credential;

/// Where programs are looked for; git puts its own folder before it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin";

/// Settings that no repository's own can override. They travel by environment, as the credential does.
const FIXED: &[(&str, &str)] = &[
    // Nothing that a repository names is run.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("http.followRedirects", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    // A server that sends less than a kilobyte a second for a minute is not coming back.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    // What a fetch finds is told by what it returns; its advice is nobody's to follow.
    ("advice.fetchShowForcedUpdates", "false"),
    // Bytes and names stay what they are.
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.symlinks", "true"),
    ("core.fileMode", "true"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    // Nothing is cleaned up behind our back: what hidden refs and log entries name must stay.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // Hostile objects are refused at the door; slips of old tools, in every second old history, are not hostile.
    ("fetch.fsckObjects", "true"),
    ("fetch.fsck.badDate", "ignore"),
    ("fetch.fsck.badDateOverflow", "ignore"),
    ("fetch.fsck.badEmail", "ignore"),
    ("fetch.fsck.badName", "ignore"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.missingEmail", "ignore"),
    ("fetch.fsck.missingNameBeforeEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.missingSpaceBeforeEmail", "ignore"),
    ("fetch.fsck.zeroPaddedDate", "ignore"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
];

/// Settings of [`FIXED`] that matter to the half of git that runs in a repository on this machine, and some that
/// only it reads. git keeps our environment's settings from it, so that they must stand in its command.
const OTHER_HALF: &[&str] = &[
    // The owner of the repository may be another user; the settings below make that harmless.
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    // Else a command line in the repository's own settings; an empty one makes git say that it cannot be run.
    "core.alternateRefsCommand=true",
    "receive.autogc=false",
    // What is pushed was checked on our side. Theirs would repeat a line of whatever file `receive.fsck.skipList` names.
    "receive.fsckObjects=false",
    // These would be written through links in `info`.
    "receive.updateServerInfo=false",
    // It may name packs anywhere.
    "core.multiPackIndex=false",
    "core.attributesFile=/dev/null",
    // Objects go into one pack, not into 256 folders each of which may be a link; and no words of theirs into a log.
    "receive.unpackLimit=1",
    "core.logAllRefUpdates=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "receive.denyCurrentBranch=refuse",
];

/// The settings of every command, as pairs that may be added to.
pub(super) fn fixed() -> Vec<(String, String)> {
    FIXED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The environment of every command.
pub(super) fn environment(command: &mut Command, work_dir: &Path) {
    command
        .env("PATH", PATH)
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .env("GIT_CEILING_DIRECTORIES", work_dir.parent().unwrap_or(work_dir))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_LFS_SKIP_SMUDGE", "1");
}

/// The setting that carries the credential. Its key is constant: one made from a URL could name another setting.
pub(super) fn authorization(credential: &Credential) -> (String, String) {
    let pair = format!("{}:{}", credential.user, credential.password.expose_secret());
    ("http.extraHeader".to_owned(), format!("Authorization: Basic {}", STANDARD.encode(pair)))
}

/// Takes the credential out of text.
pub(super) fn redactor(credential: &Credential) -> Redactor {
    let password = credential.password.expose_secret();
    let pair = STANDARD.encode(format!("{}:{password}", credential.user));
    Redactor::new([password, &pair])
}

/// What that half finds in its environment: objects that are missing are not fetched from wherever the repository says, by
/// whatever program it says. The setting `protocol.allow` would not do: the repository's own `protocol.ext.allow` beats it.
/// git knows the first since 2.45 and in the mends of 2024 to older ones.
const OTHER_HALF_ENVIRONMENT: &str = "GIT_NO_LAZY_FETCH=1 GIT_ALLOW_PROTOCOL=none";

/// A command line that starts `name` (`upload-pack`, `receive-pack`) in a repository that may be hostile.
pub(super) fn other_half(program: &Path, name: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut line = format!("{OTHER_HALF_ENVIRONMENT} {}", quoted(&program.to_string_lossy()));
    for setting in OTHER_HALF {
        line.push_str(" -c ");
        line.push_str(&quoted(setting));
    }
    format!("{line} {name}")
}
