//! Attacks by the `.git` of a repository on this machine: git reads it where it stands, as the service's user.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use session::request::{self, LocalRepositories, Rules};

use super::stage::{Said, config};
use super::{Attack, Class, How, Trial, Tried};
use crate::world::{Bent, World, calls, finish, git, make_repository, the_fix};

/// What stands in a `.git` beside objects and branches.
pub(crate) const CLASS: Class = Class { name: "local repositories", attacks: ATTACKS };

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack { name: "objects that a program of its own shall fetch", how: How::Code(|_| promisor()) },
    Attack {
        name: "branches and logs that are links to folders of this machine",
        how: How::Code(|_| links()),
    },
    Attack {
        name: "a .git, objects or branches outside of the folders that are allowed",
        how: How::Code(|_| outside()),
    },
];

/// A session that changes the repository and pushes, after `arm` has been at its `.git`.
async fn pushed(arm: impl FnOnce(&Path)) -> (World, String) {
    let mut bent = Bent::replies([calls([the_fix()]), calls([finish()])]);
    bent.sandbox = config();
    let world = World::local(bent).await;
    arm(&Path::new(&world.repository).join(".git"));
    let entries = world.run_once(json!({ "branch": "out/x" })).await;
    let end = entries.last().unwrap().event.payload().unwrap();
    (world, end)
}

/// Pushes to `repository` as a service without care does.
fn careless(repository: &Path, folder: &Path) {
    let clone = folder.join("clone");
    git(folder, &["clone", "-q", repository.to_str().unwrap(), clone.to_str().unwrap()]);
    git(&clone, &["commit", "-q", "--allow-empty", "-m", "x"]);
    let _refused = Command::new("git")
        .args(["-c", "safe.directory=*", "push", "-q", "origin", "HEAD:refs/heads/out/careless"])
        .current_dir(&clone)
        .output()
        .unwrap();
}

/// Says that its objects are to be fetched, and borrows them from so far away that git finds them missing in a push.
fn borrow_from_afar(dot_git: &Path, program: &Path) {
    const STORES: usize = 6;
    let settings = format!(
        "[core]\n repositoryformatversion = 1\n[extensions]\n partialClone = origin\n[receive]\n fsckObjects = true\n\
         [remote \"origin\"]\n url = ./.git\n promisor = true\n uploadpack = {}\n",
        program.display()
    );
    let config = dot_git.join("config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + &settings).unwrap();
    let store =
        |number: usize| dot_git.join(if number == 0 { "objects".to_owned() } else { format!("s{number}") });
    fs::rename(store(0), store(STORES)).unwrap();
    for number in 0..STORES {
        fs::create_dir_all(store(number).join("info")).unwrap();
        fs::create_dir(store(number).join("pack")).unwrap();
        fs::write(store(number).join("info/alternates"), format!("../s{}\n", number + 1)).unwrap();
    }
}

fn promisor() -> Trial<'static> {
    Box::pin(async {
        let folder = tempfile::tempdir().unwrap();
        let trap = |name: &str| {
            let (program, mark) = (folder.path().join(name), folder.path().join(format!("{name}-ran")));
            fs::write(&program, format!("#!/bin/sh\ntouch {}\nexit 1\n", mark.display())).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            (program, mark)
        };
        let (program, mark) = trap("service");
        let (_world, end) = pushed(|dot_git| borrow_from_afar(dot_git, &program)).await;
        let attack = if mark.exists() { Said::Breached("it was run".to_owned()) } else { Said::Held(end) };
        let (program, mark) = trap("careless");
        let repository = folder.path().join("calc");
        make_repository(&repository);
        borrow_from_afar(&repository.join(".git"), &program);
        careless(&repository, folder.path());
        let control = match mark.exists() {
            true => Said::Breached("git ran it".to_owned()),
            false => Said::Held("git did not run it".to_owned()),
        };
        Tried { attack, control }
    })
}

/// Makes the folder of the branches `out/…` and that of their logs links to folders below `target`.
fn lead_away(dot_git: &Path, target: &Path) {
    for name in ["refs/heads/out", "logs/refs/heads/out"] {
        let (link, leads_to) = (dot_git.join(name), target.join(name));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::create_dir_all(&leads_to).unwrap();
        symlink(leads_to, link).unwrap();
    }
    git(dot_git, &["config", "core.logAllRefUpdates", "always"]);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

fn links() -> Trial<'static> {
    Box::pin(async {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("service");
        let (_world, end) = pushed(|dot_git| lead_away(dot_git, &target)).await;
        let written = files_below(&target);
        let attack =
            if written.is_empty() { Said::Held(end) } else { Said::Breached(format!("{written:?}")) };
        let (repository, target) = (folder.path().join("calc"), folder.path().join("careless"));
        make_repository(&repository);
        lead_away(&repository.join(".git"), &target);
        careless(&repository, folder.path());
        let written = files_below(&target);
        let control = if written.len() == 2 {
            Said::Breached(format!("{written:?}"))
        } else {
            Said::Held(format!("{written:?}"))
        };
        Tried { attack, control }
    })
}

fn outside() -> Trial<'static> {
    Box::pin(async {
        let folder = tempfile::tempdir().unwrap();
        let (private, allowed) = (folder.path().join("private"), folder.path().join("allowed"));
        make_repository(&private);
        let git_of = |name: &str| allowed.join(name).join(".git");
        const WAYS: [&str; 12] = [
            "points", "borrows", "returns", "shares", "linked", "branches", "packs", "repeats", "beside",
            "stands", "worktree", "includes",
        ];
        for name in WAYS.into_iter().skip(1).chain(["fair"]) {
            fs::create_dir_all(&allowed).unwrap();
            make_repository(&allowed.join(name));
        }
        let private_git = private.join(".git");
        fs::create_dir(allowed.join("points")).unwrap();
        fs::write(git_of("points"), format!("gitdir: {}\n", private_git.display())).unwrap();
        let alternates = format!("{}\n", private_git.join("objects").display());
        fs::write(git_of("borrows").join("objects/info/alternates"), alternates).unwrap();
        fs::write(git_of("shares").join("commondir"), private_git.to_str().unwrap()).unwrap();
        symlink(private_git.join("objects"), folder.path().join("objects\r")).unwrap();
        let alternates = format!("{}\r\n", folder.path().join("objects").display());
        fs::write(git_of("returns").join("objects/info/alternates"), alternates).unwrap();
        for (name, link) in [("linked", "refs"), ("branches", "refs/heads"), ("packs", "objects/pack")] {
            fs::remove_dir_all(git_of(name).join(link)).unwrap();
            symlink(private_git.join(link), git_of(name).join(link)).unwrap();
        }
        fs::write(git_of("stands").join("refs/heads/x"), "ref: my/main\n").unwrap();
        symlink(private_git.join("refs/heads"), git_of("stands").join("my")).unwrap();
        fs::create_dir(git_of("worktree").join("worktrees")).unwrap();
        symlink(&private_git, git_of("worktree").join("worktrees/w")).unwrap();
        git(
            &allowed.join("includes"),
            &["config", "include.path", private_git.join("config").to_str().unwrap()],
        );
        // git passes over a repository that has no branch to be on, and takes what is called so and ends in `.git`.
        fs::write(git_of("beside").join("HEAD"), "nowhere\n").unwrap();
        symlink(&private_git, allowed.join("beside.git")).unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "canary\n").unwrap();
        symlink(&secret, git_of("repeats").join("packed-refs")).unwrap();
        let rules = Rules { local: LocalRepositories::Below(vec![allowed.clone()]), ..Rules::default() };
        let taken = |name: &str| {
            let body = json!({ "repoUrl": allowed.join(name), "prompt": "Do it" }).to_string();
            request::parse(body.as_bytes(), &rules).is_ok()
        };
        let through: Vec<_> = WAYS.into_iter().filter(|name| taken(name)).collect();
        let attack = match (through.is_empty(), taken("fair")) {
            (true, true) => Said::Held(format!("{} refused", WAYS.len())),
            (true, false) => Said::Unclear("an ordinary repository is refused too".to_owned()),
            (false, _) => Said::Breached(format!("{through:?}")),
        };
        // What is not allowed, read through what is.
        let through = git(&allowed.join("points"), &["show", "main:README.md"]);
        let repeats =
            Command::new("git").args(["for-each-ref"]).current_dir(allowed.join("repeats")).output();
        let said = format!("{through} {}", String::from_utf8_lossy(&repeats.unwrap().stderr));
        let control = match through == "# calc" && said.contains("canary") {
            true => Said::Breached(said),
            false => Said::Held(said),
        };
        Tried { attack, control }
    })
}
