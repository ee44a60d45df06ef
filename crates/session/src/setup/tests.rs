use std::path::PathBuf;
use std::process::Command;

use events::{Branch, Remote, Tenant};
use repo::{Repos, Source};
use sandbox::Program;
use tempfile::TempDir;

use super::*;

fn inside(programs: &[&str]) -> Inside {
    let program = |name: &&str| Program { name: (*name).to_owned(), stamp: "1".to_owned() };
    let programs = programs.iter().map(program).collect();
    Inside { system: "a system".to_owned(), programs, ..Inside::default() }
}

fn config(setup: Option<&[&str]>) -> RepositoryConfig {
    let setup = setup.map(|commands| commands.iter().map(|&command| command.to_owned()).collect());
    RepositoryConfig { setup, ..RepositoryConfig::default() }
}

#[test]
fn a_request_beats_the_repository_which_beats_what_is_detected() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("package-lock.json"), "{}").unwrap();
    let inside = inside(&["npm"]);
    let decide = |wish: SetupWish, config: &RepositoryConfig| {
        let suggested = is_suggested(&wish, config, root.path());
        let decided = decide(&wish, config, root.path(), &inside, Outside::Packages);
        assert_eq!(suggested, decided.recipe.is_some());
        decided.recipe.map(|Recipe { origin, commands }| (origin, commands.join("; ")))
    };
    let (silent, says, off) = (config(None), config(Some(&["make deps", "make"])), config(Some(&[])));
    assert_eq!(decide(SetupWish::Script("a".into()), &says), Some((SetupOrigin::Request, "a".to_owned())));
    assert_eq!(
        decide(SetupWish::AsFound, &says),
        Some((SetupOrigin::Repository, "make deps; make".to_owned()))
    );
    assert_eq!(decide(SetupWish::AsFound, &silent), Some((SetupOrigin::Detected, "npm ci".to_owned())));
    assert_eq!(decide(SetupWish::AsFound, &off), None);
    assert_eq!(decide(SetupWish::Off, &says), None);
}

#[test]
fn what_cannot_be_done_is_said_and_not_tried() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("package-lock.json"), "{}").unwrap();
    std::fs::write(root.path().join("Cargo.lock"), "").unwrap();
    let decide =
        |outside| decide(&SetupWish::AsFound, &config(None), root.path(), &inside(&["npm"]), outside);
    let no_cargo = "Cargo.lock suggests `cargo fetch --locked`, but there is no `cargo` in sandboxes here \
                    (BACKSPACE_TOOLS, or BACKSPACE_IMAGE)";
    let Decided { recipe, passed_over } = decide(Outside::Packages);
    assert_eq!(
        (recipe.unwrap().commands, passed_over),
        (vec!["npm ci".to_owned()], vec![no_cargo.to_owned()])
    );
    let Decided { recipe, passed_over } = decide(Outside::Nothing);
    let no_way =
        "package-lock.json suggests `npm ci`, which needs a way out of the sandbox (BACKSPACE_EGRESS)";
    assert_eq!((recipe, passed_over), (None, vec![no_way.to_owned(), no_cargo.to_owned()]));
}

#[test]
fn registries_of_other_tools_are_asked_when_the_operator_names_hosts() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("package-lock.json"), "{}").unwrap();
    std::fs::write(root.path().join("go.sum"), "").unwrap();
    let inside = inside(&["npm", "go"]);
    let decide = |outside| decide(&SetupWish::AsFound, &config(None), root.path(), &inside, outside);
    let Decided { recipe, passed_over } = decide(Outside::Packages);
    let beyond = "go.sum suggests `go mod download`, which needs hosts that `packages` does not stand for: name them \
                  in BACKSPACE_EGRESS";
    assert_eq!((recipe.unwrap().commands, passed_over), (vec!["npm ci".to_owned()], vec![beyond.to_owned()]));
    let Decided { recipe, passed_over } = decide(Outside::Hosts);
    assert_eq!((recipe.unwrap().commands.len(), passed_over.len()), (2, 0));
}

/// A repository and a home for its base trees.
struct World {
    home: TempDir,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let world = Self { home };
        std::fs::create_dir(world.origin()).unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world.commit(files);
        world
    }

    fn origin(&self) -> PathBuf {
        self.home.path().join("origin")
    }

    fn git(&self, arguments: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
            .args(arguments)
            .current_dir(self.origin())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .status()
            .unwrap();
        assert!(status.success(), "git {arguments:?}");
    }

    fn commit(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.origin().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=next"]);
    }

    /// What decides what `commands` add to the head of main, as a session on `branch` with these programs sees it.
    async fn wanted(&self, commands: &[&str], branch: &str, inside: &Inside) -> Wanted {
        let repos = Repos::open(self.home.path().join("home")).await.unwrap();
        let remote = Remote::Local(self.origin());
        let source = Source { remote, tenant: Tenant::default(), credential: None };
        let (mirror, _) = repos.mirror(&source).await.unwrap();
        let main: Branch = "main".parse().unwrap();
        let commit = mirror.branch(&main).await.unwrap().unwrap();
        let base = mirror.base_tree(&commit, &main).await.unwrap();
        let commands = commands.iter().map(|&command| command.to_owned()).collect();
        let recipe = Recipe { origin: SetupOrigin::Repository, commands };
        let environment = [("A".to_owned(), "b".to_owned())];
        let surroundings = Surroundings { inside, environment: &environment, hosts: Vec::new(), branch };
        wanted(&recipe, &base, &surroundings).await.unwrap()
    }
}

#[tokio::test]
async fn what_an_installation_adds_is_decided_by_the_files_that_it_reads() {
    let world = World::new(&[("package.json", "{}"), ("package-lock.json", "1"), ("app.js", "1")]);
    let npm = inside(&["npm", "node"]);
    let look = async || world.wanted(&["npm ci"], "main", &npm).await;
    let first = look().await;
    assert!(first.elsewhere.is_some());
    assert_eq!(look().await.here, first.here);

    world.commit(&[("app.js", "2"), ("docs/lock", "x")]);
    let second = look().await;
    assert!(
        second.here != first.here && second.elsewhere == first.elsewhere,
        "another commit, the same lock file"
    );

    for (path, text) in
        [("package-lock.json", "2"), ("apps/web/package.json", "{}"), ("apps/web/.npmrc", "x=y")]
    {
        let before = look().await.elsewhere;
        world.commit(&[(path, text)]);
        assert_ne!(look().await.elsewhere, before, "{path}");
    }
    let now = look().await;
    for other in [
        world.wanted(&["npm ci"], "feature", &npm).await,
        world.wanted(&["npm ci"], "main", &inside(&["npm"])).await,
        world.wanted(&["npm ci", "cargo fetch --locked"], "main", &npm).await,
    ] {
        assert!(other.elsewhere.is_some() && other.elsewhere != now.elsewhere, "{other:?}");
    }
}

#[tokio::test]
async fn a_setup_that_may_read_anything_holds_for_one_commit() {
    let world = World::new(&[("package.json", "{}"), ("package-lock.json", "1")]);
    let npm = inside(&["npm"]);
    let look = async |commands: &[&str]| world.wanted(commands, "main", &npm).await.elsewhere.is_some();
    assert!(look(&["npm ci"]).await);
    assert!(!look(&["npm ci", "npm run build"]).await);
    assert!(!look(&["npm ci || true"]).await);
    assert!(!look(&["gradle --no-daemon --quiet testClasses"]).await);
    for (path, text, why) in [
        ("package.json", r#"{"scripts": {"postinstall": "node gen.js"}}"#, "a script of the project's own"),
        ("binding.gyp", "{}", "a build of the project's own"),
    ] {
        world.commit(&[(path, text)]);
        assert!(!look(&["npm ci"]).await, "{why}");
        std::fs::remove_file(world.origin().join(path)).unwrap();
        world.commit(&[("package.json", "{}")]);
        assert!(look(&["npm ci"]).await);
    }
    std::fs::remove_file(world.origin().join("package.json")).unwrap();
    std::os::unix::fs::symlink("elsewhere.json", world.origin().join("package.json")).unwrap();
    world.commit(&[("elsewhere.json", "{}")]);
    assert!(!look(&["npm ci"]).await, "a link");
}

#[tokio::test]
async fn requirements_that_lead_to_other_files_hold_for_one_commit() {
    let world = World::new(&[("requirements.txt", "flask==3.0\n")]);
    let command = ["python3 -m venv .venv && .venv/bin/pip install --requirement requirements.txt"];
    let python = inside(&["python3"]);
    let look = async || world.wanted(&command, "main", &python).await.elsewhere.is_some();
    assert!(look().await);
    for text in ["-r more.txt\n", "flask\n-e .\n", "flask\n./local\n", "x @ file:///work/x\n"] {
        world.commit(&[("requirements.txt", text)]);
        assert!(!look().await, "{text:?}");
    }
}
