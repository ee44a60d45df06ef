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
        self.asked(commands, branch, inside, &[]).await.wanted
    }

    /// As [`World::wanted`], where the repository asks for `variables`.
    async fn asked(
        &self,
        commands: &[&str],
        branch: &str,
        inside: &Inside,
        variables: &[(String, String)],
    ) -> Asked {
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
        let asked_for = variables;
        let surroundings =
            Surroundings { inside, environment: &environment, asked: asked_for, hosts: Vec::new(), branch };
        asked(&recipe, &base, &surroundings).await.unwrap()
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
    assert!(!look(&["POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction"]).await);
    assert!(!look(&["gradle --no-daemon --quiet testClasses"]).await);
    let variable = [("NODE_OPTIONS".to_owned(), "--require /work/x.js".to_owned())];
    let asked = world.asked(&["npm ci"], "main", &npm, &variable).await;
    assert!(asked.wanted.elsewhere.is_none() && asked.shown.is_none(), "a variable names files");
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

/// A repository of one ecosystem, what sets it up, and what makes its setup one of a single commit.
struct Ecosystem {
    command: &'static str,
    programs: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
    own: &'static [(&'static str, &'static str)],
}

const ECOSYSTEMS: &[Ecosystem] = &[
    Ecosystem {
        command: "python3 -I -m venv .venv && .venv/bin/pip install --requirement requirements.txt",
        programs: &["python3"],
        files: &[("requirements.txt", "flask==3.0 # the web\nrequests[socks]>=2; python_version > '3'\n")],
        own: &[
            ("requirements.txt", "-r more.txt\n"),
            ("requirements.txt", "flask\n-e .\n"),
            ("requirements.txt", "flask\r-e .\n"),
            ("requirements.txt", "flask\u{2028}-e .\n"),
            ("requirements.txt", "flask\n./local\n"),
            ("requirements.txt", "x @ file:///work/x\n"),
            ("requirements.txt", "libs/common\n"),
            ("requirements.txt", "common-1.0-py3-none-any.whl\n"),
            ("requirements.txt", "common.WHL\n"),
            ("requirements.txt", "common.tar.gz\n"),
            ("requirements.txt", "${WHERE}\n"),
            ("requirements.txt", "# coding: utf-7\n+AC4-\n"),
            ("requirements.txt", "\u{feff}.\n"),
        ],
    },
    Ecosystem {
        command: "uv sync --frozen",
        programs: &["uv"],
        files: &[
            (
                "pyproject.toml",
                "[project]\nname = \"a\"\ndependencies = [\"pathspec\"]\n[tool.pytest.ini_options]\ntestpaths = [\"tests\"]\n",
            ),
            ("uv.lock", "[[package]]\nname = \"a\"\nsource = { virtual = \".\" }\n"),
        ],
        own: &[
            ("pyproject.toml", "[tool.uv.sources]\nb = { path = \"libs/b\" }\n"),
            ("pyproject.toml", "[tool.uv.sources]\nb = {path=\"libs/b\"}\n"),
            ("pyproject.toml", "[tool.uv.sources.b]\npath = \"libs/b\"\n"),
            ("pyproject.toml", "[tool.uv.sources]\nb.path = \"libs/b\"\n"),
            ("pyproject.toml", "[tool.uv.sources]\nb = { workspace = true }\n"),
            ("pyproject.toml", "[build-system]\nrequires = [\"hatchling\"]\n"),
            ("pyproject.toml", "[tool.uv]\npackage = true\n"),
            ("uv.lock", "source = { directory = \"libs/b\" }\n"),
            ("uv.lock", "source = { path = \"b.whl\" }\n"),
            ("uv.toml", "find-links = [\"wheels\"]\n"),
        ],
    },
    Ecosystem {
        command: "npm ci",
        programs: &["npm"],
        files: &[
            (
                "package.json",
                r#"{"main": "./index.js", "exports": {"./x": "./x.js"}, "dependencies": {"b": "^1"}}"#,
            ),
            ("package-lock.json", r#"{"resolved": "https://registry.example/b/-/b-1.0.0.tgz"}"#),
        ],
        own: &[
            ("package.json", r#"{"dependencies": {"b": "file:libs/b"}}"#),
            ("package.json", r#"{"dependencies": {"b": "libs/b.tgz"}}"#),
            ("package.json", r#"{"scripts": {"dependencies": "node gen.js"}}"#),
            ("package.json", r#"{"bin": "./cli.js"}"#),
            ("package.json", r#"{"scripts": {"post\u0069nstall": "node gen.js"}}"#),
            ("package-lock.json", r#"{"resolved": "file:libs/b.tgz"}"#),
            (".npmrc", "node-options=--require ./x.js\n"),
        ],
    },
    Ecosystem {
        command: "yarn install --frozen-lockfile --non-interactive",
        programs: &["yarn"],
        files: &[
            ("package.json", r#"{"dependencies": {"@s/b": "^1"}}"#),
            ("yarn.lock", "\"@s/b@^1\":\n  resolved \"https://registry.example/b/-/b-1.0.0.tgz#0123\"\n"),
        ],
        own: &[
            ("package.json", r#"{"dependencies": {"b": "link:libs/b"}}"#),
            ("yarn.lock", "\"b@file:./libs/b\":\n  version \"1.0.0\"\n"),
            ("yarn.lock", "b@./libs/b:\n  version \"1.0.0\"\n"),
            ("yarn.lock", "b@libs/b.tgz:\n  version \"1.0.0\"\n"),
            ("yarn.lock", "\"b@portal:libs/b\":\n  version \"1.0.0\"\n"),
            ("yarn.lock", "\"b@workspace:libs/b\":\n  version \"1.0.0\"\n"),
            (".yarnrc", "yarn-path \".yarn/yarn.js\"\n"),
        ],
    },
    Ecosystem {
        command: "pnpm install --frozen-lockfile",
        programs: &["pnpm"],
        files: &[
            ("package.json", r#"{"dependencies": {"b": "^1"}}"#),
            ("pnpm-lock.yaml", "packages:\n  b@1.0.0:\n"),
        ],
        own: &[
            ("package.json", r#"{"dependencies": {"b": "workspace:*"}}"#),
            ("package.json", r#"{"scripts": {"pnpm:devPreinstall": "node gen.js"}}"#),
            ("pnpm-lock.yaml", "packages:\n  file:libs/b:\n"),
            ("pnpm-lock.yaml", "      b:\n        version: link:../b\n"),
            (".pnpmfile.cjs", "module.exports = {}\n"),
        ],
    },
    Ecosystem {
        command: "cargo fetch --locked",
        programs: &["cargo"],
        files: &[("Cargo.toml", "[dependencies]\nb = { path = \"b\" }\n"), ("Cargo.lock", "")],
        own: &[
            (".cargo/config.toml", "[build]\nrustc = \"./tools/rustc\"\n"),
            (".cargo/config", "[build]\nrustc-wrapper = \"./tools/rustc\"\n"),
            ("rust-toolchain.toml", "[toolchain]\npath = \"tools\"\n"),
        ],
    },
    Ecosystem {
        command: "mvn --batch-mode --quiet dependency:go-offline",
        programs: &["mvn"],
        files: &[("pom.xml", "<project/>")],
        own: &[
            ("pom.xml", "<repository><url>file://${basedir}/repo</url></repository>"),
            (".mvn/jvm.config", "-javaagent:x.jar"),
        ],
    },
    Ecosystem {
        command: "bundle config set --local path vendor/bundle && bundle install",
        programs: &["bundle"],
        files: &[("Gemfile", "source 'https://gems.example'\ngem 'b'\n"), ("Gemfile.lock", "GEM\n")],
        own: &[("Gemfile", "gem 'b', path: 'libs/b'\n"), ("Gemfile.lock", "PATH\n  remote: libs/b\n")],
    },
    Ecosystem {
        command: "composer install --no-interaction --no-progress",
        programs: &["composer"],
        files: &[("composer.json", "{}"), ("composer.lock", r#"{"packages": []}"#)],
        own: &[
            ("composer.json", r#"{"repositories": [{"type": "artifact", "url": "libs"}]}"#),
            ("composer.json", r#"{"config": {"optimize-autoloader": true}}"#),
            ("composer.lock", r#"{"packages": [{"dist": {"type": "path", "url": "libs/b"}}]}"#),
        ],
    },
];

#[tokio::test]
async fn what_takes_the_project_s_own_code_in_holds_for_one_commit() {
    for Ecosystem { command, programs, files, own } in ECOSYSTEMS {
        let world = World::new(files);
        let inside = inside(programs);
        let look = async || world.wanted(&[command], "main", &inside).await.elsewhere.is_some();
        assert!(look().await, "{command}: {files:?}");
        for (path, text) in *own {
            world.commit(&[(path, text)]);
            assert!(!look().await, "{command}: {path} says {text:?}");
            std::fs::remove_file(world.origin().join(path)).unwrap();
            world.commit(files);
        }
        assert!(look().await, "{command}, at last");
    }
}
