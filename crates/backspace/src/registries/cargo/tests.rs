use std::os::unix::fs::PermissionsExt as _;

use secrecy::ExposeSecret as _;

use super::*;

/// Keeps what cargo would: the default registry's folder, or the one of the registry that the manifest names.
const CARGO: &str = r#"#!/bin/sh
set -e
grep -q 'backspace-asks' "$3"
[ "$CARGO_NET_OFFLINE" = false ]
grep -q canary "$CARGO_HOME/credentials.toml"
if grep -q 'registry = "corp"' "$3"; then
  mkdir -p "$CARGO_HOME/registry/index/corp.example-0123456789abcdef"
  echo '{"dl": "https://corp.example/api/v1/crates/{crate}/{version}/download", "auth-required": true}' \
    > "$CARGO_HOME/registry/index/corp.example-0123456789abcdef/config.json"
else
  mkdir -p "$CARGO_HOME/registry/index/mirror.example-fedcba9876543210"
  echo '{"dl": "https://files.example:443/crates"}' > "$CARGO_HOME/registry/index/mirror.example-fedcba9876543210/config.json"
fi
exit 101
"#;

const CONFIG: &str = r#"
[source.crates-io]
replace-with = "mirror"
[source.mirror]
registry = "sparse+https://me:canary-in-url@mirror.example/index/"
[source.vendored]
directory = "/opt/vendored"
[registries.corp]
index = "sparse+https://corp.example/index/"
token = "canary-in-config"
[registry]
default = "corp"
token = "canary-for-publishing"
[net]
offline = true
"#;

#[tokio::test]
async fn cargo_is_asked_and_what_it_says_stands_inside_without_tokens() {
    let world = tempfile::tempdir().unwrap();
    let (bin, home, scratch) =
        (world.path().join("bin"), world.path().join("home"), world.path().join("scratch"));
    for folder in [&bin, &home, &scratch] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(bin.join("cargo"), CARGO).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join("config.toml"), CONFIG).unwrap();
    fs::write(home.join("credentials.toml"), "[registries.corp]\ntoken = \"canary-in-credentials\"\n")
        .unwrap();
    let environment = BTreeMap::from([
        ("PATH".to_owned(), format!("relative:{}:/usr/bin:/bin", bin.display())),
        ("CARGO_HOME".to_owned(), home.display().to_string()),
    ]);
    let world = World { environment: &environment, scratch: &scratch };
    let registries = registries(&world).await;
    let hosts: Vec<&str> = registries.hosts.iter().map(|host| host.as_str()).collect();
    assert_eq!(hosts, ["corp.example", "files.example", "mirror.example"]);
    let lent: Vec<String> = registries
        .lent
        .iter()
        .map(|lent| format!("{lent:?} {}", lent.authorization.expose_secret()))
        .collect();
    assert_eq!(
        lent,
        [
            "Lent(corp.example/index/) canary-in-credentials",
            "Lent(corp.example/api/v1/crates/) canary-in-credentials",
            "Lent(mirror.example/index/) Basic bWU6Y2FuYXJ5LWluLXVybA=="
        ]
    );
    let [file] = &registries.told.home[..] else { panic!() };
    let text = String::from_utf8_lossy(&file.content);
    assert!(!text.contains("canary"), "{text}");
    let inside: Table = text.parse().unwrap();
    let expected: Table = "[registry]\ndefault = \"corp\"\n[source.crates-io]\nreplace-with = \"mirror\"\n\
        [source.mirror]\nregistry = \"sparse+https://mirror.example/index/\"\n[registries.corp]\nindex = \"sparse+https://corp.example/index/\"\n"
        .parse()
        .unwrap();
    assert_eq!(inside, expected);
    assert_eq!(
        registries.told.environment,
        [("CARGO_REGISTRIES_CORP_TOKEN".to_owned(), PLACEHOLDER.to_owned())]
    );
    assert_eq!(registries.problems, ["cargo's source `vendored` is no registry; it is not there inside"]);
}

#[tokio::test]
async fn without_cargo_there_is_nothing_and_no_complaint() {
    let scratch = tempfile::tempdir().unwrap();
    let environment = BTreeMap::from([
        ("HOME".to_owned(), "/nowhere".to_owned()),
        ("PATH".to_owned(), "/nowhere".to_owned()),
    ]);
    let registries = registries(&World { environment: &environment, scratch: scratch.path() }).await;
    assert!(registries.hosts.is_empty() && registries.problems.is_empty(), "{registries:?}");
}
