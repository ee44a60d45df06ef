//! Repositories that lead elsewhere, beside what git makes of them.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

fn git(folder: &Path, arguments: &[&str]) {
    let arguments = [&["-c", "user.name=x", "-c", "user.email=x"], arguments].concat();
    let done = Command::new("git").args(arguments).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A folder without links in its path, and an empty repository in it.
fn world() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap();
    git(&place, &["init", "-q", "a"]);
    (folder, place)
}

fn reached(folder: &Path) -> Vec<PathBuf> {
    reached_from(folder).unwrap().into_iter().collect()
}

#[test]
fn what_is_reached_is_what_git_uses() {
    let (_folder, place) = world();
    let at = |names: &[&str]| names.iter().map(|name| place.join(name)).collect::<Vec<_>>();
    let alone = at(&["a/.git"]);
    assert_eq!(reached(&place.join("a")), alone);
    // The folder itself may be named, or be one without a work tree.
    assert_eq!(reached(&place.join("a/.git")), alone);
    git(&place.join("a"), &["commit", "-q", "--allow-empty", "-m", "x"]);
    git(&place.join("a"), &["worktree", "add", "-q", "../w"]);
    let worktree = [alone, at(&["a/.git/worktrees/w"])].concat();
    assert_eq!(reached(&place.join("w")), worktree);
    git(&place, &["clone", "-q", "--shared", "--bare", "a", "b.git"]);
    git(&place, &["clone", "-q", "--shared", "b.git", "c"]);
    let borrowing = at(&["a/.git/objects", "b.git/objects", "c/.git"]);
    assert_eq!(reached(&place.join("c")), borrowing);
}

#[test]
fn files_that_are_links_count_by_what_they_lead_to() {
    let (_folder, place) = world();
    let private = place.join("private");
    fs::write(&private, "canary\n").unwrap();
    for name in ["packed-refs", "shallow", "info/grafts", "objects/info/alternates"] {
        let link = place.join("a/.git").join(name);
        symlink(&private, &link).unwrap();
        assert!(reached_from(&place.join("a")).unwrap().contains(&private), "{name}");
        fs::remove_file(link).unwrap();
    }
    assert!(!reached_from(&place.join("a")).unwrap().contains(&private));
}

#[test]
fn links_and_lenders_are_followed_to_the_last_one() {
    const MANY: usize = 2_000;
    let (_folder, place) = world();
    let chain = |name: &str, link: &dyn Fn(&Path, &str)| {
        for number in 0..MANY {
            let folder = place.join(format!("{name}{number}"));
            fs::create_dir(&folder).unwrap();
            link(&folder, &format!("../{name}{}", number + 1));
        }
        fs::create_dir(place.join(format!("{name}{MANY}"))).unwrap();
    };
    chain("l", &|folder, next| symlink(next, folder.join("x")).unwrap());
    chain("s", &|folder, next| {
        fs::create_dir(folder.join("info")).unwrap();
        fs::write(folder.join("info/alternates"), next).unwrap();
    });
    symlink(place.join("l0"), place.join("a/.git/refs/heads/x")).unwrap();
    let alternates = format!("{}\n", place.join("s0").display());
    fs::write(place.join("a/.git/objects/info/alternates"), alternates).unwrap();
    let reached = reached_from(&place.join("a")).unwrap();
    assert!(["l", "s"].iter().all(|name| reached.contains(&place.join(format!("{name}{MANY}")))));
}

#[test]
fn a_carriage_return_belongs_to_a_name() {
    let (_folder, place) = world();
    let private = place.join("private");
    fs::create_dir(&private).unwrap();
    symlink(&private, place.join("x\r")).unwrap();
    let alternates = format!("{}\r\n", place.join("x").display());
    fs::write(place.join("a/.git/objects/info/alternates"), alternates).unwrap();
    assert!(reached(&place.join("a")).contains(&private));
}

#[test]
fn every_place_that_git_tries_counts_until_one_is_certain() {
    let (_folder, place) = world();
    git(&place, &["init", "-q", "--bare", "private"]);
    symlink(place.join("private"), place.join("a.git")).unwrap();
    let (a, private) = (place.join("a"), place.join("private"));
    assert!(!reached(&a).contains(&private));
    for head in ["garbage\n", "ref: elsewhere\n", ""] {
        fs::write(a.join(".git/HEAD"), head).unwrap();
        // This is what git makes of it.
        let taken = Command::new("git").args(["upload-pack", "--advertise-refs"]).arg(&a).output().unwrap();
        assert!(taken.status.success(), "{head}");
        assert!(reached(&a).contains(&private), "{head}");
    }
    symlink(&place, private.join("logs")).unwrap();
    assert!(refuse_links(&a, "refs/heads/x").is_err());
}

#[test]
fn what_cannot_be_followed_to_its_end_is_no_repository() {
    let (_folder, place) = world();
    let alternates = place.join("a/.git/objects/info/alternates");
    let refused = || reached_from(&place.join("a")).unwrap_err().to_string();
    fs::write(&alternates, "\"quoted\\n\"\n").unwrap();
    assert!(refused().contains("quoted"), "{}", refused());
    fs::write(&alternates, "x".repeat(2_000_000)).unwrap();
    assert!(refused().contains("too long"), "{}", refused());
    fs::remove_file(&alternates).unwrap();
    assert!(Command::new("mkfifo").arg(&alternates).status().unwrap().success());
    assert!(refused().contains("is none"), "{}", refused());
    fs::remove_file(&alternates).unwrap();
    symlink("nowhere", place.join("a/.git/refs/heads/link")).unwrap();
    assert!(refused().contains("leads nowhere"), "{}", refused());
    fs::remove_file(place.join("a/.git/refs/heads/link")).unwrap();
    fs::write(&alternates, "# nothing\n\n/nowhere\n").unwrap();
    assert!(reached_from(&place.join("a")).is_ok());
    let branch = place.join("a/.git/refs/heads/stands");
    for target in ["my/own", "refs/../my/own"] {
        fs::write(&branch, format!("ref: {target}\n")).unwrap();
        assert!(refused().contains("stands for what is none"), "{}", refused());
    }
    // By a link to a folder of another name as well.
    fs::create_dir(place.join("elsewhere")).unwrap();
    fs::rename(&branch, place.join("elsewhere/stands")).unwrap();
    symlink(place.join("elsewhere"), place.join("a/.git/refs/heads/more")).unwrap();
    assert!(refused().contains("stands for what is none"), "{}", refused());
    fs::remove_file(place.join("a/.git/refs/heads/more")).unwrap();
    fs::write(&branch, "ref: refs/heads/main\n").unwrap();
    assert!(reached_from(&place.join("a")).is_ok());
    fs::create_dir(place.join("a/.git/reftable")).unwrap();
    fs::write(place.join("a/.git/reftable/tables.list"), "../../b/0x1.ref\n").unwrap();
    assert!(refused().contains("holds paths"), "{}", refused());
    assert!(refuse_links(&place.join("a"), "refs/heads/x").is_err());
    fs::write(place.join("a/.git/reftable/tables.list"), "0x1.ref\n").unwrap();
    assert!(reached_from(&place.join("a")).is_ok());
    assert!(refuse_links(&place.join("a"), "refs/heads/x").is_ok());
    assert!(refuse_links(&place.join("a"), "refs/heads/stands").is_err());
    git(&place.join("a"), &["config", "includeIf.onbranch:x.path", "/etc/passwd"]);
    assert!(refused().contains("include"), "{}", refused());
    git(&place.join("a"), &["config", "--unset", "includeIf.onbranch:x.path"]);
    fs::write(place.join("a/.git/config"), "[core]\nrepositoryformatversion = 0\n").unwrap();
    let worktree = place.join("a/.git/worktrees/w");
    fs::create_dir_all(&worktree).unwrap();
    fs::write(worktree.join("commondir"), place.join("a").to_str().unwrap()).unwrap();
    assert!(reached(&place.join("a")).contains(&place.join("a")));
    let head = place.join("a/.git/HEAD");
    fs::remove_file(&head).unwrap();
    symlink("refs/heads/not-there-yet", &head).unwrap();
    assert!(reached_from(&place.join("a")).is_ok());
    fs::remove_file(&head).unwrap();
    assert_eq!(refused(), "there is no git repository");
}

#[test]
fn a_push_is_refused_wherever_a_link_would_lead_it() {
    for link in
        ["refs/heads/x/y", "refs/heads/x", "refs/heads", "refs", "logs/refs/heads/x", "logs", "objects/pack"]
    {
        let (_folder, place) = world();
        let dot_git = place.join("a/.git");
        assert!(refuse_links(&place.join("a"), "refs/heads/x/y").is_ok());
        let target = place.join("target");
        let link = dot_git.join(link);
        if link.exists() {
            fs::rename(&link, &target).unwrap();
        } else {
            fs::create_dir_all(link.parent().unwrap()).unwrap();
        }
        symlink(&target, &link).unwrap();
        let refused = refuse_links(&place.join("a"), "refs/heads/x/y").unwrap_err().to_string();
        assert!(refused.contains(&*link.to_string_lossy()), "{refused}");
    }
}
