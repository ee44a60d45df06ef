//! The ordinary git client against the fake forge.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fakes::forge::{
    self, Access, Bend, Config, FakeForge, NewCommit, NewRepository, Reach, Seed, Token, Visibility,
};
use tempfile::TempDir;

const WRITER: &str = "ghp_writer_0123456789";
const READER: &str = "ghp_reader_0123456789";

struct World {
    forge: FakeForge,
    home: TempDir,
}

impl World {
    async fn new(visibility: Visibility) -> Self {
        let home = TempDir::new().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let forge = forge::start(Config { listen, home: home.path().join("forge") }).await.unwrap();
        let (owner, name) = ("o".to_owned(), "n".to_owned());
        let new = NewRepository { owner, name, visibility, default_branch: Some("trunk".to_owned()) };
        let files = vec![("README.md".to_owned(), "# n\n".to_owned())];
        forge.create_repository(&new, &Seed::Files(files)).await.unwrap();
        for (secret, login, access) in
            [(WRITER, "writer", Access::PullRequests), (READER, "reader", Access::Read)]
        {
            let token = Token { login: login.to_owned(), access, reach: Reach::Everything, sso_url: None };
            forge.allow(secret, token);
        }
        Self { forge, home }
    }

    fn url(&self) -> String {
        format!("{}/o/n", self.forge.url())
    }

    /// Runs git with a token that no argument and no file holds.
    async fn git(&self, token: Option<&str>, folder: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("git");
        command.current_dir(self.home.path().join(folder)).args(arguments);
        command.envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "true"),
            ("GIT_AUTHOR_NAME", "A"),
            ("GIT_AUTHOR_EMAIL", "a@example.com"),
            ("GIT_COMMITTER_NAME", "A"),
            ("GIT_COMMITTER_EMAIL", "a@example.com"),
        ]);
        if let Some(token) = token {
            let basic = STANDARD.encode(format!("x-access-token:{token}"));
            command.envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "http.extraHeader")]);
            command.env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"));
        }
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn clone(&self, token: Option<&str>) -> Output {
        self.git(token, ".", &["clone", "-q", &self.url(), "work"]).await
    }

    /// Commits a file on a branch of the clone and pushes it.
    async fn push(&self, token: Option<&str>, branch: &str, path: &str, content: &[u8]) -> Output {
        let file = self.home.path().join("work").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        ok(&self.git(None, "work", &["switch", "-q", "-C", branch]).await);
        ok(&self.git(None, "work", &["add", "-A"]).await);
        ok(&self.git(None, "work", &["commit", "-q", "-m", "Change"]).await);
        self.git(token, "work", &["push", "-q", "origin", branch]).await
    }
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn clones_and_takes_pushes() {
    let world = World::new(Visibility::Private).await;
    ok(&world.clone(Some(READER)).await);
    assert_eq!(ok(&world.git(None, "work", &["branch", "--show-current"]).await), "trunk");
    ok(&world.push(Some(WRITER), "topic/é", "a.txt", b"a\r\n").await);
    let ours = ok(&world.git(None, "work", &["rev-parse", "HEAD"]).await);
    let theirs = ok(&world.git(Some(READER), "work", &["ls-remote", "origin", "refs/heads/topic/é"]).await);
    assert!(theirs.starts_with(&ours), "{theirs}");
    world.forge.stop().await;
}

#[tokio::test]
async fn packs_of_any_size_pass_in_both_directions() {
    let world = World::new(Visibility::Private).await;
    ok(&world.clone(Some(WRITER)).await);
    // More than git's buffer of 1 MiB, so that it sends chunks; and not to be compressed.
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let content: Vec<u8> = (0..8 * 1024 * 1024).map(|_| random()).collect();
    ok(&world.push(Some(WRITER), "big", "big.bin", &content).await);
    // So many branches that git compresses its request.
    for number in 0..60 {
        ok(&world.git(None, "work", &["branch", &format!("b{number}"), "big~1"]).await);
        let file = NewCommit { branch: &format!("c{number}"), from: Some("trunk"), path: "n", content: "n" };
        world.forge.commit("o/n", &file).await.unwrap();
    }
    ok(&world.git(Some(WRITER), "work", &["push", "-q", "origin", "--all"]).await);
    ok(&world.git(Some(READER), ".", &["clone", "-q", "-b", "big", &world.url(), "again"]).await);
    assert!(std::fs::read(world.home.path().join("again/big.bin")).unwrap() == content);
    let all = ok(&world.git(None, "again", &["branch", "-r"]).await);
    assert_eq!(all.lines().filter(|line| line.contains("origin/c")).count(), 60, "{all}");
}

#[tokio::test]
async fn nobody_and_readers_are_kept_out() {
    let world = World::new(Visibility::Private).await;
    assert!(refused(&world.clone(None).await).contains("Authentication failed"));
    assert!(refused(&world.clone(Some("ghp_wrong_0123456789")).await).contains("Authentication failed"));
    ok(&world.clone(Some(READER)).await);
    let said = refused(&world.push(Some(READER), "topic", "a.txt", b"a").await);
    assert!(said.contains("Permission to o/n.git denied to reader."), "{said}");
    world.forge.bend("o/n", &Bend::Archived).unwrap();
    let said = refused(&world.git(Some(WRITER), "work", &["push", "-q", "origin", "topic"]).await);
    assert!(said.contains("archived"), "{said}");

    let world = World::new(Visibility::Public).await;
    ok(&world.clone(None).await);
    assert!(refused(&world.push(None, "topic", "a.txt", b"a").await).contains("Authentication failed"));
}

#[tokio::test]
async fn protected_branches_and_workflows_are_refused() {
    let world = World::new(Visibility::Public).await;
    world.forge.bend("o/n", &Bend::Protected("trunk".to_owned())).unwrap();
    ok(&world.clone(None).await);
    let said = refused(&world.push(Some(WRITER), "trunk", "a.txt", b"a").await);
    assert!(said.contains("GH006: Protected branch update failed for refs/heads/trunk."), "{said}");
    let said = refused(&world.push(Some(WRITER), "topic", ".github/workflows/ci.yml", b"on: push").await);
    assert!(said.contains("update workflow `.github/workflows/ci.yml` without `workflow` scope"), "{said}");
    let refs = ok(&world.git(None, "work", &["ls-remote", "--heads", "origin"]).await);
    assert_eq!(refs.lines().count(), 1, "{refs}");
}

#[tokio::test]
async fn a_renamed_repository_redirects_git() {
    let world = World::new(Visibility::Public).await;
    let renamed = Bend::Renamed { owner: "o".to_owned(), name: "new".to_owned() };
    world.forge.bend("o/n", &renamed).unwrap();
    let said = ok(&world.git(None, ".", &["ls-remote", &world.url()]).await);
    assert!(said.contains("refs/heads/trunk"), "{said}");
    let stay = ["-c", "http.followRedirects=false", "ls-remote", &world.url()];
    refused(&world.git(None, ".", &stay).await);
}

#[tokio::test]
async fn a_repository_is_made_from_a_folder_of_either_kind() {
    let world = World::new(Visibility::Public).await;
    let plain = world.home.path().join("plain");
    std::fs::create_dir_all(plain.join("src")).unwrap();
    std::fs::write(plain.join("src/a.py"), "a = 1\n").unwrap();
    make(&world, "plain", &plain).await;
    ok(&world.clone(None).await);
    make(&world, "cloned", &world.home.path().join("work")).await;
    for (name, branch, file) in [("plain", "main", "src/a.py"), ("cloned", "trunk", "README.md")] {
        let url = format!("{}/o/{name}", world.forge.url());
        ok(&world.git(None, ".", &["clone", "-q", &url, &format!("{name}-again")]).await);
        let seen = ok(&world.git(None, &format!("{name}-again"), &["ls-files"]).await);
        let on = ok(&world.git(None, &format!("{name}-again"), &["branch", "--show-current"]).await);
        assert_eq!((seen.as_str(), on.as_str()), (file, branch));
    }
}

async fn make(world: &World, name: &str, folder: &Path) {
    let (owner, name) = ("o".to_owned(), name.to_owned());
    let new = NewRepository { owner, name, visibility: Visibility::Public, default_branch: None };
    world.forge.create_repository(&new, &Seed::Folder(folder.to_owned())).await.unwrap();
}
