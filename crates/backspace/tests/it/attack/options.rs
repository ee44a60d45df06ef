//! Attacks by what a caller may name: addresses, branches, paths.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::json;
use session::request::{self, LocalRepositories, Rules};
use url::Url;

use super::stage::Said;
use super::{Attack, Class, How, Trial, Tried};

/// Values that mean something else to whoever they are handed to.
pub(crate) const CLASS: Class = Class { name: "options", attacks: ATTACKS };

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack { name: "addresses that git runs as a program", how: How::Code(|_| address_that_runs()) },
    Attack {
        name: "addresses of this machine, of a private network, of a cloud's metadata",
        how: How::Code(|_| private_addresses()),
    },
    Attack { name: "addresses that two parsers read differently", how: How::Code(|_| confusing_addresses()) },
    Attack { name: "branches that git reads as options or as other refs", how: How::Code(|_| branches()) },
    Attack { name: "folders of this machine, asked for over the network", how: How::Code(|_| folders()) },
];

const RUNNING: &[&str] = &[
    "ext::sh -c touch% MARK",
    "--upload-pack=touch MARK",
    "-oProxyCommand=touch MARK",
    "fd::17",
    "ssh://-oProxyCommand=touch%20MARK/x",
];

const PRIVATE: &[&str] = &[
    "https://127.0.0.1/o/r",
    "https://localhost/o/r",
    "https://[::1]/o/r",
    "https://10.0.0.1/o/r",
    "https://192.168.1.1/o/r",
    "https://169.254.169.254/latest/meta-data",
    "https://0x7f000001/o/r",
    "https://2130706433/o/r",
    "https://127.1/o/r",
    "https://0177.0.0.1/o/r",
    "https://[::ffff:127.0.0.1]/o/r",
    "https://metadata.google.internal/o/r",
    "http://github.com/o/r",
    "https://localhost.localdomain/o/r",
];

/// Those of them that are this machine's.
const HERE: &[&str] = &["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1", "0177.0.0.1"];

const CONFUSING: &[&str] = &[
    "https://github.com@evil.example/o/r",
    "https://user:pass@github.com/o/r",
    "https://github.com\\@evil.example/o/r",
    "https://github.com#@evil.example/o/r",
    "https://github.com/o/../../r",
    "https://github.com/o/%2e%2e/r",
    "https://github.com/o/r?x=y",
    "https://github.com/o/r\nHost: evil",
    "https://github.com/o/r%00",
    "https://gith\u{fc}b.com\u{202e}/o/r",
    "https://github.com:22/o/r",
    "javascript:alert(1)",
    "file:///etc",
    "git://github.com/o/r",
    "https:github.com/o/r",
    "https:///github.com/o/r",
    "https://github.com/-o/r --x",
];

const BRANCHES: &[&str] = &[
    "--force",
    "-f",
    "--receive-pack=touch MARK",
    "refs/heads/main:refs/heads/x",
    "+main",
    "a..b",
    "a b",
    "@{-1}",
    "HEAD",
    "a.lock",
    "a//b",
    "/a",
    "a\nb",
    "a~1",
    "a^",
    "a:b",
    "a?b",
    "a*",
    "a[b",
    "a\\b",
    "a\u{7f}",
    ".a",
    "a/.b",
    "a.",
    "",
];

fn rules() -> Rules {
    Rules { forges: vec!["github.com".to_owned()], ..Rules::default() }
}

/// Whether a request with these fields would be taken.
fn taken(fields: &serde_json::Value) -> bool {
    let mut body = json!({ "prompt": "Do it" });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request::parse(body.to_string().as_bytes(), &rules()).is_ok()
}

fn address_that_runs() -> Trial<'static> {
    Box::pin(async {
        let through: Vec<&&str> =
            RUNNING.iter().filter(|address| taken(&json!({ "repoUrl": address }))).collect();
        let attack = match through.is_empty() {
            true => Said::Held(format!("{} refused", RUNNING.len())),
            false => Said::Breached(format!("{through:?}")),
        };
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let _status = Command::new("git")
            .args([
                "-c",
                "protocol.ext.allow=always",
                "clone",
                &format!("ext::sh -c touch% {}", mark.display()),
                "x",
            ])
            .current_dir(folder.path())
            .output();
        let control = match mark.exists() {
            true => Said::Breached("git ran it".to_owned()),
            false => Said::Held("git did not run it".to_owned()),
        };
        Tried { attack, control }
    })
}

fn private_addresses() -> Trial<'static> {
    Box::pin(async {
        // Whoever takes each of them for an address like any other has git connect to this machine.
        let control = tokio::task::spawn_blocking(reached_by_git).await.unwrap();
        Tried { attack: refused(PRIVATE), control }
    })
}

/// Asks git for the spellings of this machine that are among the addresses.
fn reached_by_git() -> Said {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let reached: Vec<&str> = HERE
        .iter()
        .filter(|host| {
            let mut asked = Command::new("git");
            asked.args(["-c", "http.proxy=", "ls-remote", &format!("https://{host}:{port}/o/r")]);
            let mut asked = asked.stderr(Stdio::null()).spawn().unwrap();
            let come = loop {
                match listener.accept() {
                    Ok(_) => break true,
                    Err(_) if asked.try_wait().unwrap().is_some() => break listener.accept().is_ok(),
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            };
            drop(asked.kill());
            asked.wait().unwrap();
            come
        })
        .copied()
        .collect();
    match reached.len() == HERE.len() {
        true => Said::Breached(format!("git connects to this machine by {reached:?}")),
        false => Said::Held(format!("git connects by {reached:?} alone")),
    }
}

fn confusing_addresses() -> Trial<'static> {
    Box::pin(async {
        // One parser is that of browsers; the other takes what stands after the last `@`, as many programs do.
        let by_rule = |address: &str| Url::parse(address).ok()?.host_str().map(str::to_owned);
        let by_hand = |address: &str| {
            let authority = address.split_once("://")?.1.rsplit('@').next()?;
            Some(authority.split(['/', '?', ':']).next()?.to_owned())
        };
        let differ = CONFUSING.iter().filter(|address| by_rule(address) != by_hand(address)).count();
        let misleading = "https://github.com#@evil.example/o/r";
        let hosts = (by_rule(misleading), by_hand(misleading));
        let control = format!("{differ} have another host in another parser, such as {hosts:?}");
        let shown = differ >= 5 && hosts == (Some("github.com".to_owned()), Some("evil.example".to_owned()));
        Tried {
            attack: refused(CONFUSING),
            control: if shown { Said::Breached(control) } else { Said::Held(control) },
        }
    })
}

fn refused(addresses: &[&str]) -> Said {
    let through: Vec<&&str> =
        addresses.iter().filter(|address| taken(&json!({ "repoUrl": address }))).collect();
    match (through.is_empty(), taken(&json!({ "repoUrl": "https://github.com/o/r" }))) {
        (true, true) => Said::Held(format!("{} refused", addresses.len())),
        (false, _) => Said::Breached(format!("{through:?}")),
        (true, false) => Said::Unclear("a good address is refused as well".to_owned()),
    }
}

fn branches() -> Trial<'static> {
    Box::pin(async {
        let good = json!({ "repoUrl": "https://github.com/o/r", "branch": "good/one", "base": "main" });
        let through: Vec<String> = BRANCHES
            .iter()
            .flat_map(|name| ["branch", "base"].map(|field| (field, *name)))
            .filter(|(field, name)| taken(&json!({ "repoUrl": "https://github.com/o/r", *field: name })))
            .map(|(field, name)| format!("{field} {name:?}"))
            .collect();
        let attack = match (through.is_empty(), taken(&good)) {
            (true, true) => Said::Held(format!("{} refused", 2 * BRANCHES.len())),
            (false, _) => Said::Breached(through.join(", ")),
            (true, false) => Said::Unclear("a good branch is refused as well".to_owned()),
        };
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = "git init -q r; git -C r -c user.name=x -c user.email=x commit -q --allow-empty -m x; git init -q --bare b; cd r";
        let push = format!(
            "{script}; git push ../b HEAD '--receive-pack=touch {}; git-receive-pack'",
            mark.display()
        );
        let _status = Command::new("bash").args(["-c", &push]).current_dir(folder.path()).output();
        let control = match mark.exists() {
            true => Said::Breached("git ran a branch".to_owned()),
            false => Said::Held("git did not run it".to_owned()),
        };
        Tried { attack, control }
    })
}

fn folders() -> Trial<'static> {
    Box::pin(async {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("private");
        crate::world::make_repository(&repository);
        let link = folder.path().join("allowed/link");
        std::fs::create_dir(folder.path().join("allowed")).unwrap();
        std::os::unix::fs::symlink(&repository, &link).unwrap();
        let ways = [
            repository.display().to_string(),
            format!("file://{}", repository.display()),
            folder.path().join("allowed/../private").display().to_string(),
            link.display().to_string(),
            "../../../../../../etc".to_owned(),
        ];
        let rules = Rules { local: LocalRepositories::Below(vec![folder.path().join("allowed")]), ..rules() };
        let asked = |way: &String, rules: &Rules| {
            request::parse(json!({ "repoUrl": way, "prompt": "Do it" }).to_string().as_bytes(), rules).is_ok()
        };
        let through: Vec<&String> = ways.iter().filter(|way| asked(way, &rules)).collect();
        let attack = match through.is_empty() {
            true => Said::Held(format!("{} refused", ways.len())),
            false => Said::Breached(format!("{through:?}")),
        };
        let careless = Rules { local: LocalRepositories::Any, ..rules.clone() };
        let control = match asked(&ways[0], &careless) {
            true => Said::Breached("it is a repository that can be asked for".to_owned()),
            false => Said::Held("it cannot be asked for at all".to_owned()),
        };
        Tried { attack, control }
    })
}
