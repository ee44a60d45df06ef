//! Attacks by what a setup leaves: in the tree that later commits find prepared, and in the home folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use events::{Entry, Event, Outcome};
use sandbox::HomeFile;
use serde_json::{Value, json};
use session::OpenFor;

use super::stage::{CANARY, Said, config};
use super::{Attack, Class, How, Trial, Tried};
use crate::egress::a_way_out;
use crate::world::{Bent, World, bash, calls, finish, the_fix};

/// Whatever setup leaves is met by the agent, its checks, and other sessions.
pub(crate) const CLASS: Class = Class { name: "setup", attacks: ATTACKS };

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "a module that Python loads, gone with the next commit",
        how: How::Code(|_| outlives(&MODULE)),
    },
    Attack {
        name: "a script that npm runs, gone with the next commit",
        how: How::Code(|_| outlives(&SCRIPT)),
    },
    Attack {
        name: "a program in npm's settings, gone with the next commit",
        how: How::Code(|_| outlives(&PROGRAM)),
    },
    Attack {
        name: "a variable that names a file, gone with the next commit",
        how: How::Code(|_| outlives(&VARIABLE)),
    },
    Attack {
        name: "programs in the home folder by the names of the system's",
        how: How::Code(|_| shadowed()),
    },
    Attack { name: "links in the home folder where the service writes", how: How::Code(|_| linked()) },
];

/// What a commit brings, and the next one has no more.
struct Poison {
    /// What runs it, which may not be there in `/usr/bin`.
    program: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Of the files that which is bad, and what the next commit has in its place.
    bad: (&'static str, &'static str),
    /// What runs it for somebody who takes no care.
    careless: &'static str,
}

/// In the texts of files: the folder of the repository, and what is bad: it leaves a mark in the home folder.
const ROOT: &str = "@ROOT@";
const LEAVE_A_MARK: &str = "#!/bin/sh\necho canary-7f3a9c51e2 > ~/poison\nexit 1\n";
/// An installation of nothing.
const NO_DEPENDENCIES: &str = r#"{"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
    "packages": {"": {"name": "x", "version": "1.0.0"}}}"#;

const MODULE: Poison = Poison {
    program: "python3",
    files: &[
        ("requirements.txt", "# none\n"),
        (
            "venv.py",
            "import os, shutil\nopen(os.path.expanduser('~/poison'), 'w').write('canary-7f3a9c51e2')\nos.makedirs('.venv/bin')\n\
             os.symlink('/bin/true', '.venv/bin/python')\nos.symlink('/bin/true', '.venv/bin/pip')\n\
             shutil.rmtree('__pycache__', True)\nos._exit(0)\n",
        ),
    ],
    bad: ("venv.py", "# harmless\n"),
    careless: "/usr/bin/python3 -m venv .venv",
};
const SCRIPT: Poison = Poison {
    program: "npm",
    files: &[
        (
            "package.json",
            r#"{"name": "x", "version": "1.0.0", "workspaces": ["p/*"], "scripts": {"dependencies" : "sh e.sh"}}"#,
        ),
        ("p/q/package.json", r#"{"name": "q", "version": "1.0.0"}"#),
        (
            "package-lock.json",
            r#"{"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
                "": {"name": "x", "version": "1.0.0", "workspaces": ["p/*"]},
                "node_modules/q": {"resolved": "p/q", "link": true}, "p/q": {"name": "q", "version": "1.0.0"}}}"#,
        ),
        ("e.sh", "echo canary-7f3a9c51e2 > ~/poison\n"),
    ],
    bad: ("e.sh", "exit 0\n"),
    careless: "npm ci",
};
const PROGRAM: Poison = Poison {
    program: "npm",
    files: &[
        (".npmrc", "git=@ROOT@/e.sh\nfetch-retries=0\n"),
        (
            "package.json",
            r#"{"name": "x", "version": "1.0.0", "optionalDependencies": {"o": "git+https://x.example/o.git"}}"#,
        ),
        (
            "package-lock.json",
            r#"{"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
                "": {"name": "x", "version": "1.0.0", "optionalDependencies": {"o": "git+https://x.example/o.git"}},
                "node_modules/o": {"version": "1.0.0", "optional": true,
                    "resolved": "git+https://x.example/o.git#1234567890123456789012345678901234567890"}}}"#,
        ),
        ("e.sh", LEAVE_A_MARK),
    ],
    bad: ("e.sh", "#!/bin/sh\nexit 1\n"),
    careless: "npm ci",
};
const VARIABLE: Poison = Poison {
    program: "npm",
    files: &[
        (".backspace/config.toml", "[env]\nNODE_OPTIONS = \"--require @ROOT@/e.js\"\n"),
        ("package.json", r#"{"name": "x", "version": "1.0.0"}"#),
        ("package-lock.json", NO_DEPENDENCIES),
        ("e.js", "require('fs').writeFileSync(require('os').homedir() + '/poison', 'canary-7f3a9c51e2')\n"),
    ],
    bad: ("e.js", "// harmless\n"),
    careless: "NODE_OPTIONS=\"--require $PWD/e.js\" npm ci",
};

/// The results of the agent's tools.
fn seen(entries: &[Entry]) -> String {
    let results = entries.iter().filter_map(|entry| match &entry.event {
        Event::ToolFinished(tool) => Some(&*tool.result),
        _ => None,
    });
    results.collect::<Vec<_>>().join("\n")
}

/// What the session of `entries` came to, when the agent saw no canary.
fn said(entries: &[Entry]) -> Said {
    let seen = seen(entries);
    match &entries.last().unwrap().event {
        _ if seen.contains(CANARY) => Said::Breached(format!("the agent meets it: {seen}")),
        Event::SessionEnded(ended) if matches!(ended.outcome, Outcome::Delivered(_)) => {
            Said::Held("the agent does not meet it".to_owned())
        }
        other => Said::Unclear(format!("{other:?}")),
    }
}

fn set_up(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| matches!(entry.event, Event::SetupRan(_)))
}

/// A world, bent by `bent`, whose agent looks by `script` and does its work.
async fn world(script: &str, bent: impl FnOnce(&mut Bent)) -> World {
    let replies: Vec<Value> = vec![calls([bash(script)]), calls([the_fix()]), calls([finish()])];
    let mut all = Bent::replies(replies);
    all.sandbox = config();
    bent(&mut all);
    World::local(all).await
}

/// What `script` says that somebody runs in `folder` whose home folder is `home`.
fn by_hand(folder: &Path, home: &Path, script: &str) -> String {
    let done = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .output()
        .unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Lets a session set up a commit with `poison` and another one the next commit without; the control installs by hand.
fn outlives(poison: &'static Poison) -> Trial<'static> {
    Box::pin(async move {
        let sockets = tempfile::tempdir().unwrap();
        let way_out = a_way_out(OpenFor::Setup, sockets.path()).await;
        let world = world("cat ~/poison; true", |bent| bent.egress = Some(way_out)).await;
        let (bad, harmless) = poison.bad;
        let write = |folder: &Path, root: &str| {
            for (path, text) in poison.files {
                let path = folder.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, text.replace(ROOT, root)).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        };
        write(Path::new(&world.repository), "/work");
        world.commit("CHANGES", "bad\n");
        let first = world.run_once(json!({})).await;
        world.commit(bad, harmless);
        let second = world.run_once(json!({})).await;
        let attack = match set_up(&first) {
            true => said(&second),
            false => Said::Absent(format!("no {} in these sandboxes", poison.program)),
        };
        let place = tempfile::tempdir().unwrap();
        let (folder, home) = (place.path().join("folder"), place.path().join("home"));
        std::fs::create_dir(&home).unwrap();
        write(&folder, folder.to_str().unwrap());
        let control = match Path::new("/usr/bin").join(poison.program).exists() {
            false => Said::Unshown(format!("there is no {} here", poison.program)),
            true => match by_hand(&folder, &home, &format!("{} >&2; cat ~/poison", poison.careless)) {
                found if found.contains(CANARY) => Said::Breached("it stays in the home folder".to_owned()),
                found => Said::Held(found),
            },
        };
        Tried { attack, control }
    })
}

/// A repository whose setup is `script`.
fn setup_of(script: &str) -> String {
    format!("setup = {}\n", json!(script))
}

fn shadowed() -> Trial<'static> {
    const LEAVE: &str = "mkdir -p ~/.local/bin
for name in cat ls git sed; do
  printf '#!/bin/sh\\necho canary-7f3a9c51e2\\n' > ~/.local/bin/$name; chmod +x ~/.local/bin/$name
done";
    const LOOK: &str = "cat README.md; ls; git --version; sed -n 1p README.md";
    Box::pin(async {
        let world = world(LOOK, |_| {}).await;
        world.commit(".backspace/config.toml", &setup_of(LEAVE));
        let attack = said(&world.run_once(json!({})).await);
        let home = tempfile::tempdir().unwrap();
        let folder = Path::new(&world.repository);
        by_hand(folder, home.path(), LEAVE);
        let found = by_hand(folder, home.path(), &format!("PATH=~/.local/bin:$PATH; {LOOK}"));
        let control = if found.contains(CANARY) { Said::Breached(found) } else { Said::Held(found) };
        Tried { attack, control }
    })
}

fn linked() -> Trial<'static> {
    const FILE: &str = ".config/tool/settings";
    Box::pin(async {
        // The service writes its file into both sandboxes; the first one leaves a link there.
        let file = HomeFile { path: FILE.to_owned(), content: CANARY.as_bytes().to_vec() };
        let world = world("cat README.md", |bent| bent.policy.home = vec![file]).await;
        world.commit(".backspace/config.toml", &setup_of(&format!("ln -sf /work/README.md ~/{FILE}")));
        let entries = world.run_once(json!({})).await;
        let delivered = world.git(&["cat-file", "--batch-all-objects", "--batch"]);
        let attack = match (delivered.contains(CANARY), set_up(&entries)) {
            (true, _) => Said::Breached("it was written into the repository".to_owned()),
            (false, true) => said(&entries),
            (false, false) => Said::Unclear("nothing was set up".to_owned()),
        };
        let place = tempfile::tempdir().unwrap();
        let (target, link) = (place.path().join("target"), place.path().join("link"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        std::fs::write(&link, CANARY).unwrap();
        let control = match std::fs::read_to_string(&target) {
            Ok(found) if found == CANARY => Said::Breached("it is written through the link".to_owned()),
            other => Said::Held(format!("{other:?}")),
        };
        Tried { attack, control }
    })
}
