//! pip's package indexes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ask::ask;
use super::{Registries, World};

/// The ways to call pip, in the order in which people have them.
const CALLS: &[(&str, &[&str])] = &[("pip", &[]), ("pip3", &[]), ("python3", &["-m", "pip"])];

/// Asks pip for its settings. It does not tell its default there; that stands in its own source, with the host that keeps
/// the files.
pub(super) async fn registries(world: &World<'_>) -> Registries {
    for (program, first) in CALLS {
        let call = |more: &[&'static str]| [*first, more].concat();
        let listed = ask(world, program, &call(&["config", "list"]), &[]).await;
        if let Some(listed) = listed.filter(|answer| answer.succeeded) {
            let settings = settings(&listed.output);
            let version = match index(&settings) {
                Some(_) => None,
                None => ask(world, program, &call(&["--version"]), &[]).await,
            };
            return understood(&settings, version.map(|answer| answer.output).as_deref());
        }
    }
    Registries::default()
}

fn understood(settings: &BTreeMap<String, String>, version: Option<&str>) -> Registries {
    let mut registries = Registries::default();
    let mut inside = String::new();
    let own = |registries: &mut Registries, address: &str| {
        let location = registries.take("pip", address)?;
        registries.lent.extend(location.lent(location.parent()));
        Some(location.plain)
    };
    if let Some(address) = index(settings) {
        if let Some(plain) = own(&mut registries, address) {
            let _ = writeln!(inside, "index-url = {plain}");
            // uv reads no settings of pip's.
            registries.told.environment.push(("UV_DEFAULT_INDEX".to_owned(), plain));
        }
    } else {
        match version.and_then(default_hosts) {
            Some(hosts) => hosts.iter().for_each(|host| drop(registries.take("pip", &format!("https://{host}/")))),
            None => registries.problems.push(
                "pip does not say where its packages come from: set its index-url, or name the hosts in BACKSPACE_EGRESS"
                    .to_owned(),
            ),
        }
    }
    let more = setting(settings, "extra-index-url").unwrap_or_default().split_whitespace();
    let more: Vec<String> = more.filter_map(|address| own(&mut registries, address)).collect();
    if !more.is_empty() {
        let _ = writeln!(inside, "extra-index-url = {}", more.join("\n    "));
        registries.told.environment.push(("UV_INDEX".to_owned(), more.join(" ")));
    }
    if let Some(path) = setting(settings, "cert") {
        registries.trust("pip", path);
    }
    if !inside.is_empty() {
        registries.file(".config/pip/pip.conf", format!("[global]\n{inside}"));
    }
    registries
}

fn index(settings: &BTreeMap<String, String>) -> Option<&str> {
    setting(settings, "index-url")
}

/// A setting as `pip install` finds it: the environment beats the command's own section, that the general one.
fn setting<'a>(settings: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let of = |section: &str| settings.get(&format!("{section}.{name}")).map(String::as_str);
    of(":env:").or_else(|| of("install")).or_else(|| of("global"))
}

/// `pip config list` prints `section.name='value'`, the value as Python writes a text.
fn settings(listed: &str) -> BTreeMap<String, String> {
    let pairs = listed.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), of_python(value.trim()))).collect()
}

/// The text of a Python literal.
fn of_python(literal: &str) -> String {
    let inner = |quote: char| literal.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let inner = inner('\'').or_else(|| inner('"')).unwrap_or(literal);
    inner.replace("\\n", "\n").replace("\\t", "\t").replace("\\'", "'").replace("\\\\", "\\")
}

/// The hosts that pip's own source names for `PyPI`: `pip --version` says where it lies.
fn default_hosts(version: &str) -> Option<[String; 2]> {
    let folder = version.split(" from ").nth(1)?.rsplit_once(" (python")?.0;
    let source = std::fs::read_to_string(format!("{folder}/_internal/models/index.py")).ok()?;
    hosts_in(&source)
}

fn hosts_in(source: &str) -> Option<[String; 2]> {
    let (_, arguments) = source.split_once("\nPyPI = PackageIndex(")?;
    let (arguments, _) = arguments.split_once(')')?;
    let mut texts = arguments.split('"').skip(1).step_by(2);
    let index = url::Url::parse(texts.next()?).ok()?;
    Some([index.host_str()?.to_owned(), texts.next()?.to_owned()])
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn indexes_are_those_that_install_would_ask() {
        let listed = ":env:.timeout='180'\nglobal.index-url='https://global.example/simple'\n\
            install.index-url='https://me:canary@pip.example/repo/simple/'\n\
            global.extra-index-url='\\nhttps://one.example/simple\\nhttps://two.example/root/+simple/'\n";
        let registries = understood(&settings(listed), None);
        let hosts: Vec<&str> = registries.hosts.iter().map(|host| host.as_str()).collect();
        assert_eq!(hosts, ["one.example", "pip.example", "two.example"]);
        let [lent] = &registries.lent[..] else { panic!() };
        assert_eq!(format!("{lent:?}"), "Lent(pip.example/repo/)");
        assert!(lent.authorization.expose_secret().starts_with("Basic "));
        let [file] = &registries.told.home[..] else { panic!() };
        let inside = "[global]\nindex-url = https://pip.example/repo/simple/\n\
            extra-index-url = https://one.example/simple\n    https://two.example/root/+simple/\n";
        assert_eq!(
            (file.path.as_str(), String::from_utf8_lossy(&file.content).as_ref()),
            (".config/pip/pip.conf", inside)
        );
        assert_eq!(registries.told.environment[0].1, "https://pip.example/repo/simple/");
        assert_eq!(registries.problems, [""; 0]);
        let environment = format!("{listed}:env:.index-url='https://env.example/simple'\n");
        assert_eq!(index(&settings(&environment)), Some("https://env.example/simple"));
    }

    #[test]
    fn the_default_is_what_pip_itself_says() {
        let source = "import x\n\n\nPyPI = PackageIndex(\n    \"https://pip.example/\", file_storage_domain=\"files.example\"\n)\n\
            TestPyPI = PackageIndex(\"https://test.example/\", file_storage_domain=\"x\")\n";
        assert_eq!(hosts_in(source), Some(["pip.example".to_owned(), "files.example".to_owned()]));
        assert_eq!(hosts_in("PyPI = 1"), None);
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("_internal/models")).unwrap();
        std::fs::write(folder.path().join("_internal/models/index.py"), source).unwrap();
        let version = format!("pip 25.0 from {} (python 3.13)\n", folder.path().display());
        let registries = understood(&BTreeMap::new(), Some(&version));
        let hosts: Vec<&str> = registries.hosts.iter().map(|host| host.as_str()).collect();
        assert_eq!(hosts, ["files.example", "pip.example"]);
        assert_eq!(registries.told.home, []);
        let silent = understood(&BTreeMap::new(), Some("pip 99"));
        assert!(silent.hosts.is_empty() && silent.problems[0].contains("BACKSPACE_EGRESS"), "{silent:?}");
    }
}
