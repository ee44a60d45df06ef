//! Attacks on the way out: what a session leaves in its work tree meets git, and whoever reads the pull request.

use std::path::{Path, PathBuf};
use std::process::Command;

use events::{Event, Outcome};
use serde_json::json;

use super::stage::{CANARY, Said, config};
use super::{Attack, Class, How, Trial, Tried};
use crate::world::{Bent, World, bash, calls, files_with, finish, git, the_fix};

/// Things left in a work tree that run, lead out of it, or lie about what they are.
pub(crate) const CLASS: Class = Class { name: "way out", attacks: ATTACKS };

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack { name: "git hooks", how: How::Code(|_| trap(HOOKS)) },
    Attack { name: "a file system monitor in git's settings", how: How::Code(|_| trap(MONITOR)) },
    Attack { name: "a clean filter by .gitattributes", how: How::Code(|_| trap(FILTER)) },
    Attack { name: "an external diff and a signing program", how: How::Code(|_| trap(PROGRAMS)) },
    Attack { name: "settings included from a file of the tree", how: How::Code(|_| trap(INCLUDED)) },
    Attack { name: "a .git that points to another one", how: How::Code(|_| trap(ANOTHER_GIT)) },
    Attack { name: "a submodule with an update command", how: How::Code(|_| trap(SUBMODULE)) },
    Attack { name: "links to files of this machine", how: How::Code(|_| links()) },
    Attack { name: "a folder that becomes a link while it is read", how: How::Code(|_| race()) },
    Attack { name: "pipes, sockets and devices in the tree", how: How::Code(|_| specials()) },
    Attack { name: "names that git or another system reads as .git", how: How::Code(|_| names()) },
    Attack { name: "a repository within the tree", how: How::Code(|_| nested()) },
    Attack { name: "names that differ by case alone, and nobody is told", how: How::Code(|_| case()) },
];

/// A trap leaves a mark where it is sprung: at `$MARK`, which is a file of this machine.
const HOOKS: &str = "mkdir -p .git/hooks
for hook in pre-commit post-commit prepare-commit-msg commit-msg reference-transaction post-index-change pre-push; do
  printf '#!/bin/sh\\ntouch %s\\n' $MARK > .git/hooks/$hook; chmod +x .git/hooks/$hook; done";
const MONITOR: &str = "git config core.fsmonitor \"touch $MARK; false\"";
const FILTER: &str =
    "echo '* filter=trap' > .gitattributes; git config filter.trap.clean \"touch $MARK; cat\"";
const PROGRAMS: &str = "printf '#!/bin/sh\\ntouch %s\\nexit 1\\n' $MARK > trap; chmod +x trap
git config diff.external $PWD/trap; git config gpg.program $PWD/trap; git config commit.gpgSign true
git config core.editor $PWD/trap; git config core.pager $PWD/trap; git config core.sshCommand $PWD/trap";
const INCLUDED: &str = "printf '[core]\\nfsmonitor = \"touch %s; false\"\\n' $MARK > settings; git config include.path ../settings";
const ANOTHER_GIT: &str = "mv .git other; echo 'gitdir: other' > .git; mkdir -p other/hooks
for hook in pre-commit post-commit post-index-change; do printf '#!/bin/sh\\ntouch %s\\n' $MARK > other/hooks/$hook; chmod +x other/hooks/$hook; done";
const SUBMODULE: &str = "made='git -C sub -c user.name=x -c user.email=x commit -q --allow-empty -m x'
git init -q sub; $made; git config -f .gitmodules submodule.sub.path sub; git config -f .gitmodules submodule.sub.url ./sub
git add -f sub .gitmodules; $made
git config submodule.sub.url ./sub; git config submodule.sub.update \"!touch $MARK; true\"; git config submodule.sub.active true";

/// A world in which the agent runs `script` and then does its work.
async fn after(script: &str) -> (World, Vec<events::Entry>) {
    let mut bent = Bent::replies([calls([bash(script)]), calls([the_fix()]), calls([finish()])]);
    bent.sandbox = config();
    let world = World::local(bent).await;
    let entries = world.run_once(json!({ "branch": "out" })).await;
    (world, entries)
}

fn delivered(entries: &[events::Entry]) -> Result<(), String> {
    match &entries.last().unwrap().event {
        Event::SessionEnded(ended) => match &ended.outcome {
            Outcome::Delivered(_) => Ok(()),
            other => Err(format!("{other:?}")),
        },
        _ => Err("it has not ended".to_owned()),
    }
}

/// Leaves a trap in the work tree; the control does in a clone what a service without care would do.
fn trap(script: &'static str) -> Trial<'static> {
    Box::pin(async move {
        let marks = tempfile::tempdir().unwrap();
        let mark = |name: &str| marks.path().join(name);
        let with = |mark: PathBuf| format!("MARK={}\n{script}", mark.display());
        let (world, entries) = after(&with(mark("service"))).await;
        let attack = match (mark("service").exists(), delivered(&entries)) {
            (true, _) => Said::Breached("it was sprung".to_owned()),
            (false, Ok(())) => Said::Held("delivered without springing it".to_owned()),
            (false, Err(outcome)) => Said::Unclear(outcome),
        };
        let clone = marks.path().join("clone");
        git(marks.path(), &["clone", "-q", &world.repository, clone.to_str().unwrap()]);
        careless(&clone, &with(mark("careless")));
        let control = match mark("careless").exists() {
            true => Said::Breached("it was sprung".to_owned()),
            false => Said::Held("it was not sprung".to_owned()),
        };
        Tried { attack, control }
    })
}

/// Springs whatever is in `clone`, as `git` by hand does.
fn careless(clone: &Path, script: &str) {
    let steps = "git submodule update; git add -A; git diff; git -c user.name=x -c user.email=x commit -qm x; git status";
    Command::new("bash")
        .args(["-c", &format!("{script}\n{steps}")])
        .current_dir(clone)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", clone.parent().unwrap())
        .output()
        .unwrap();
}

/// What stands in the delivered commit: mode and path, one a line.
fn tree_of(world: &World) -> String {
    world.git(&["-c", "core.quotePath=true", "ls-tree", "-r", "--format=%(objectmode) %(path)", "out"])
}

/// Whether the canary got into anything that the service keeps or delivers.
fn leaked(world: &World) -> bool {
    let objects = world.git(&["cat-file", "--batch-all-objects", "--batch"]);
    objects.contains(CANARY) || !files_with(&world.home.path().join("state"), CANARY.as_bytes()).is_empty()
}

fn canary(folder: &Path) -> PathBuf {
    let file = folder.join("canary");
    std::fs::write(&file, CANARY).unwrap();
    file
}

fn links() -> Trial<'static> {
    Box::pin(async move {
        let folder = tempfile::tempdir().unwrap();
        let target = canary(folder.path());
        let script = format!(
            "ln -s {0} link; ln -sf {0} README.md; ln -s {1} folder; ln -s ../../../../../../../..{0} relative",
            target.display(),
            folder.path().display()
        );
        let (world, entries) = after(&script).await;
        let attack = match (leaked(&world), delivered(&entries)) {
            (true, _) => Said::Breached("what a link leads to was taken".to_owned()),
            (false, Ok(())) if tree_of(&world).contains("120000 link") => {
                Said::Held("links are links".to_owned())
            }
            (false, other) => Said::Unclear(format!("{other:?}: {}", tree_of(&world))),
        };
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let read = std::fs::read_to_string(&link).unwrap();
        Tried { attack, control: if read == CANARY { Said::Breached(read) } else { Said::Held(read) } }
    })
}

fn race() -> Trial<'static> {
    Box::pin(async move {
        let folder = tempfile::tempdir().unwrap();
        canary(folder.path());
        let script = format!(
            "mkdir real; echo mine > real/canary; cp -r real spare
             (while :; do mv -T real away; ln -s {} real; rm real; mv -T away real; done) > /dev/null 2>&1 &
             (while :; do echo $RANDOM > spare/canary; mv -T spare/canary real/canary; done) > /dev/null 2>&1 &",
            folder.path().display()
        );
        let replies = (0..12).map(|n| calls([bash(&format!("echo {n} > counted; sleep 0.05"))]));
        let mut bent = Bent::replies(
            [calls([bash(&script)])]
                .into_iter()
                .chain(replies)
                .chain([calls([the_fix()]), calls([finish()])]),
        );
        bent.sandbox = config();
        let world = World::local(bent).await;
        let entries = world.run_once(json!({ "branch": "out" })).await;
        let attack = match (leaked(&world), delivered(&entries)) {
            (true, _) => Said::Breached("what the link leads to was taken".to_owned()),
            (false, Ok(())) => Said::Held("delivered".to_owned()),
            (false, Err(outcome)) => Said::Unclear(outcome),
        };
        // Between a look and a read the folder becomes a link.
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("canary"), "mine").unwrap();
        let looked = std::fs::symlink_metadata(&real).unwrap().is_dir();
        std::fs::rename(&real, folder.path().join("away")).unwrap();
        std::os::unix::fs::symlink(folder.path(), &real).unwrap();
        let read = std::fs::read_to_string(real.join("canary")).unwrap();
        let control = if looked && read == CANARY { Said::Breached(read) } else { Said::Held(read) };
        Tried { attack, control }
    })
}

fn specials() -> Trial<'static> {
    Box::pin(async move {
        let script = "mkfifo pipe; mknod null c 1 3 || true
            python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'; mkdir folder; mkfifo folder/pipe";
        let (world, entries) = after(script).await;
        let tree = tree_of(&world);
        let attack = match delivered(&entries) {
            Ok(()) if ["pipe", "socket", "null"].iter().all(|name| !tree.contains(name)) => {
                Said::Held("delivered without them".to_owned())
            }
            Ok(()) => Said::Breached(tree),
            Err(outcome) => Said::Unclear(outcome),
        };
        // Whoever opens a pipe to read it waits for somebody who writes.
        let folder = tempfile::tempdir().unwrap();
        let script = "mkfifo pipe; timeout 1 cat pipe; [ $? = 124 ]";
        let waited = Command::new("bash").args(["-c", script]).current_dir(folder.path()).status().unwrap();
        let control = if waited.success() { "it waits without end" } else { "it does not wait" };
        let control = match waited.success() {
            true => Said::Breached(control.to_owned()),
            false => Said::Held(control.to_owned()),
        };
        Tried { attack, control }
    })
}

fn names() -> Trial<'static> {
    const NAMES: &[&str] = &[
        ".GIT/config",
        ".git /config",
        "git~1/config",
        ".g\u{200c}it/config",
        "sub/.git/config",
        "a\nb",
        "c\u{1b}[2Jd",
    ];
    Box::pin(async move {
        let script = "mkdir -p .GIT '.git ' git~1 $'.g\\u200cit' sub/.git
            for f in .GIT '.git ' git~1 $'.g\\u200cit' sub/.git; do echo x > \"$f/config\"; done
            echo x > $'a\\nb'; echo x > $'c\\e[2Jd'; echo x > -rf; echo x > good";
        let (world, entries) = after(script).await;
        let tree = world.git(&["ls-tree", "-r", "-z", "--name-only", "out"]);
        let taken: Vec<&str> = tree.split('\0').filter(|path| NAMES.contains(path)).collect();
        let attack = match (delivered(&entries), taken.is_empty()) {
            (Ok(()), true) if tree.contains("good") => {
                Said::Held("left out, the others delivered".to_owned())
            }
            (Ok(()), false) => Said::Breached(format!("{taken:?}")),
            (other, _) => Said::Unclear(format!("{other:?}: {tree:?}")),
        };
        // Whoever hands what he found to git's own importer.
        let stream =
            "commit refs/heads/x\ncommitter x <x> 0 +0000\ndata 0\nM 100644 inline .GIT/config\ndata 1\nx\n";
        let mut import = Command::new("git");
        let import = import.args([
            "-c",
            "core.protectNTFS=false",
            "-c",
            "core.protectHFS=false",
            "fast-import",
            "--quiet",
        ]);
        let control = match imported(import, stream) {
            Ok(tree) => Said::Breached(tree),
            Err(why) => Said::Held(why),
        };
        Tried { attack, control }
    })
}

/// Feeds `stream` to an importer in a new repository; gives the paths of the commit.
fn imported(import: &mut Command, stream: &str) -> Result<String, String> {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q", "--bare"]);
    let mut running = import
        .current_dir(folder.path())
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    running.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    let done = running.wait_with_output().unwrap();
    match done.status.success() {
        true => Ok(git(folder.path(), &["ls-tree", "-r", "--name-only", "x"])),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

fn nested() -> Trial<'static> {
    Box::pin(async move {
        let script = "mkdir sub; cd sub; git init -q; echo x > file; printf '#!/bin/sh\\n' > .git/hooks/pre-commit; cd ..
            mkdir bare; git init -q --bare bare; echo kept > beside";
        let (world, entries) = after(script).await;
        let tree = tree_of(&world);
        let attack = match delivered(&entries) {
            Ok(()) if tree.contains("beside") && !tree.contains(".git/") && !tree.contains("160000") => {
                Said::Held("no data of it was taken".to_owned())
            }
            Ok(()) => Said::Breached(tree),
            Err(outcome) => Said::Unclear(outcome),
        };
        let folder = tempfile::tempdir().unwrap();
        let script = "git init -q; mkdir sub; git init -q sub; tar -c . | tar -t | grep -c sub/.git/HEAD";
        let packed = Command::new("bash").args(["-c", script]).current_dir(folder.path()).status().unwrap();
        let control = match packed.success() {
            true => Said::Breached("its data is packed as any other".to_owned()),
            false => Said::Held("not packed".to_owned()),
        };
        Tried { attack, control }
    })
}

fn case() -> Trial<'static> {
    Box::pin(async move {
        let (world, entries) =
            after("echo x > readme.md; mkdir Src src; echo x > Src/a; echo y > src/A; echo z > kept").await;
        let tree = tree_of(&world);
        let told = |path: &str| {
            let note = format!("{path} differs from another path by case alone");
            entries.iter().any(|entry| entry.event.payload().unwrap().contains(&note))
        };
        let attack = match delivered(&entries) {
            Ok(()) if !tree.contains("kept") => Said::Unclear(tree),
            Ok(()) if told("readme.md") && (told("Src/a") || told("src/A")) => {
                Said::Held("each of them is told".to_owned())
            }
            Ok(()) => Said::Breached(tree),
            Err(outcome) => Said::Unclear(outcome),
        };
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q"]);
        for name in ["a", "A"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        git(folder.path(), &["add", "-A"]);
        let listed = git(folder.path(), &["ls-files"]);
        let control = match &*listed {
            "A\na" => Said::Breached("git takes both and says nothing".to_owned()),
            other => Said::Held(format!("{other:?}")),
        };
        Tried { attack, control }
    })
}
