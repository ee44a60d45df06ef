//! How projects are set up by their lock files, and what each way of it reads and adds.

mod own;

use std::path::Path;

use own::{
    BUNDLER, BUNDLER_LOCK, CARGO_CONFIG, COMPOSER, COMPOSER_LOCK, JVM_OPTIONS, MAVEN, NODE, NODE_LOCK, NPMRC,
    PIP, PNPM_WORKSPACE, PYPROJECT, RUST_TOOLCHAIN, UV, UV_LOCK, WHATEVER, YARN_LOCK, YARNRC,
};

/// A way to install a project's dependencies that is known by its lock file.
#[derive(Debug)]
pub(super) struct Known {
    /// Of several ways with one of these, the first one that fits is taken.
    pub(super) ecosystem: &'static str,
    /// The file at the root of the repository that suggests it.
    pub(super) lock_file: &'static str,
    /// Another file that must be there.
    pub(super) beside: Option<&'static str>,
    /// The programs without which it cannot be done.
    pub(super) programs: &'static [&'static str],
    /// What does it. It installs what the lock file says and nothing newer.
    pub(super) command: &'static str,
    /// The names of all files, wherever they stand, that decide what is installed; it is shown no others when what it
    /// adds shall hold for other commits. Empty when it takes the project's own code in: then it holds for one alone.
    pub(super) reads: &'static [&'static str],
    /// Texts in files of that name, in either case of letters, with which it needs more than `reads`: the project's own
    /// scripts, patches, paths.
    pub(super) unless: &'static [(&'static str, &'static [&'static str])],
    /// The folders at the root of the work tree that it makes. Where a repository holds one, it adds to that.
    pub(super) adds: &'static [&'static str],
}

impl Known {
    /// Whether `packages` stands for the registry that it installs from, with the operator's npm, pip or cargo.
    pub(super) fn is_of_packages(&self) -> bool {
        ["node", "python", "rust"].contains(&self.ecosystem)
    }
}

/// All of them, the preferred ones first.
pub(super) const KNOWN: &[Known] = &[
    Known {
        ecosystem: "node",
        lock_file: "pnpm-lock.yaml",
        beside: None,
        programs: &["pnpm"],
        command: "pnpm install --frozen-lockfile",
        reads: &["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc", ".pnpmfile.cjs"],
        unless: &[
            ("package.json", NODE),
            ("pnpm-lock.yaml", NODE_LOCK),
            ("pnpm-workspace.yaml", PNPM_WORKSPACE),
            (".npmrc", NPMRC),
            (".pnpmfile.cjs", WHATEVER),
        ],
        adds: &["node_modules"],
    },
    Known {
        ecosystem: "node",
        lock_file: "yarn.lock",
        // The settings of yarn 2 and later, which knows the option by another name.
        beside: Some(".yarnrc.yml"),
        programs: &["yarn"],
        command: "yarn install --immutable",
        reads: &[],
        unless: &[],
        adds: &["node_modules"],
    },
    Known {
        ecosystem: "node",
        lock_file: "yarn.lock",
        beside: None,
        programs: &["yarn"],
        command: "yarn install --frozen-lockfile --non-interactive",
        reads: &["package.json", "yarn.lock", ".npmrc", ".yarnrc"],
        unless: &[("package.json", NODE), ("yarn.lock", YARN_LOCK), (".npmrc", NPMRC), (".yarnrc", YARNRC)],
        adds: &["node_modules"],
    },
    Known {
        ecosystem: "node",
        lock_file: "package-lock.json",
        beside: None,
        programs: &["npm"],
        command: "npm ci",
        reads: &["package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "binding.gyp"],
        unless: &[
            ("package.json", NODE),
            ("package-lock.json", NODE_LOCK),
            ("npm-shrinkwrap.json", NODE_LOCK),
            (".npmrc", NPMRC),
            ("binding.gyp", WHATEVER),
        ],
        adds: &["node_modules"],
    },
    Known {
        ecosystem: "python",
        lock_file: "uv.lock",
        beside: None,
        programs: &["uv"],
        command: "uv sync --frozen",
        reads: &[
            "pyproject.toml",
            "uv.lock",
            "uv.toml",
            ".python-version",
            ".python-versions",
            "setup.py",
            "setup.cfg",
        ],
        unless: &[
            ("pyproject.toml", PYPROJECT),
            ("uv.lock", UV_LOCK),
            ("uv.toml", UV),
            ("setup.py", WHATEVER),
        ],
        adds: &[".venv"],
    },
    Known {
        ecosystem: "python",
        lock_file: "poetry.lock",
        beside: None,
        programs: &["poetry"],
        command: "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction",
        // It installs the project itself.
        reads: &[],
        unless: &[],
        adds: &[".venv"],
    },
    Known {
        ecosystem: "python",
        lock_file: "requirements.txt",
        beside: None,
        // Debian's Python brings no pip for its environments; its pip installs into them. `-I`: or Python would look for
        // its modules in the work tree first.
        programs: &["python3", "pip3"],
        command: "python3 -I -m venv --without-pip .venv && \
                  pip3 --python .venv/bin/python install --requirement requirements.txt",
        reads: &["requirements.txt", "pip.conf"],
        unless: &[("requirements.txt", PIP)],
        adds: &[".venv"],
    },
    Known {
        ecosystem: "python",
        lock_file: "requirements.txt",
        beside: None,
        programs: &["python3"],
        command: "python3 -I -m venv .venv && .venv/bin/pip install --requirement requirements.txt",
        reads: &["requirements.txt", "pip.conf"],
        unless: &[("requirements.txt", PIP)],
        adds: &[".venv"],
    },
    Known {
        ecosystem: "rust",
        lock_file: "Cargo.lock",
        beside: None,
        programs: &["cargo"],
        command: "cargo fetch --locked",
        // Packages at paths and patches are not copied, and none is built.
        reads: &[
            "Cargo.toml",
            "Cargo.lock",
            "config.toml",
            "config",
            "rust-toolchain",
            "rust-toolchain.toml",
        ],
        unless: &[
            ("config.toml", CARGO_CONFIG),
            ("config", CARGO_CONFIG),
            ("rust-toolchain", RUST_TOOLCHAIN),
            ("rust-toolchain.toml", RUST_TOOLCHAIN),
        ],
        adds: &[],
    },
    Known {
        ecosystem: "go",
        lock_file: "go.sum",
        beside: None,
        programs: &["go"],
        command: "go mod download",
        // What is replaced by a folder is not downloaded.
        reads: &["go.mod", "go.sum", "go.work", "go.work.sum"],
        unless: &[],
        adds: &[],
    },
    Known {
        ecosystem: "jvm",
        lock_file: "pom.xml",
        beside: None,
        programs: &["mvn"],
        command: "mvn --batch-mode --quiet dependency:go-offline",
        reads: &["pom.xml", "maven.config", "extensions.xml", "jvm.config", "settings.xml"],
        unless: &[
            ("pom.xml", MAVEN),
            ("extensions.xml", MAVEN),
            ("settings.xml", MAVEN),
            ("maven.config", MAVEN),
            ("jvm.config", JVM_OPTIONS),
        ],
        adds: &[],
    },
    // A build script is a program: only a build tells what it wants.
    Known {
        ecosystem: "jvm",
        lock_file: "build.gradle",
        beside: None,
        programs: &["gradle"],
        command: "gradle --no-daemon --quiet testClasses",
        reads: &[],
        unless: &[],
        adds: &[],
    },
    Known {
        ecosystem: "jvm",
        lock_file: "build.gradle.kts",
        beside: None,
        programs: &["gradle"],
        command: "gradle --no-daemon --quiet testClasses",
        reads: &[],
        unless: &[],
        adds: &[],
    },
    Known {
        ecosystem: "ruby",
        lock_file: "Gemfile.lock",
        beside: None,
        programs: &["bundle"],
        command: "bundle config set --local path vendor/bundle && bundle install",
        reads: &["Gemfile", "Gemfile.lock", ".ruby-version", ".tool-versions"],
        unless: &[("Gemfile", BUNDLER), ("Gemfile.lock", BUNDLER_LOCK)],
        adds: &["vendor/bundle", ".bundle"],
    },
    Known {
        ecosystem: "php",
        lock_file: "composer.lock",
        beside: None,
        programs: &["composer"],
        command: "composer install --no-interaction --no-progress",
        reads: &["composer.json", "composer.lock", "auth.json"],
        unless: &[("composer.json", COMPOSER), ("composer.lock", COMPOSER_LOCK)],
        adds: &["vendor"],
    },
];

/// Programs beside those of [`KNOWN`] whose versions matter to what a setup makes.
pub(super) const OTHER_PROGRAMS: &[&str] = &[
    "node",
    "ruby",
    "php",
    "java",
    "rustc",
    "cc",
    "c++",
    "ld",
    "make",
    "cmake",
    "pkg-config",
    "git",
    "bash",
];

/// The folders that installations add to a work tree. They hold none of the project's own code.
const DEPENDENCY_FOLDERS: &[&str] = &["node_modules", ".venv", "vendor", "vendor/bundle", ".bundle"];

/// What the lock files at the root of a repository suggest.
#[derive(Debug, Default)]
pub(super) struct Suggested {
    /// What can be done.
    pub(super) ways: Vec<&'static Known>,
    /// What cannot, for want of programs inside.
    pub(super) without_programs: Vec<&'static Known>,
}

/// Looks for lock files at `root`, where programs of the names that `has` stand inside.
pub(super) fn suggested(root: &Path, has: impl Fn(&str) -> bool) -> Suggested {
    let mut suggested = Suggested::default();
    let is_there = |name: &str| std::fs::symlink_metadata(root.join(name)).is_ok_and(|it| it.is_file());
    for known in KNOWN {
        let is_taken = |way: &&Known| way.ecosystem == known.ecosystem;
        if !is_there(known.lock_file)
            || !known.beside.is_none_or(is_there)
            || suggested.ways.iter().any(is_taken)
        {
            continue;
        }
        if known.programs.iter().all(|program| has(program)) {
            suggested.ways.push(known);
        } else {
            suggested.without_programs.push(known);
        }
    }
    let done = |known: &&Known| suggested.ways.iter().any(|way| way.ecosystem == known.ecosystem);
    suggested.without_programs.retain(|known| !done(known));
    suggested.without_programs.dedup_by_key(|known| known.ecosystem);
    suggested
}

/// Whether `path` is a folder of dependencies, wherever it stands.
pub(crate) fn is_dependency_folder(path: &str) -> bool {
    DEPENDENCY_FOLDERS
        .iter()
        .any(|name| path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/')))
}

/// Whether nothing of the checkout at `root` stands at `path`, or in its way.
pub(crate) fn is_free(root: &Path, path: &Path) -> bool {
    let mut place = root.to_owned();
    for part in path {
        place.push(part);
        match std::fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return false,
            Err(error) => return error.kind() == std::io::ErrorKind::NotFound,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggests(files: &[&str], programs: &[&str]) -> (Vec<&'static str>, Vec<&'static str>) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(root.path().join(file), "").unwrap();
        }
        let suggested = suggested(root.path(), |name| programs.contains(&name));
        let commands = suggested.ways.iter().map(|known| known.command);
        (commands.collect(), suggested.without_programs.iter().map(|known| known.lock_file).collect())
    }

    #[test]
    fn each_ecosystem_is_set_up_once_by_the_preferred_way_whose_programs_are_there() {
        let files = ["pnpm-lock.yaml", "package-lock.json", "requirements.txt", "Cargo.lock"];
        assert_eq!(
            suggests(&files, &["npm", "python3", "cargo"]),
            (
                vec![
                    "npm ci",
                    "python3 -I -m venv .venv && .venv/bin/pip install --requirement requirements.txt",
                    "cargo fetch --locked"
                ],
                vec![]
            )
        );
        let (commands, without) = suggests(&files, &["pnpm", "npm", "pip3", "python3"]);
        assert_eq!(commands[0], "pnpm install --frozen-lockfile");
        assert!(commands[1].starts_with("python3 -I -m venv --without-pip .venv && pip3 "), "{commands:?}");
        assert_eq!(without, ["Cargo.lock"]);
        assert_eq!(suggests(&files, &[]).1, ["pnpm-lock.yaml", "requirements.txt", "Cargo.lock"]);
        assert_eq!(
            suggests(&["yarn.lock"], &["yarn"]).0,
            ["yarn install --frozen-lockfile --non-interactive"]
        );
        assert_eq!(suggests(&["yarn.lock", ".yarnrc.yml"], &["yarn"]).0, ["yarn install --immutable"]);
        assert_eq!(suggests(&["README.md"], &["npm"]), (vec![], vec![]));
    }

    #[test]
    fn a_link_is_no_lock_file() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("package-lock.json")).unwrap();
        std::fs::create_dir(root.path().join("Cargo.lock")).unwrap();
        assert!(suggested(root.path(), |_| true).ways.is_empty());
    }

    #[test]
    fn folders_of_dependencies_are_known_by_their_names() {
        for path in ["node_modules", "packages/a/node_modules", ".venv", "vendor/bundle", "x/.bundle"] {
            assert!(is_dependency_folder(path), "{path}");
        }
        for path in ["my_node_modules", "node_modules/x", "dist", "target", "bundle", "", "vendors"] {
            assert!(!is_dependency_folder(path), "{path}");
        }
    }

    #[test]
    fn a_place_is_free_where_nothing_stands_and_nothing_is_in_the_way() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/vendor")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("a", root.path().join("link")).unwrap();
        let is_free = |path: &str| is_free(root.path(), Path::new(path));
        for path in ["vendor", "b/vendor", "a/node_modules", "a/vendor/bundle"] {
            assert!(is_free(path), "{path}");
        }
        for path in ["a/vendor", "a", "file", "file/vendor", "link", "link/vendor", "link/node_modules", ""] {
            assert!(!is_free(path), "{path}");
        }
    }

    #[test]
    fn what_reads_the_project_s_own_code_is_said_to() {
        for known in KNOWN {
            let names = known.unless.iter().map(|(name, _)| name);
            assert!(names.into_iter().all(|name| known.reads.contains(name)), "{}", known.command);
            assert!(known.reads.is_empty() || known.reads.contains(&known.lock_file), "{}", known.command);
        }
    }
}
