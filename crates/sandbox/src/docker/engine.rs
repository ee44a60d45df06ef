//! The connection to an engine, and what is to be known of it.

use std::ops::Range;

use bollard::Docker;
use bollard::models::{SystemInfo, SystemVersion};

use super::mend;
use crate::Error;

/// Seconds that an answer may take: to prepare an image on a swamped machine may take long.
const PATIENCE_S: u64 = 120;

/// The users of sandboxes in containers, one for each: above those of sandboxes of namespaces. A prepared image names them
/// all, so there are not as many.
const USERS: Range<u32> = 2_020_000..2_020_256;
/// Those of their processes 1.
const OWN_USERS: Range<u32> = 2_020_256..2_020_512;
/// An engine that maps users has some ten thousands of them inside, which are nobody else's outside.
const MAPPED_USERS: Range<u32> = 20_000..20_256;
const MAPPED_OWN_USERS: Range<u32> = 20_256..20_512;

/// An engine that answers.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) address: String,
    pub(super) client: Docker,
    pub(super) facts: Facts,
}

/// What an engine tells of itself.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Names and versions of the engine and its parts.
    pub(super) versions: Vec<String>,
    /// Podman: it speaks the same, with differences.
    pub(super) is_podman: bool,
    /// Users inside are not the machine's users of the same number.
    pub(super) maps_users: bool,
    /// It runs on the kernel of this machine.
    pub(super) shares_kernel: bool,
    /// Spoken with over a socket of this machine.
    pub(super) is_local: bool,
    /// The names of its runtimes.
    pub(super) runtimes: Vec<String>,
    pub(super) default_runtime: String,
    /// What it cannot hold a container to.
    pub(super) soft: Vec<&'static str>,
}

impl Facts {
    /// The users that sandboxes may have inside.
    pub(super) fn users(&self) -> Range<u32> {
        if self.maps_users { MAPPED_USERS } else { USERS }
    }

    /// The users that their processes 1 may have for themselves.
    pub(super) fn own_users(&self) -> Range<u32> {
        if self.maps_users { MAPPED_OWN_USERS } else { OWN_USERS }
    }
}

/// Connects to the engine at `address`.
///
/// # Errors
/// [`Error::Unavailable`] when none answers there, or one that is of no use.
pub(super) async fn connect(address: &str) -> Result<Engine, Error> {
    let version = bollard::API_DEFAULT_VERSION;
    let client = if address.starts_with("unix://") {
        Docker::connect_with_unix(address, PATIENCE_S, version)
    } else if address.starts_with("tcp://") {
        Docker::connect_with_http(address, PATIENCE_S, version)
    } else {
        return Err(mend::odd_address(address));
    };
    let no_answer = |error| mend::no_engine(address, &error);
    let client = client.map_err(no_answer)?.negotiate_version().await.map_err(no_answer)?;
    let (version, info) = tokio::try_join!(client.version(), client.info()).map_err(no_answer)?;
    let facts = facts(&version, &info, address.starts_with("unix://"));
    let (system, machine) = (version.os.unwrap_or_default(), version.arch.unwrap_or_default());
    if system != "linux" || machine != architecture() {
        return Err(mend::other_machine(&system, &machine));
    }
    Ok(Engine { address: address.to_owned(), client, facts })
}

/// This program's own, in the engines' words: the program inside is built for it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn facts(version: &SystemVersion, info: &SystemInfo, is_local: bool) -> Facts {
    let components = version.components.iter().flatten();
    let versions: Vec<String> = components.map(|part| format!("{} {}", part.name, part.version)).collect();
    let options: Vec<&str> = info.security_options.iter().flatten().map(String::as_str).collect();
    let has =
        |name: &str| options.iter().any(|option| option.split(',').any(|it| it == format!("name={name}")));
    let own = rustix::system::uname();
    let lacks = [
        (info.memory_limit, "memory: this engine has no limit on it"),
        (info.swap_limit, "swap: this engine has no limit on it, so that memory may go on there"),
        (info.pids_limit, "processes: this engine has no limit on all of them"),
    ];
    Facts {
        is_podman: versions.iter().any(|version| version.starts_with("Podman")),
        maps_users: has("userns") || has("rootless"),
        shares_kernel: info.kernel_version.as_deref() == own.release().to_str().ok(),
        is_local,
        runtimes: info.runtimes.iter().flatten().map(|(name, _)| name.clone()).collect(),
        default_runtime: info.default_runtime.clone().unwrap_or_default(),
        // Podman's compatible answers leave some of them out; it has them.
        soft: lacks.into_iter().filter(|(it, _)| *it == Some(false)).map(|(_, words)| words).collect(),
        versions,
    }
}
