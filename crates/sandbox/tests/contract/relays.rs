//! What stands inside because the policy says so: sockets of the host behind loopback ports, environment variables, files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use sandbox::{Error, HomeFile, Relay};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::world::World;

const PORT: u16 = 3128;

/// A socket in a folder of the service's alone; every connection is answered by `answer`.
fn host<F: Future<Output = ()> + Send + 'static>(
    world: &World,
    answer: impl Fn(UnixStream) -> F + Send + 'static,
) -> PathBuf {
    let folder = world.base.path().join("private");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let socket = folder.join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer(connection));
        }
    });
    socket
}

/// Says how much it was sent, once that has ended.
async fn count(mut connection: UnixStream) {
    let mut sent = Vec::new();
    connection.read_to_end(&mut sent).await.unwrap();
    connection.write_all(format!("{} bytes", sent.len()).as_bytes()).await.unwrap();
}

/// Sends `bytes` to the port, closes its half, prints what comes back.
fn send(bytes: usize) -> String {
    format!(
        "python3 -c 'import socket; s = socket.create_connection((\"127.0.0.1\", {PORT})); s.sendall(b\"x\" * {bytes})
s.shutdown(1); print(s.makefile().read())'"
    )
}

#[tokio::test]
async fn a_socket_of_the_host_is_reached_through_a_port_inside() {
    let mut world = World::new();
    world.policy.relays = vec![Relay { socket: host(&world, count), port: PORT }];
    let Some(sandbox) = world.open().await else { return };
    for bytes in [0, 5, 3 << 20] {
        assert_eq!(sandbox.ok(&send(bytes)).await, format!("{bytes} bytes\n"));
    }
    let many = format!("for i in $(seq 20); do {} & done; wait", send(100_000));
    assert_eq!(sandbox.ok(&many).await, "100000 bytes\n".repeat(20));
    let terms = sandbox.close().await;
    assert_eq!(terms.enforced[0], "no network but what this service answers at 127.0.0.1:3128");
}

#[tokio::test]
async fn nothing_else_of_the_sockets_folder_stands_inside() {
    let mut world = World::new();
    let socket = host(&world, count);
    let folder = socket.parent().unwrap().to_owned();
    fs::write(folder.join("secret"), "canary").unwrap();
    world.policy.relays = vec![Relay { socket, port: PORT }];
    let Some(sandbox) = world.open().await else { return };
    assert_eq!(sandbox.ok("ls -A /run | grep -v backspace-init; ls -A /run/relays").await, "relays\n3128\n");
    sandbox.fails(&format!("ls {}", folder.display())).await;
    sandbox.fails("rm /run/relays/3128").await;
    sandbox.fails("mv /run/relays /run/other").await;
    assert!(sandbox.ok("cut -d: -f1 -s /proc/net/dev | tr -d ' '").await == "lo\n");
    sandbox.close().await;
}

#[tokio::test]
async fn two_relays_lead_to_two_sockets() {
    let mut world = World::new();
    let socket = host(&world, |mut connection| async move { connection.write_all(b"second").await.unwrap() });
    let first = socket.with_file_name("first");
    let listener = UnixListener::bind(&first).unwrap();
    fs::set_permissions(&first, Permissions::from_mode(0o666)).unwrap();
    tokio::spawn(async move { listener.accept().await.unwrap().0.write_all(b"first").await });
    world.policy.relays = vec![Relay { socket: first, port: 1025 }, Relay { socket, port: 65535 }];
    let Some(sandbox) = world.open().await else { return };
    for (port, said) in [(1025, "first"), (65535, "second")] {
        let ask = format!(
            "python3 -c 'import socket; print(socket.create_connection((\"127.0.0.1\", {port})).makefile().read())'"
        );
        assert_eq!(sandbox.ok(&ask).await, format!("{said}\n"));
    }
    sandbox.close().await;
}

#[tokio::test]
async fn a_crowd_at_a_port_holds_up_neither_commands_nor_the_sandbox() {
    let mut world = World::new();
    let socket = host(&world, |mut connection| async move {
        connection.read_to_end(&mut Vec::new()).await.unwrap();
    });
    world.policy.relays = vec![Relay { socket, port: PORT }];
    let Some(sandbox) = world.open().await else { return };
    let crowd = format!(
        "python3 -c 'import socket, time
crowd = [socket.create_connection((\"127.0.0.1\", {PORT})) for i in range(200)]
print(len(crowd), flush=True); time.sleep(1000)' > /tmp/said & until grep -q 200 /tmp/said; do sleep 0.01; done"
    );
    sandbox.ok(&crowd).await;
    assert_eq!(sandbox.ok("echo alive").await, "alive\n");
    sandbox.close().await;
}

#[tokio::test]
async fn a_socket_that_is_none_opens_no_sandbox() {
    let mut world = World::new();
    if world.open().await.is_none() {
        return;
    }
    for socket in [world.base.path().join("nothing"), world.files().join("README")] {
        world.policy.relays = vec![Relay { socket, port: PORT }];
        let error = sandbox::open(&world.config, &world.tree, &world.policy).await.err().unwrap();
        assert!(matches!(&error, Error::System { doing, .. } if doing.contains("socket")), "{error:?}");
    }
}

#[tokio::test]
async fn every_command_has_the_policys_environment() {
    let mut world = World::new();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    world.policy.environment =
        vec![pair("HTTPS_PROXY", "http://127.0.0.1:3128"), pair("TERM", "other = \"x\"")];
    let Some(sandbox) = world.open().await else { return };
    assert_eq!(
        sandbox.ok("echo $HTTPS_PROXY $TERM $HOME").await,
        "http://127.0.0.1:3128 other = \"x\" /home/agent\n"
    );
    assert_eq!(sandbox.ok("env | grep -c ^TERM=").await, "1\n");
    sandbox.close().await;
}

#[tokio::test]
async fn the_home_folder_holds_the_policys_files_from_the_start() {
    let mut world = World::new();
    let file =
        |path: &str, content: &str| HomeFile { path: path.to_owned(), content: content.as_bytes().to_vec() };
    world.policy.home =
        vec![file(".npmrc", "a=b\n"), file(".config/pip/pip.conf", "[global]\n"), file(".config/x", "")];
    let Some(sandbox) = world.open().await else { return };
    let found = sandbox
        .ok("cd; find . -type f | sort; cat .npmrc .config/pip/pip.conf; stat -c %U .config/pip .npmrc")
        .await;
    assert_eq!(found, "./.config/pip/pip.conf\n./.config/x\n./.npmrc\na=b\n[global]\nagent\nagent\n");
    sandbox.ok("rm -r ~/.config; echo >> ~/.npmrc").await;
    assert!(sandbox.changes().await.is_empty());
    sandbox.close().await;
}
