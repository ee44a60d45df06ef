//! cargo's registries: the default one, what replaces it, and those with names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use toml::{Table, Value};

use super::ask::ask;
use super::location::Location;
use super::{Registries, World};

/// Nobody has published it: to find that out cargo asks the registry how it is to be used, and keeps the answer.
const NOBODYS_PACKAGE: &str = "backspace-asks-where-packages-come-from";
/// More named registries than this are not asked.
const NAMED_MAX: usize = 16;
/// What a tool inside sends in a token's place; the token itself is added outside.
const PLACEHOLDER: &str = "kept-outside-of-the-sandbox";

/// Lets cargo look a package up in each of its registries, with the operator's settings and an empty folder for what it
/// keeps. What it keeps names the registry's host and the one of the packages; no command of cargo's does.
pub(super) async fn registries(world: &World<'_>) -> Registries {
    let Some(home) = home(world) else { return Registries::default() };
    let (config, credentials) = (table(&home, "config"), table(&home, "credentials"));
    let named = named(&config, world);
    let kept = world.scratch.join("cargo");
    let mut registries = Registries::default();
    for name in std::iter::once(None).chain(named.keys().take(NAMED_MAX).map(Some)) {
        match look_up(world, &home, &kept, name).await {
            // cargo is not there.
            Ok(None) => return Registries::default(),
            Ok(Some(())) => {}
            Err(error) => {
                registries.problems.push(format!("cargo cannot be asked for its registries: {error}"))
            }
        }
    }
    let found = found(&kept.join("registry/index"));
    if found.is_empty() {
        registries
            .problems
            .push("cargo did not reach its registry, so that none of cargo's is known".to_owned());
    }
    for Index { host, packages } in &found {
        registries.take("cargo", &format!("https://{host}/"));
        packages.iter().for_each(|address| drop(registries.take("cargo", address)));
    }
    for (name, index) in &named {
        let Some(location) = registries.take("cargo", index) else { continue };
        if let Some(token) = token(name, &config, &credentials, world) {
            lend(&mut registries, &location, &token, &found);
            registries.told.environment.push((variable(name, "TOKEN"), PLACEHOLDER.to_owned()));
        }
    }
    if let Some(path) = config.get("http").and_then(|http| http.get("cainfo")).and_then(Value::as_str) {
        registries.trust("cargo", path);
    }
    let inside = inside(&config, &named, &mut registries);
    registries.file(".cargo/config.toml", inside);
    registries
}

fn home(world: &World<'_>) -> Option<PathBuf> {
    let own = world.variable("CARGO_HOME").map(PathBuf::from);
    own.or_else(|| world.variable("HOME").map(|home| Path::new(home).join(".cargo")))
}

/// The settings in `NAME.toml`, or in `NAME`, as cargo was once content with; empty when it is not there.
fn table(home: &Path, name: &str) -> Table {
    let files = [home.join(format!("{name}.toml")), home.join(name)];
    let text = files.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// The registries that have names, with the addresses of their indexes.
fn named(config: &Table, world: &World<'_>) -> BTreeMap<String, String> {
    let of_config = config.get("registries").and_then(Value::as_table).into_iter().flatten();
    let mut named: BTreeMap<String, String> = of_config
        .filter_map(|(name, registry)| Some((name.clone(), registry.get("index")?.as_str()?.to_owned())))
        .collect();
    for name in named.keys().cloned().collect::<Vec<_>>() {
        if let Some(index) = world.variable(&variable(&name, "INDEX")) {
            named.insert(name, index.to_owned());
        }
    }
    named
}

fn variable(registry: &str, what: &str) -> String {
    format!("CARGO_REGISTRIES_{}_{what}", registry.to_uppercase().replace('-', "_"))
}

/// The token for the registry called `name`.
fn token(name: &str, config: &Table, credentials: &Table, world: &World<'_>) -> Option<String> {
    let of = |table: &Table| Some(table.get("registries")?.get(name)?.get("token")?.as_str()?.to_owned());
    let own = world.variable(&variable(name, "TOKEN")).map(str::to_owned);
    own.or_else(|| of(credentials)).or_else(|| of(config))
}

/// Lets cargo ask the registry called `name`, or the default one. Nothing when there is no cargo.
async fn look_up(
    world: &World<'_>,
    home: &Path,
    kept: &Path,
    name: Option<&String>,
) -> io::Result<Option<()>> {
    let project = world.scratch.join("project");
    fs::create_dir_all(&project)?;
    fs::create_dir_all(kept)?;
    for file in ["config.toml", "config", "credentials.toml", "credentials"] {
        let (from, to) = (home.join(file), kept.join(file));
        if from.is_file() && fs::symlink_metadata(&to).is_err() {
            std::os::unix::fs::symlink(from, to)?;
        }
    }
    let registry =
        name.map(|name| format!(", registry = {}", Value::from(name.as_str()))).unwrap_or_default();
    let manifest = format!(
        "[package]\nname = \"x\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"x.rs\"\n[dependencies]\n\
         {NOBODYS_PACKAGE} = {{ version = \"*\"{registry} }}\n"
    );
    fs::write(project.join("Cargo.toml"), manifest)?;
    fs::write(project.join("x.rs"), "")?;
    let manifest = project.join("Cargo.toml").display().to_string();
    let kept = kept.display().to_string();
    let more = [("CARGO_HOME", kept.as_str()), ("CARGO_NET_OFFLINE", "false"), ("CARGO_NET_RETRY", "0")];
    Ok(ask(world, "cargo", &["fetch", "--manifest-path", &manifest], &more).await.map(|_| ()))
}

/// A registry as cargo knows it.
struct Index {
    host: String,
    /// Where its packages are kept.
    packages: Option<String>,
}

/// What cargo has kept of registries: a folder for each, called by the host of its index and a number.
fn found(indexes: &Path) -> Vec<Index> {
    let folders = fs::read_dir(indexes).into_iter().flatten().flatten();
    let index = |folder: fs::DirEntry| {
        let name = folder.file_name().into_string().ok()?;
        let (host, _) = name.rsplit_once('-')?;
        let config = fs::read_to_string(folder.path().join("config.json")).ok();
        let config = config.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        let packages = config.as_ref().and_then(|config| config.get("dl")?.as_str().map(str::to_owned));
        Some(Index { host: host.to_owned(), packages })
    };
    folders.filter_map(index).collect()
}

/// Lends `token` to the index at `location` and to where its packages are kept.
fn lend(registries: &mut Registries, location: &Location, token: &str, found: &[Index]) {
    let token = || SecretString::from(token.to_owned());
    registries.lent.extend(location.lend(location.folder(), token()));
    let own = found.iter().filter(|index| index.host == location.host.as_str());
    for address in own.filter_map(|index| index.packages.as_deref()) {
        // The address may go on with marks such as `{crate}`.
        let fixed = address.split('{').next().unwrap_or(address);
        let folder = if fixed.len() == address.len() {
            fixed
        } else {
            fixed.rsplit_once('/').map_or(fixed, |it| it.0)
        };
        if let Ok(packages) = Location::parse(folder) {
            registries.lent.extend(packages.lend(packages.folder(), token()));
        }
    }
}

/// The part of the settings that says which registries there are, without credentials.
fn inside(config: &Table, named: &BTreeMap<String, String>, registries: &mut Registries) -> String {
    let mut inside = Table::new();
    let mut sources = Table::new();
    for (name, source) in config.get("source").and_then(Value::as_table).into_iter().flatten() {
        let mut kept = Table::new();
        if let Some(other) = source.get("replace-with") {
            kept.insert("replace-with".to_owned(), other.clone());
        }
        match source.get("registry").and_then(Value::as_str) {
            Some(address) => {
                if let Some(location) = registries.take("cargo", address) {
                    registries.lent.extend(location.lent(location.folder()));
                    kept.insert("registry".to_owned(), location.plain.into());
                }
            }
            None if kept.is_empty() => {
                registries
                    .problems
                    .push(format!("cargo's source `{name}` is no registry; it is not there inside"));
            }
            None => {}
        }
        if !kept.is_empty() {
            sources.insert(name.clone(), kept.into());
        }
    }
    let indexes = named.iter().filter_map(|(name, index)| {
        let location = Location::parse(index).ok()?;
        Some((
            name.clone(),
            Value::from(Table::from_iter([("index".to_owned(), Value::from(location.plain))])),
        ))
    });
    let indexes: Table = indexes.collect();
    if let Some(default) = config.get("registry").and_then(|registry| registry.get("default")) {
        inside.insert(
            "registry".to_owned(),
            Table::from_iter([("default".to_owned(), default.clone())]).into(),
        );
    }
    for (name, table) in [("source", sources), ("registries", indexes)] {
        if !table.is_empty() {
            inside.insert(name.to_owned(), table.into());
        }
    }
    inside.to_string()
}

#[cfg(test)]
mod tests;
