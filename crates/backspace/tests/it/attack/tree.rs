//! Attacks on the tree that sandboxes share, through the overlay over it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use events::{ChangedKind, Content};

use super::stage::{Open, Said, Stage, make_tree, policy};
use super::{Attack, Class, How, Trial, Tried};

/// What a session does to the base tree would meet every later one.
pub(crate) const CLASS: Class = Class { name: "tree", attacks: ATTACKS };

#[tokio::test]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "change the shared tree through the overlay, in every way",
        how: How::Code(change_the_base),
    },
    Attack {
        name: "whiteouts and the overlay's own attributes, made inside",
        how: How::Code(forge_the_overlay),
    },
];

/// Every way to change a file that we know: by name, by a second name, by a mapping, by its mode, times and attributes.
const CHANGES: &str = r#"
import mmap
def try_all(*ways):
    for way in ways:
        try:
            way()
        except OSError:
            pass
def mapped():
    with open("README", "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
        memory[0:1] = b"H"
        memory.flush()
def linked():
    os.link("folder/file", "second")
    open("second", "a").write("more\n")
def exchanged():
    os.rename("folder", "moved")
    os.symlink("/etc", "folder")
def through_a_descriptor():
    opened = os.open("folder/other", os.O_RDONLY)
    os.fchmod(opened, 0o777)
    open(f"/proc/self/fd/{opened}", "a").write("by descriptor\n")
try_all(mapped, linked, through_a_descriptor,
        lambda: os.chmod("README", 0o600), lambda: os.utime("README", (1, 1)), lambda: os.setxattr("README", "user.x", b"y"),
        lambda: os.truncate("folder/other", 0), lambda: os.unlink("gone"), exchanged)
breached("all of it was done") if not INSIDE else held("the host looks")
"#;

/// Everything about a tree that could be changed, but the times of reading.
fn described(tree: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, stat) = (entry.path(), fs::symlink_metadata(entry.path()).unwrap());
            let content = match stat.is_dir() {
                true => {
                    folders.push(path.clone());
                    String::new()
                }
                false => fs::read(&path).unwrap_or_default().escape_ascii().to_string(),
            };
            let said =
                format!("{:o} {} {} {content}", stat.permissions().mode(), stat.mtime_nsec(), stat.nlink());
            all.insert(path.strip_prefix(tree).unwrap().display().to_string(), said);
        }
    }
    all
}

fn change_the_base(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        let before = described(&sandbox.tree());
        let ran = sandbox.run(&stage.shell(CHANGES, "inside")).await;
        let changed = sandbox.sandbox.changes().await.unwrap().paths.len();
        sandbox.sandbox.close().await.unwrap();
        let attack = match (super::stage::said(&ran.output), described(&sandbox.tree()) == before) {
            (Said::Held(_), true) if changed >= 5 => {
                Said::Held(format!("{changed} changes, none of them below"))
            }
            (_, false) => Said::Breached("the base tree differs".to_owned()),
            (said, true) => Said::Unclear(format!("{changed} changes: {said:?}")),
        };
        // The same on a folder that nothing lies over.
        let plain = tempfile::tempdir().unwrap();
        make_tree(plain.path());
        let before = described(plain.path());
        let said = stage.outside_in(CHANGES, plain.path()).await;
        let control =
            if described(plain.path()) == before { Said::Held("nothing changed".to_owned()) } else { said };
        Tried { attack, control }
    })
}

/// What an overlay keeps of its own as attributes and as devices 0:0.
const FORGERY: &str = r#"
done = []
def attempt(what, way):
    try:
        way()
        done.append(what)
    except OSError:
        pass
attempt("a whiteout", lambda: os.mknod("whiteout", 0o666 | stat.S_IFCHR, 0))
attempt("a whiteout for a file", lambda: (os.rename("gone", "kept"), os.mknod("gone", 0o666 | stat.S_IFCHR, 0)))
for name in ["user.overlay.", "trusted.overlay.", "user.overlay.overlay."]:
    attempt(f"{name}opaque", lambda: os.setxattr("folder", f"{name}opaque", b"y"))
    attempt(f"{name}redirect", lambda: os.setxattr("folder", f"{name}redirect", b"/../../../etc"))
    os.makedirs("fresh", exist_ok=True)
    attempt(f"{name}redirect of a new folder", lambda: os.setxattr("fresh", f"{name}redirect", b"/folder"))
    attempt(f"{name}origin", lambda: os.setxattr("README", f"{name}origin", b"x" * 32))
    attempt(f"{name}metacopy", lambda: os.setxattr("README", f"{name}metacopy", b""))
    attempt(f"{name}whiteouts", lambda: (open("folder/file", "a").close(), os.setxattr("folder/file", f"{name}whiteout", b"y")))
held("the host looks") if INSIDE else breached(", ".join(done)) if any("whiteout" in d for d in done) and any("opaque" in d for d in done) else absent("this file system has no such attributes")
"#;

fn forge_the_overlay(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        let ran = sandbox.run(&stage.shell(FORGERY, "inside")).await;
        let seen = sandbox.run("find . -path ./.git -prune -o \\( -type f -o -type l -o -type c \\) -printf '%y %P\\n' | sort").await;
        let told = told(&sandbox).await;
        sandbox.sandbox.close().await.unwrap();
        let attack = match super::stage::said(&ran.output) {
            Said::Held(_) if told == seen.output => Said::Held(told.replace('\n', ", ")),
            Said::Held(_) => Said::Breached(format!("inside is {:?}, outside {told:?}", seen.output)),
            said => Said::Unclear(format!("{said:?}")),
        };
        Tried { attack, control: stage.outside(FORGERY).await }
    })
}

/// The files of the base with what the host takes for changed, as `find` would print them.
async fn told(sandbox: &Open) -> String {
    let tree = sandbox.tree();
    let mut files: BTreeMap<String, char> = described(&tree)
        .into_keys()
        .filter(|path| !tree.join(path).is_dir())
        .map(|path| (path, 'f'))
        .collect();
    for changed in sandbox.sandbox.changes().await.unwrap().paths {
        let path = std::ffi::OsStr::from_bytes(&changed.path).display().to_string();
        match changed.kind {
            ChangedKind::Deleted => drop(files.remove(&path)),
            ChangedKind::Special => drop(files.insert(path, 'c')),
            ChangedKind::Symlink => drop(files.insert(path, 'l')),
            ChangedKind::File { .. } => {
                let content = sandbox.sandbox.content(&changed, 1000).await.unwrap();
                assert!(matches!(content, Content::File { .. }), "{path} can be read");
                files.insert(path, 'f');
            }
        }
    }
    let mut lines: Vec<String> = files.into_iter().map(|(path, kind)| format!("{kind} {path}\n")).collect();
    lines.sort();
    lines.concat()
}
