//! Packages from the registries that the operator's own tools are configured for, by the real binary and real tools.

mod registry;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::backspace;
use registry::{HOST, Registry, TOKEN};

/// The programs that a machine has, by the folders where everybody finds them.
fn installed(program: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
    found.into_iter().find(|path| path.is_file())
}

/// npm and node. Nothing when this machine has none for everybody, which where nothing may be skipped is a failure.
#[expect(clippy::disallowed_methods, reason = "who runs the tests says whether they may be skipped")]
pub(crate) fn npm() -> Option<(PathBuf, PathBuf)> {
    let found = installed("npm").zip(installed("node"));
    if found.is_none() {
        let required = std::env::var_os("BACKSPACE_REQUIRE_SANDBOX").is_some();
        assert!(
            !required,
            "there is no npm in /usr/bin: `./dev setup` installs it where nothing may be skipped"
        );
        println!("SKIPPED, there is no npm in /usr/bin");
    }
    found
}

/// An operator whose npm has a registry with a token, and who has neither pip nor cargo.
struct Operator {
    home: tempfile::TempDir,
    registry: Registry,
}

impl Operator {
    /// Nothing when this machine has no npm for everybody.
    async fn new() -> Option<Self> {
        let (npm, node) = npm()?;
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(npm, bin.join("npm")).unwrap();
        std::os::unix::fs::symlink(node, bin.join("node")).unwrap();
        std::os::unix::fs::symlink("/usr/bin/env", bin.join("env")).unwrap();
        let npmrc = format!("registry=https://{HOST}/npm/\n//{HOST}/npm/:_authToken=${{NPM_TOKEN}}\n");
        std::fs::write(home.path().join(".npmrc"), npmrc).unwrap();
        let registry = Registry::start(home.path()).await;
        Some(Self { home, registry })
    }

    fn sandbox(&self, egress: &str, script: &str) -> Command {
        let project = self.home.path().join("project");
        std::fs::create_dir_all(&project).unwrap();
        let manifest = "{\"name\":\"p\",\"version\":\"1.0.0\",\"dependencies\":{\"padded\":\"^1.0.0\"}}\n";
        std::fs::write(project.join("package.json"), manifest).unwrap();
        let mut command = backspace(self.home.path());
        command
            .env("HOME", self.home.path())
            .env("PATH", self.home.path().join("bin"))
            .env("NPM_TOKEN", TOKEN)
            .env("SSL_CERT_FILE", self.home.path().join("authority.pem"))
            .env("BACKSPACE_EGRESS_PROXY", format!("http://{}", self.registry.proxy))
            .args(["sandbox", "--egress", egress, project.to_str().unwrap(), "--", "sh", "-c", script]);
        command
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_installs_from_a_registry_whose_token_it_never_sees() {
    let Some(operator) = Operator::new().await else { return };
    let script = "npm install --silent && node -p 'require(\"padded\")(7)' && npm ci --silent && cat package-lock.json ~/.npmrc; env";
    let done = operator.sandbox("packages", script).output().unwrap();
    let (said, told) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success() && said.starts_with("007\n"), "{said}{told}");
    // The lock file is part of a change: it names the registry as everybody does.
    let resolved = format!("\"resolved\": \"https://{HOST}/npm/padded/-/padded-1.0.0.tgz\"");
    assert!(said.contains(&resolved), "{said}");
    assert!(said.contains(&format!("registry=https://{HOST}/npm/\n")), "{said}");
    assert!(!said.contains(TOKEN) && !told.contains(TOKEN), "{said}{told}");
    assert!(told.contains(&format!("reached {HOST} ×")) && !told.contains("not reached"), "{told}");
    assert_eq!(operator.registry.denied(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_credential_the_registry_says_no_itself() {
    let Some(operator) = Operator::new().await else { return };
    let done = operator
        .sandbox("public-packages", "npm install --silent --fetch-retries=0 || echo failed")
        .output()
        .unwrap();
    assert!(text(&done.stdout).ends_with("failed\n"), "{done:?}");
    assert!(operator.registry.denied() > 0);
    assert!(text(&done.stderr).contains(&format!("reached {HOST} ×")), "{done:?}");
}

/// The registries of whoever runs the test. Where they lie on special addresses, BACKSPACE_PRIVATE_HOSTS must name them.
#[test]
#[ignore = "it needs registries: ./dev e2e packages"]
#[expect(clippy::disallowed_methods, reason = "who runs the test says where cargo is")]
fn real_packages_are_installed_from_real_registries() {
    let home = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write(
        "npm/package.json",
        "{\"name\":\"p\",\"version\":\"1.0.0\",\"dependencies\":{\"is-number\":\"7.0.0\"}}",
    );
    write("pip/requirements.txt", "six==1.16.0\n");
    write(
        "cargo/Cargo.toml",
        "[package]\nname = \"c\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nitoa = \"1\"\n",
    );
    write("cargo/src/main.rs", "fn main() { println!(\"{}\", itoa::Buffer::new().format(42)); }\n");
    let cargo = std::env::var_os("BACKSPACE_TEST_CARGO").unwrap_or("/usr".into()).into_string().unwrap();
    for (folder, script, said) in [
        (
            "npm",
            "npm install --silent && rm -r node_modules && npm ci --silent && node -p 'require(\"is-number\")(5)'",
            "true\n",
        ),
        (
            "pip",
            "python3 -m venv v && v/bin/pip install -q -r requirements.txt && v/bin/python -c 'import six; print(six.__version__)'",
            "1.16.0\n",
        ),
        ("cargo", "PATH=$0/bin:$PATH; cargo build -q && target/debug/c", "42\n"),
    ] {
        let dir = home.path().join(folder);
        let mut command = Command::new(env!("CARGO_BIN_EXE_backspace"));
        command.env("BACKSPACE_HOME", home.path().join("state"));
        if folder == "cargo" && cargo != "/usr" {
            command.env("BACKSPACE_TOOLS", &cargo);
        }
        command.args([
            "sandbox",
            "--egress",
            "packages",
            dir.to_str().unwrap(),
            "--",
            "sh",
            "-c",
            script,
            &cargo,
        ]);
        let done = command.output().unwrap();
        assert_eq!(text(&done.stdout), said, "{folder}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains("reached "), "{folder}: {done:?}");
    }
}
