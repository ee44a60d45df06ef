//! Attacks that look for what the service holds: its environment, its memory, its files.

use std::path::Path;
use std::process::{Command, Output};

use super::stage::{CANARY, Said, settings};
use super::{Attack, Class, How, Trial, Tried};
use crate::cli::backspace;

/// Where a key could be found.
pub(crate) const CLASS: Class = Class { name: "secrets", attacks: ATTACKS };

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "the environment and command line of every process",
        how: How::Code(|_| searched(PROCESSES)),
    },
    Attack { name: "the memory of every process", how: How::Code(|_| searched(MEMORY)) },
    Attack { name: "open files of every process", how: How::Code(|_| searched(OPEN_FILES)) },
    Attack { name: "every file that can be read, outside of /usr", how: How::Code(|_| searched(FILES)) },
    Attack { name: "the service's own folder, the home and its keys", how: How::Code(|_| searched(HOME)) },
];

/// Which processes are looked at: all of them inside; outside the parent, which holds what it looks for.
const PROCESSES: &str =
    "env; for it in $WHICH; do cat $it/environ $it/cmdline; done 2>/dev/null | tr '\\0' '\\n'";
const MEMORY: &str = r#"python3 - <<'END'
import glob, os, re
for process in glob.glob(os.environ["WHICH"]):
    # Of others only: this one holds what it looks for.
    if process == f"/proc/{os.getpid()}":
        continue
    try:
        memory = open(f"{process}/mem", "rb", 0)
        for line in open(f"{process}/maps"):
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            if " rw" in line and end - begin < 64 << 20:
                memory.seek(begin)
                for found in re.findall(rb"canary-[0-9a-f]{10}", memory.read(end - begin)):
                    print(process, found.decode())
    except (OSError, ValueError, OverflowError):
        pass
END"#;
const OPEN_FILES: &str = "for file in $(echo $WHICH/fd/*); do timeout 1 head -c 1000000 \"$file\" 2>/dev/null | grep -a canary-; done; true";
const FILES: &str = "find $ROOT -xdev -type f -not -path '/usr/*' -not -path '/proc/*' -readable -size -1000k 2>/dev/null | xargs -d '\\n' grep -las canary- 2>/dev/null | xargs -r cat
[ $ROOT != / ] || for place in /work /tmp /home/agent /dev/shm /etc /run; do grep -ras canary- $place; done 2>/dev/null; true";
const HOME: &str = "for home in $HOMES; do cat $home/.ssh/id_* $home/.netrc $home/.git-credentials $home/.npmrc $home/key $home/state/* 2>/dev/null; done; true";

/// A home folder and an environment full of secrets.
fn with_secrets(command: &mut Command, home: &Path) {
    std::fs::create_dir_all(home.join(".ssh")).unwrap();
    std::fs::create_dir_all(home.join("state")).unwrap();
    for file in [".ssh/id_ed25519", ".netrc", ".git-credentials", ".npmrc", "key", "state/token"] {
        std::fs::write(home.join(file), CANARY).unwrap();
    }
    command.env("HOME", home).env("OPENAI_API_KEY", CANARY).env("GITHUB_TOKEN", CANARY);
}

/// Whether `script` finds the canary inside; the control is the same script as a child that inherits what its parent has.
fn searched(script: &'static str) -> Trial<'static> {
    Box::pin(async move {
        let (inside, outside) =
            tokio::task::spawn_blocking(move || (inside(script), outside(script))).await.unwrap();
        let found = |done: &Output| String::from_utf8_lossy(&done.stdout).contains(CANARY);
        let attack = match (found(&inside), inside.status.code()) {
            (true, _) => Said::Breached("it is found".to_owned()),
            (false, Some(0)) => Said::Held("it is not found".to_owned()),
            (false, _) => Said::Unclear(format!("{inside:?}")),
        };
        let control = match found(&outside) {
            true => Said::Breached("it is found".to_owned()),
            false => Said::Held(format!("{outside:?}")),
        };
        Tried { attack, control }
    })
}

fn inside(script: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let mut command = backspace(home.path());
    with_secrets(&mut command, home.path());
    let place = home.path().display();
    let script =
        format!("export ROOT=/ HOMES=\"$HOME /root /home/* {place}\" WHICH='/proc/[0-9]*'\n{script}");
    command.envs(settings()).arg("sandbox").arg(&folder).args(["--", "bash", "-c", &script]).output().unwrap()
}

fn outside(script: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("bash");
    with_secrets(&mut command, home.path());
    // A folder and a process of its own instead of all of this machine: it shall find what is there, and soon. The
    // parent holds the key in its memory and in an open file, as a service does.
    let place = home.path().display();
    let parent = format!(
        "export ROOT={place} HOMES={place} WHICH=/proc/$$; key={CANARY}; exec 9< {place}/key; (\n{script}\n); exit 0"
    );
    command.args(["-c", &parent]).output().unwrap()
}
