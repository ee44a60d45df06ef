//! Attacks on changes that lie on a disk of this machine, where the kernel bounds nothing: in containers over an overlay,
//! and in namespaces before Linux 6.6.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use sandbox::{Policy, Tree};
use tempfile::TempDir;

use super::stage::{Open, Said, Stage, config, kernel, make_tree, policy, said};
use super::{Attack, Class, How, Trial, Tried};

/// What is written inside is there for whoever looks below the service's home folder.
pub(crate) const CLASS: Class = Class { name: "disk", attacks: ATTACKS };

#[tokio::test]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "twenty thousand folders in each other, for whoever removes them",
        how: How::Code(nested),
    },
    Attack { name: "shut folders and links, for whoever removes them", how: How::Code(shut) },
    Attack { name: "more bytes than the changes may take", how: How::Code(too_much) },
    Attack { name: "links to files of this machine, for whoever lists what changed", how: How::Code(links) },
];

/// A user that no machine has, and whose the checkout is: an engine lays no overlay over root's.
const ORDINARY: u32 = 1_500_000;

/// A folder through which the sandbox's user comes.
fn passable() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// A sandbox whose changes lie below `place`; nothing where they never lie on disk.
async fn open(place: &Path, policy: Policy) -> Option<Open> {
    let changes = place.to_owned();
    let config = match config() {
        _ if kernel() == "own" => return None,
        sandbox::Config::Docker(it) => sandbox::Config::Docker(sandbox::docker::Config {
            changes: sandbox::docker::Changes::Folder(changes),
            ..it
        }),
        _ => sandbox::Config::Namespaces(sandbox::namespaces::Config {
            changes: sandbox::namespaces::Changes::Folder(changes),
            ..sandbox::namespaces::Config::default()
        }),
    };
    let base = passable();
    let tree = base.path().join("tree");
    fs::create_dir(&tree).unwrap();
    make_tree(&tree);
    if rustix::process::geteuid().is_root() {
        let own = ["", "README", "gone", "folder", "folder/file", "folder/other"];
        own.iter().for_each(|path| chown(tree.join(path), Some(ORDINARY), Some(ORDINARY)).unwrap());
    }
    let sandbox = sandbox::open(&config, &Tree::of(vec![tree]), &policy).await.unwrap();
    Some(Open { sandbox, base })
}

/// Runs `script` over changes on disk; gives what it said and how many names are left below them after the end.
async fn left_of(stage: &Stage, script: &str) -> Result<(Said, usize), Said> {
    let place = passable();
    let changes = place.path().join("changes");
    let Some(sandbox) = open(&changes, policy()).await else {
        return Err(Said::Absent("a kernel of its own: its changes are always in memory".to_owned()));
    };
    let said = match sandbox.try_to_run(&stage.shell(script, "inside")).await {
        Ok(ran) => said(&ran.output),
        Err(sandbox::Error::Lost { reason }) => Said::Held(reason),
        Err(error) => Said::Unclear(error.to_string()),
    };
    sandbox.sandbox.close().await.unwrap();
    Ok((said, fs::read_dir(&changes).unwrap().count()))
}

/// What it comes to when all of it has to be gone.
fn gone(left: Result<(Said, usize), Said>) -> Said {
    match left {
        Ok((Said::Held(why), 0)) => Said::Held(why),
        Ok((Said::Held(_), left)) => Said::Breached(format!("{left} folders are left")),
        Ok((other, _)) | Err(other) => other,
    }
}

const NESTED: &str = r#"
os.mkdir("whole")
for _ in range(200):
    chain = "next" + "/d" * 99
    os.makedirs(chain)
    os.rename("whole", chain + "/d")
    os.rename("next", "whole")
"#;

/// A removal that calls itself for each level, as they are written.
const RECURSIVE: &str = r#"
def remove(folder):
    for entry in os.scandir(folder):
        remove(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
    os.rmdir(folder)
try:
    remove("whole")
    why = None
except (RecursionError, OSError) as error:
    why = type(error).__name__
subprocess.run(["rm", "-rf", "whole"])
breached(why) if why else held("removed")
"#;

fn nested(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let attack = gone(left_of(stage, &format!("{NESTED}held('they are there')")).await);
        Tried { attack, control: stage.outside(&format!("{NESTED}{RECURSIVE}")).await }
    })
}

const SHUT: &str = r#"
os.makedirs("shut/in/deep")
for link in ["shut/link", "shut/in/deep/link"]:
    os.symlink(os.environ["OPEN_FOLDER"], link)
for folder in ["shut/in/deep", "shut/in", "shut"]:
    os.chmod(folder, 0)
"#;

/// A removal that follows what it finds.
const FOLLOWING: &str = r#"
def remove(folder):
    os.chmod(folder, 0o700)
    for entry in os.scandir(folder):
        remove(entry.path) if entry.is_dir() else os.unlink(entry.path)
remove("shut")
held("it is there") if os.path.exists(os.environ["OPEN_FOLDER"] + "/kept") else breached("a file of this machine is gone")
"#;

fn shut(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let kept = stage.open_folder().join("kept");
        fs::write(&kept, "").unwrap();
        let left = left_of(stage, &format!("{SHUT}held('they are there')")).await;
        let attack = match kept.exists() {
            true => gone(left),
            false => Said::Breached("a file of this machine is gone".to_owned()),
        };
        fs::write(&kept, "").unwrap();
        let control = stage.outside(&format!("{SHUT}{FOLLOWING}")).await;
        fs::set_permissions(stage.open_folder(), Permissions::from_mode(0o777)).unwrap();
        drop(fs::remove_file(kept));
        Tried { attack, control }
    })
}

/// Goes on until it is ended; the policy's bound is a fourth of it.
const TOO_MUCH: &str = r#"
for number in range(16 if INSIDE else 1):
    with open(f"big{number}", "wb") as file:
        for _ in range(16):
            file.write(b"x" * (1 << 20))
time.sleep(20 if INSIDE else 0)
breached("256 MiB" if INSIDE else "nothing bounds it but the disk")
"#;

fn too_much(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let attack = match left_of(stage, TOO_MUCH).await {
            Ok((Said::Breached(_), _)) if super::stage::kind() == "namespaces" => Said::Absent(
                "on a disk no more than a file's size is bounded in namespaces, which the sandbox says"
                    .to_owned(),
            ),
            left => gone(left),
        };
        Tried { attack, control: stage.outside(TOO_MUCH).await }
    })
}

const LINKS: &str = r#"
os.symlink(os.environ["CANARY"], "link")
os.symlink(os.path.dirname(os.environ["CANARY"]), "through")
subprocess.run(["rm", "-rf", "folder"], check=True)
os.symlink(os.path.dirname(os.environ["CANARY"]), "folder")
held("they are there") if INSIDE else tried("read", lambda: open("link").read())
"#;

fn links(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let place = passable();
        let control = stage.outside(LINKS).await;
        let Some(sandbox) = open(&place.path().join("changes"), policy()).await else {
            let why = "a kernel of its own: its changes are always in memory".to_owned();
            return Tried { attack: Said::Absent(why), control };
        };
        let ran = sandbox.run(&stage.shell(LINKS, "inside")).await;
        let mut read = Vec::new();
        for changed in sandbox.sandbox.changes().await.unwrap().paths {
            if let events::Content::File { bytes, .. } =
                sandbox.sandbox.content(&changed, 1 << 20).await.unwrap()
            {
                read.push((changed.path, bytes));
            }
        }
        sandbox.sandbox.close().await.unwrap();
        let canary = super::stage::CANARY.as_bytes();
        let leaked = read.iter().any(|(_, bytes)| bytes.windows(canary.len()).any(|part| part == canary));
        let attack = match (said(&ran.output), leaked) {
            (Said::Held(_), false) => {
                Said::Held(format!("{} files read, none of this machine's", read.len()))
            }
            (_, true) => Said::Breached("what a link leads to was read".to_owned()),
            (other, false) => other,
        };
        Tried { attack, control }
    })
}
