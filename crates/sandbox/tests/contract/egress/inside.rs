//! The way out as programs in a sandbox see it: found by the environment, and the only one.

use sandbox::egress::{self, Egress};

use super::lending::{HOST, Registry, SECRET, lent};
use super::world::World as Outside;
use crate::world::{Open, World};

/// Fetches by `https` as programs do, and prints the body.
fn fetch(path: &str) -> String {
    format!(
        "python3 -c 'import urllib.request; print(urllib.request.urlopen(\"https://{HOST}{path}\").read().decode())' 2>&1"
    )
}

/// A sandbox whose way out leads to `registry`.
async fn open(world: &mut World, outside: &mut Outside, registry: &Registry) -> Option<(Open, Egress)> {
    outside.serve(HOST, registry.answers(9)).await;
    outside.config.trust = [registry.authority.clone()].into_iter().collect();
    outside.config.route = outside.route();
    let egress = egress::open(&outside.config).unwrap();
    world.policy = egress.granted_to(&world.policy);
    Some((world.open().await?, egress))
}

#[tokio::test]
async fn programs_inside_find_it_and_trust_what_this_machine_trusts() {
    let (mut world, mut outside, registry) = (World::new(), Outside::new(&[HOST]), Registry::new());
    let Some((sandbox, egress)) = open(&mut world, &mut outside, &registry).await else { return };
    assert_eq!(sandbox.ok(&fetch("/x")).await, "you asked for /x\n");
    let refused = sandbox.fails(&fetch("/x").replace(HOST, "other.example")).await;
    assert!(refused.contains("Tunnel connection failed: 403 Forbidden"), "{refused}");
    assert!(sandbox.fails(&fetch("/x").replace("https:", "http:")).await.contains("405"));
    // Whoever does not listen to the environment reaches nothing.
    let direct = format!("env -u HTTPS_PROXY -u https_proxy -u ALL_PROXY -u all_proxy {}", fetch("/x"));
    assert!(sandbox.fails(&direct).await.contains("rror"));
    sandbox.close().await;
    drop(egress);
}

#[tokio::test]
async fn what_is_lent_is_used_inside_and_found_nowhere_there() {
    let (mut world, mut outside, registry) = (World::new(), Outside::new(&[HOST]), Registry::new());
    outside.config.lent = vec![lent("/npm/")];
    let Some((sandbox, egress)) = open(&mut world, &mut outside, &registry).await else { return };
    assert_eq!(sandbox.ok(&fetch("/npm/x")).await, "you asked for /npm/x\n");
    assert!(registry.asked.lock().unwrap()[0].contains(SECRET));
    assert!(sandbox.fails(&fetch("/admin")).await.contains("403"));
    let everywhere = "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; find ~ /tmp /work /etc /run -type f -exec cat {} + 2>/dev/null; true";
    assert!(!sandbox.ok(everywhere).await.contains("canary-0123456789"));
    sandbox.close().await;
    drop(egress);
}

#[tokio::test]
async fn a_connection_from_inside_is_cut_when_nothing_is_allowed_any_more() {
    let (mut world, mut outside, registry) = (World::new(), Outside::new(&[HOST]), Registry::new());
    let Some((sandbox, egress)) = open(&mut world, &mut outside, &registry).await else { return };
    let wait = format!(
        "(python3 -c 'import http.client, os
c = http.client.HTTPSConnection(\"127.0.0.1\", 3128)
c.set_tunnel(\"{HOST}\", 443)
c.request(\"GET\", \"/x\"); c.getresponse().read()
open(\"/tmp/open\", \"w\").close()
print(c.sock.recv(1))' > /tmp/said 2>&1) &
until [ -e /tmp/open ]; do sleep 0.01; done"
    );
    sandbox.ok(&wait).await;
    egress.allow_none();
    // It would wait for as long as the connection stands.
    sandbox.ok("wait; until [ -s /tmp/said ]; do sleep 0.01; done").await;
    assert!(sandbox.fails(&fetch("/x")).await.contains("403"));
    sandbox.close().await;
}
