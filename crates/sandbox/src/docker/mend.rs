//! Why a container cannot be opened, and what mends it.

use bollard::errors::Error as EngineError;

use crate::Error;

/// The address is of no kind that we know.
pub(super) fn odd_address(address: &str) -> Error {
    unavailable(
        &format!("`{address}` is no address of a container engine that can be used here"),
        "Set DOCKER_HOST to unix://PATH or tcp://HOST:PORT. Reach an engine on another machine through a forwarded \
         socket: `ssh -N -L /tmp/engine.sock:/var/run/docker.sock HOST` and DOCKER_HOST=unix:///tmp/engine.sock",
    )
}

/// Nothing answers at `address`.
pub(super) fn no_engine(address: &str, error: &EngineError) -> Error {
    let why = chain(error);
    let mend = if why.contains("ermission denied") {
        "Let this user speak with the engine: `usermod -aG docker USER` and log in again (whoever may do that is as \
         good as root), or use a rootless engine"
    } else {
        "Start the engine (`systemctl start docker`), install one (`apt-get install docker.io`), or say where it listens \
         by DOCKER_HOST"
    };
    unavailable(&format!("no container engine answers at {address} ({why})"), mend)
}

/// It runs another system, or on another kind of processor.
pub(super) fn other_machine(system: &str, machine: &str) -> Error {
    let own = super::engine::architecture();
    unavailable(
        &format!(
            "the container engine runs {system} on {machine}; the program for the inside is built for linux on {own}"
        ),
        "Name another engine by DOCKER_HOST, or use the backspace that is built for it",
    )
}

/// The image is not there.
pub(super) fn no_image(image: &str) -> Error {
    unavailable(
        &format!("the container engine has no image `{image}`, and none is ever pulled"),
        "Build the default one: `docker build -t backspace-sandbox deploy/sandbox`; or name one that is there by \
         BACKSPACE_IMAGE",
    )
}

/// The image is for another machine.
pub(super) fn other_image(image: &str, system: &str, machine: &str) -> Error {
    let own = super::engine::architecture();
    unavailable(
        &format!("the image `{image}` is for {system} on {machine}, this program for linux on {own}"),
        "Build or pull the image for this machine, or name another one by BACKSPACE_IMAGE",
    )
}

/// The runtime is not there.
pub(super) fn no_runtime(runtime: &str, there: &[String]) -> Error {
    unavailable(
        &format!("the container engine has no runtime `{runtime}`; it has {}", there.join(", ")),
        "Add it to the engine's daemon.json (see docs/sandboxes.md), or leave BACKSPACE_DOCKER_RUNTIME out",
    )
}

/// The changes shall live in a folder, and cannot.
pub(super) fn no_overlay(reason: &str) -> Error {
    unavailable(
        &format!("the engine cannot lay an overlay over the base tree: {reason}"),
        "Set BACKSPACE_CHANGES to `auto` or `memory`, or start backspace as an ordinary user beside an engine of this \
         machine",
    )
}

/// The container did not start, or its process 1 did not speak.
pub(super) fn not_started(reason: &str) -> Error {
    let mend = if reason.contains(backspace_init::protocol::RELAYS) {
        "gVisor's runtime lets nobody connect to a socket of the machine unless the engine's daemon.json says so: \
         `runtimeArgs: [\"--host-uds=open\"]`; see docs/sandboxes.md"
    } else if reason.contains("network enabled in root network namespace") {
        "gVisor's runtime needs `runtimeArgs: [\"--network=none\"]` in the engine's daemon.json when the engine runs \
         without a network of its own; see docs/sandboxes.md"
    } else {
        "Try `docker run --rm --network none IMAGE true` with the same image; see docs/sandboxes.md"
    };
    unavailable(&format!("the container did not start: {reason}"), mend)
}

/// Process 1 could not give up root for users of its own and of the commands.
pub(super) fn not_parted(errno: i32) -> Error {
    unavailable(
        &format!(
            "process 1 of the container cannot part from the user of its commands: {}",
            std::io::Error::from_raw_os_error(errno)
        ),
        "Containers must start as root with the capabilities SETUID, SETGID and SETPCAP, which process 1 gives up before \
         anything runs. Have the engine grant them to containers of this service, and map 65,536 users where it maps users",
    )
}

/// The engine refused something that should work.
pub(super) fn failed(doing: &'static str) -> impl Fn(EngineError) -> Error {
    move |error| Error::System { doing: doing.to_owned(), source: std::io::Error::other(error) }
}

/// What the engine says, or why it says nothing.
pub(super) fn chain(error: &EngineError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    words.trim().to_owned()
}

fn unavailable(reason: &str, mend: &str) -> Error {
    Error::Unavailable { reason: reason.to_owned(), mend: mend.to_owned() }
}
