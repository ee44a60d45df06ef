//! Nothing that a repository says is run, and nothing secret is left lying about.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use events::{Hosted, Remote, Tenant};
use repo::{Credential, Error, Expect, Repos, Source};
use secrecy::SecretString;

use crate::recording::mirror_dir;
use crate::world::{World, contents, git, main_branch, run};

/// A script that leaves a mark when it is run.
fn trap(dir: &Path, name: &str) -> String {
    let script = dir.join(name);
    let mark = dir.join("run-by-somebody");
    fs::write(&script, format!("#!/bin/sh\necho {name} >> '{}'\n", mark.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

/// Sets every setting of `origin` that we know to run a program.
fn arm(origin: &Path, traps: &Path) {
    let hooks = origin.join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in
        ["pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive"]
    {
        fs::copy(trap(traps, hook), hooks.join(hook)).unwrap();
    }
    let config = |key: &str, value: &str| git(origin, &["config", key, value]);
    config("core.hooksPath", hooks.to_str().unwrap());
    config("core.fsmonitor", &trap(traps, "fsmonitor"));
    config("core.alternateRefsCommand", &trap(traps, "alternate-refs"));
    config("uploadpack.packObjectsHook", &trap(traps, "pack-objects"));
    config("core.sshCommand", &trap(traps, "ssh"));
    config("core.pager", &trap(traps, "pager"));
    config("gpg.program", &trap(traps, "gpg"));
    config("filter.trap.smudge", &trap(traps, "smudge"));
    config("filter.trap.clean", &trap(traps, "clean"));
    config("filter.trap.process", &trap(traps, "process"));
    config("diff.trap.textconv", &trap(traps, "textconv"));
    config("diff.trap.command", &trap(traps, "diff"));
    config("diff.external", &trap(traps, "external"));
    config("merge.trap.driver", &trap(traps, "merge"));
    config("credential.helper", &trap(traps, "credential"));
    // A push that is checked by it fails, and says a line of the file.
    config("receive.fsckObjects", "true");
    config("receive.fsck.skipList", &trap(traps, "no-list"));
    // An object store beside it makes the receiving side ask for its refs.
    let other = traps.join("other.git");
    run("git", &["init", "-q", "--bare", other.to_str().unwrap()]);
    fs::write(origin.join(".git/objects/info/alternates"), format!("{}\n", other.join("objects").display()))
        .unwrap();
}

#[tokio::test]
async fn a_hostile_repository_runs_nothing() {
    let traps = tempfile::tempdir().unwrap();
    let world = World::new(|dir| {
        fs::write(dir.join(".gitattributes"), "* filter=trap diff=trap merge=trap\n").unwrap();
        fs::write(dir.join("a"), "a\n").unwrap();
    })
    .await;
    arm(&world.origin(), traps.path());
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    session.work.write(".gitattributes", b"* filter=trap diff=trap -text\n");
    let saved = session.save().await.commit.unwrap();
    let commit = session.commit(&saved).await;
    session.mirror.diff(&session.base.commit, &commit).await.unwrap();
    session.mirror.stats(&session.base.commit, &commit).await.unwrap();
    let branch = "backspace/x".parse().unwrap();
    session.mirror.push(&world.source(), &commit, &branch, &Expect::New).await.unwrap();
    assert_eq!(
        git(&world.origin(), &["-c", "core.fsmonitor=false", "rev-parse", "backspace/x"]),
        commit.as_str()
    );
    let mark = || fs::read_to_string(traps.path().join("run-by-somebody")).unwrap_or_default();
    assert_eq!(mark(), "", "something was run");
    // The traps do work: they catch whoever pushes there without care.
    git(&world.origin(), &["config", "--unset", "receive.fsckObjects"]);
    git(&mirror_dir(&world), &["push", "-q", world.origin().to_str().unwrap(), "main:refs/heads/careless"]);
    let caught = mark();
    assert!(
        ["pre-receive", "post-update", "alternate-refs"].iter().all(|trap| caught.contains(trap)),
        "{caught}"
    );
}

#[tokio::test]
async fn a_push_writes_no_lists_for_servers_through_links() {
    let elsewhere = tempfile::tempdir().unwrap();
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let info = world.origin().join(".git/info");
    fs::remove_dir_all(&info).unwrap();
    symlink(elsewhere.path(), &info).unwrap();
    git(&world.origin(), &["config", "receive.updateServerInfo", "true"]);
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    let commit = session.save().await.commit.unwrap();
    let commit = session.commit(&commit).await;
    session.mirror.push(&world.source(), &commit, &"x".parse().unwrap(), &Expect::New).await.unwrap();
    let written = || fs::read_dir(elsewhere.path()).unwrap().count();
    assert_eq!(written(), 0);
    // Whoever pushes there without care does.
    git(&mirror_dir(&world), &["push", "-q", world.origin().to_str().unwrap(), "main:refs/heads/careless"]);
    assert_eq!(written(), 1);
}

#[tokio::test]
async fn a_push_that_a_setting_could_run_a_program_by_is_refused() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    let commit = session.save().await.commit.unwrap();
    let commit = session.commit(&commit).await;
    let branch = "x".parse().unwrap();
    // In a file of its own, which git reads as well.
    fs::write(world.origin().join(".git/more"), "[hook \"a=b\"]\n event = pre-receive\n command = true\n")
        .unwrap();
    git(&world.origin(), &["config", "include.path", "more"]);
    let refused = session.mirror.push(&world.source(), &commit, &branch, &Expect::New).await.unwrap_err();
    assert!(matches!(&refused, Error::LeadsAway { what } if what.contains("`hook.a=b.event`")), "{refused}");
    git(&world.origin(), &["config", "--unset", "include.path"]);
    session.mirror.push(&world.source(), &commit, &branch, &Expect::New).await.unwrap();
}

#[tokio::test]
async fn a_repository_of_another_user_is_read() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    if !rustix_is_root() {
        return;
    }
    run("chown", &["-R", "65534:65534", world.origin().to_str().unwrap()]);
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    let commit = session.save().await.commit.unwrap();
    let commit = session.commit(&commit).await;
    session.mirror.push(&world.source(), &commit, &"x".parse().unwrap(), &Expect::New).await.unwrap();
}

/// Makes a commit of `levels` folders in each other, each of which holds the next ten times, around the file `blob`.
fn bomb(origin: &Path, levels: u32, blob: &str) -> String {
    let ten = |mode: &str, kind: &str, oid: &str| -> String {
        (0..10).map(|n| format!("{mode} {kind} {oid}\t{n}\n")).collect()
    };
    let mut tree = make_tree(origin, &ten("100644", "blob", blob));
    for _ in 1..levels {
        tree = make_tree(origin, &ten("040000", "tree", &tree));
    }
    git(origin, &["commit-tree", "-m", "bomb", &tree])
}

#[tokio::test]
async fn a_small_pack_of_more_than_the_machine_holds_is_refused_before_it_is_unpacked() {
    // Ten thousand million files of six bytes, and a hundred thousand of one MiB of nothing.
    for (levels, content, said) in [(10, 6, "more files"), (5, 1 << 20, "MiB")] {
        let world = World::new(|dir| fs::write(dir.join("zero"), vec![0; content]).unwrap()).await;
        let origin = world.origin();
        let commit = bomb(&origin, levels, &git(&origin, &["rev-parse", "HEAD:zero"]));
        git(&origin, &["update-ref", "refs/heads/main", &commit]);
        let (mirror, _) = world.repos.mirror(&world.source()).await.unwrap();
        let refused = mirror.base_tree(&commit.parse().unwrap(), &main_branch()).await.unwrap_err();
        assert!(matches!(&refused, Error::Unfit { what } if what.contains(said)), "{refused}");
        let left = contents(&world.dir.path().join("home/trees"));
        assert!(left.iter().all(|(path, _)| path.ends_with(b".lock")), "{left:?}");
    }
}

#[tokio::test]
async fn a_tree_as_deep_as_paths_can_be_is_checked_out() {
    let deep = vec!["d"; 1000].join("/");
    let world = World::new(|dir| {
        fs::create_dir_all(dir.join(&deep)).unwrap();
        fs::write(dir.join(&deep).join("file"), "deep\n").unwrap();
    })
    .await;
    let session = world.session().await;
    let work = session.base.layers.last().unwrap();
    assert_eq!(fs::read_to_string(work.join(&deep).join("file")).unwrap(), "deep\n");
}

fn rustix_is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn trees_that_point_out_of_themselves_are_refused() {
    for name in [".git", ".GIT", "git~1", "..", ".git\u{200c}"] {
        let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
        let origin = world.origin();
        let blob = git(&origin, &["rev-parse", "HEAD:a"]);
        let inner = make_tree(&origin, &format!("100644 blob {blob}\tconfig\n"));
        let tree = make_tree(&origin, &format!("040000 tree {inner}\t{name}\n"));
        let commit = git(&origin, &["commit-tree", "-m", "bad", &tree]);
        git(&origin, &["update-ref", "refs/heads/main", &commit]);
        let refused = world.repos.mirror(&world.source()).await;
        assert!(matches!(refused, Err(Error::Git { .. })), "{name}: {refused:?}");
        let outside = contents(&world.dir.path().join("home/trees"));
        assert_eq!(outside, []);
    }
}

fn make_tree(dir: &Path, listing: &str) -> String {
    let file = dir.join(".git/listing");
    fs::write(&file, listing).unwrap();
    let output = std::process::Command::new("git")
        .args(["mktree"])
        .current_dir(dir)
        .stdin(fs::File::open(file).unwrap())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_linked_folder_is_not_written_through() {
    let elsewhere = tempfile::tempdir().unwrap();
    let world = World::new(|dir| {
        fs::create_dir(dir.join("d")).unwrap();
        fs::write(dir.join("d/file"), "x\n").unwrap();
        symlink(elsewhere.path(), dir.join("out")).unwrap();
    })
    .await;
    let mut session = world.session().await;
    // A folder becomes a link to somewhere else, with a file below it in the list.
    fs::remove_dir_all(session.work.path("d")).unwrap();
    symlink(elsewhere.path(), session.work.path("d")).unwrap();
    let commit = session.save().await.commit.unwrap();
    let tree = session.mirror.base_tree(&commit, &main_branch()).await.unwrap();
    assert!(fs::symlink_metadata(tree.layers.last().unwrap().join("d")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_change_that_git_finds_unsound_is_not_delivered() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let mut session = world.session().await;
    session
        .work
        .write(".gitmodules", b"[submodule \"../../evil\"]\n\tpath = x\n\turl = --upload-pack=touch\n");
    let saved = session.save().await.commit.unwrap();
    let new = repo::NewCommit {
        tree_of: saved,
        parent: session.base.commit.clone(),
        message: "x".to_owned(),
        author_name: "x".to_owned(),
        author_email: "x".to_owned(),
        at_us: 0,
    };
    let refused = session.mirror.commit(&new).await;
    assert!(matches!(refused, Err(Error::Unsound { .. })), "{refused:?}");
}

const TOKEN: &str = "ghp_averysecrettoken0123456789";

/// A source that nobody answers for, reached with a token.
fn hosted(host: &str) -> Source {
    let hosted = Hosted {
        scheme: "http".to_owned(),
        host: host.to_owned(),
        owner: "o".to_owned(),
        name: "n".to_owned(),
    };
    let credential = Credential { user: "x-access-token".to_owned(), password: SecretString::from(TOKEN) };
    Source { remote: Remote::Hosted(hosted), tenant: Tenant::default(), credential: Some(credential) }
}

#[tokio::test]
async fn the_token_is_in_the_environment_alone() {
    let dir = tempfile::tempdir().unwrap();
    let fake = dir.path().join("git");
    let seen = dir.path().join("seen");
    // Writes down how it was started, and complains with the token in its mouth.
    let script = format!(
        "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/cmdline > '{0}.args'\nenv > '{0}.env'\n\
         echo \"fatal: {TOKEN} is wrong\" >&2\necho Basic $(printf 'x-access-token:{TOKEN}' | base64) >&2\nexit 128\n",
        seen.display()
    );
    fs::write(&fake, script).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let home = dir.path().join("home");
    let repos = Repos::open(home.clone()).await.unwrap().with_git(fake);
    let error = repos.mirror(&hosted("127.0.0.1:1")).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(told.contains("[redacted]") && !told.contains(TOKEN), "{told}");
    assert!(!told.contains("eC1hY2Nlc3MtdG9rZW46"), "{told}");
    let args = fs::read_to_string(dir.path().join("seen.args")).unwrap();
    assert!(!args.contains(TOKEN) && !args.to_lowercase().contains("authorization"), "{args}");
    let environment = fs::read_to_string(dir.path().join("seen.env")).unwrap();
    assert!(environment.contains("Authorization: Basic"), "{environment}");
    let names = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let ours = ["PATH", "HOME", "LC_ALL", "PWD", "_", "OLDPWD", "SHLVL"];
    let foreign: Vec<_> = names.filter(|name| !name.starts_with("GIT_") && !ours.contains(name)).collect();
    assert_eq!(foreign, Vec::<&str>::new(), "nothing of our own environment is passed on");
    for (path, content) in contents(&home) {
        let bytes = format!("{content:?}");
        assert!(!bytes.contains(TOKEN), "the token lies in {}", String::from_utf8_lossy(&path));
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_a_network_error() {
    let dir = tempfile::tempdir().unwrap();
    let repos = Repos::open(dir.path().join("home")).await.unwrap();
    let error = repos.mirror(&hosted("127.0.0.1:1")).await.unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error:?}");
    let gone = Source { remote: Remote::Local("/nonexistent/repository".into()), ..hosted("x") };
    let error = repos.mirror(&gone).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}
