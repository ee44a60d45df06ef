//! npm's registries: the default one, and those of scopes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;

use super::ask::ask;
use super::location::{Location, basic};
use super::{Registries, World};

/// Asks npm for its settings, which hold its own default as well. It does not tell its credentials, so they are read from
/// the files that it names.
pub(super) async fn registries(world: &World<'_>) -> Registries {
    let Some(answer) = ask(world, "npm", &["config", "list", "--json"], &[]).await else {
        return Registries::default();
    };
    let Ok(Value::Object(settings)) = serde_json::from_str(&answer.output) else {
        let problems = vec!["npm does not say which registry it is configured for".to_owned()];
        return Registries { problems, ..Registries::default() };
    };
    let mut keys = BTreeMap::new();
    let mut problems = Vec::new();
    for file in ["globalconfig", "userconfig"] {
        let path = settings.get(file).and_then(Value::as_str).unwrap_or_default();
        // A file that is not there has no credentials.
        let own = of_hosts(&std::fs::read_to_string(path).unwrap_or_default(), world);
        problems.extend(seen_inside(path, &own));
        keys.extend(own);
    }
    let mut registries = understood(&settings, &keys);
    registries.problems.extend(problems);
    registries
}

/// All of `/usr` stands inside.
fn seen_inside(path: &str, keys: &BTreeMap<String, String>) -> Option<String> {
    let below = path.starts_with("/usr/") && !path.starts_with("/usr/local/") && !keys.is_empty();
    below.then(|| format!("{path} holds credentials, and sandboxes see all of /usr: move them to ~/.npmrc"))
}

fn understood(settings: &serde_json::Map<String, Value>, keys: &BTreeMap<String, String>) -> Registries {
    let mut registries = Registries::default();
    let mut inside = String::new();
    for (key, value) in settings {
        let is_registry = key == "registry" || (key.starts_with('@') && key.ends_with(":registry"));
        if let Some(address) = value.as_str().filter(|_| is_registry)
            && let Some(location) = registries.take("npm", address)
        {
            let _ = writeln!(inside, "{key}={}", location.plain);
            registries.lent.extend(location.lent(location.folder()));
        }
    }
    if let Some(path) = settings.get("cafile").and_then(Value::as_str) {
        registries.trust("npm", path);
    }
    lend(&mut registries, keys);
    registries.file(".npmrc", inside);
    registries
}

/// Lends what is kept for hosts that packages come from.
fn lend(registries: &mut Registries, keys: &BTreeMap<String, String>) {
    let mut folders: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (key, value) in keys {
        if let Some((folder, name)) = key.rsplit_once(':') {
            folders.entry(folder).or_default().insert(name, value);
        }
    }
    for (folder, names) in folders {
        let Ok(location) = Location::parse(&format!("https:{folder}")) else { continue };
        let named = registries.hosts.contains(&location.host);
        if let Some(authorization) = authorization(&names).filter(|_| named) {
            registries.lent.extend(location.lend(location.folder(), authorization));
        }
    }
}

/// As npm makes it: a token, a pair that is encoded already, or a name and an encoded password.
fn authorization(names: &BTreeMap<&str, &str>) -> Option<SecretString> {
    if let Some(token) = names.get("_authToken") {
        return Some(SecretString::from(format!("Bearer {token}")));
    }
    if let Some(pair) = names.get("_auth") {
        return Some(SecretString::from(format!("Basic {pair}")));
    }
    let password = STANDARD.decode(names.get("_password")?).ok()?;
    Some(basic(names.get("username")?, &String::from_utf8(password).ok()?))
}

/// The settings of an `.npmrc` that are kept for a host: their names begin with `//`.
fn of_hosts(text: &str, world: &World<'_>) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("//"));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (expanded(key.trim(), world), expanded(unquoted(value.trim()), world))).collect()
}

fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// `text` with each `${NAME}` replaced; `${NAME?}` is empty when it is not set.
fn expanded(text: &str, world: &World<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        out.push_str(before);
        match (world.variable(name.trim_end_matches('?')), name.ends_with('?')) {
            (Some(value), _) => out.push_str(value),
            (None, true) => {}
            (None, false) => out.push_str(&format!("${{{name}}}")),
        }
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn registries_of_scopes_and_their_credentials_are_known() {
        let settings = json!({
            "registry": "https://registry.example/npm/",
            "@corp:registry": "https://npm.corp.example",
            "@old:registry": "http://old.example/",
            "proxy": "http://proxy.example:3128/",
            "metrics-registry": "https://metrics.example/",
        });
        let environment = BTreeMap::from([("CORP_TOKEN".to_owned(), "canary".to_owned())]);
        let world = World { environment: &environment, scratch: Path::new("/") };
        let npmrc = "; mine\n//npm.corp.example/:_authToken=${CORP_TOKEN}\n//registry.example/npm/:_auth = \"bWU6eA==\"\n\
            //other.example/:_authToken=unused\n//registry.example/b/:username=me\n//registry.example/b/:_password=c2VjcmV0\n\
            _authToken=nobody's\nregistry=https://ignored.example/\n";
        let keys = of_hosts(npmrc, &world);
        let registries = understood(settings.as_object().unwrap(), &keys);
        let hosts: Vec<&str> = registries.hosts.iter().map(|host| host.as_str()).collect();
        assert_eq!(hosts, ["npm.corp.example", "registry.example"]);
        let lent: Vec<String> = registries
            .lent
            .iter()
            .map(|lent| format!("{lent:?} {}", lent.authorization.expose_secret()))
            .collect();
        assert_eq!(
            lent,
            [
                "Lent(npm.corp.example/) Bearer canary",
                "Lent(registry.example/b/) Basic bWU6c2VjcmV0",
                "Lent(registry.example/npm/) Basic bWU6eA=="
            ]
        );
        let [file] = &registries.told.home[..] else { panic!() };
        assert_eq!(file.path, ".npmrc");
        let inside = "@corp:registry=https://npm.corp.example/\nregistry=https://registry.example/npm/\n";
        assert_eq!(String::from_utf8_lossy(&file.content), inside);
        assert_eq!(
            registries.problems,
            ["npm's registry http://old.example/: sandboxes reach https:// at port 443 only"]
        );
    }

    #[test]
    fn a_credential_that_sandboxes_see_is_told() {
        let keys = BTreeMap::from([("//a.example/:_authToken".to_owned(), "canary".to_owned())]);
        let told = seen_inside("/usr/etc/npmrc", &keys).unwrap();
        assert!(told.contains("/usr/etc/npmrc") && !told.contains("canary"), "{told}");
        assert_eq!(seen_inside("/usr/etc/npmrc", &BTreeMap::new()), None);
        assert_eq!(seen_inside("/home/me/.npmrc", &keys), None);
    }

    #[test]
    fn variables_are_put_in_as_npm_does() {
        let environment = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let world = World { environment: &environment, scratch: Path::new("/") };
        for (text, said) in
            [("${A}", "1"), ("x${A}y${B}z", "x1y${B}z"), ("${B?}${A?}", "1"), ("${A", "${A"), ("", "")]
        {
            assert_eq!(expanded(text, &world), said, "{text}");
        }
    }
}
