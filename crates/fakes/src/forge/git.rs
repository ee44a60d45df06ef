//! Runs git in the stand-in's own bare repositories.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Seed;

/// The branches that the hook protects, one a line.
pub(super) const PROTECTED_FILE: &str = "protected";
/// The variable by which the hook learns whether the token may push workflow files.
pub(super) const WORKFLOWS_VARIABLE: &str = "FAKE_FORGE_WORKFLOWS";
/// What a repository of GitHub's allows, and what it checks.
const SETTINGS: [(&str, &str); 7] = [
    ("http.receivepack", "true"),
    ("http.uploadpack", "true"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("receive.fsckObjects", "true"),
    ("receive.hideRefs", "refs/pull"),
    ("gc.auto", "0"),
];
/// Who commits what the stand-in commits itself.
const IDENTITY: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "Octocat"),
    ("GIT_AUTHOR_EMAIL", "octocat@example.com"),
    ("GIT_COMMITTER_NAME", "Octocat"),
    ("GIT_COMMITTER_EMAIL", "octocat@example.com"),
];
/// Variables by which a surrounding git (a hook, for instance) would lead ours to another repository.
const FOREIGN: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
];

/// Git did not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It could not be run.
    #[error("git cannot be run")]
    Io(#[source] std::io::Error),
    /// It failed.
    #[error("git says: {0}")]
    Failed(String),
}

/// One file to commit.
#[derive(Debug, Clone, Copy)]
pub struct NewCommit<'a> {
    /// The branch to put it on.
    pub branch: &'a str,
    /// The branch to start from, when `branch` is not there yet.
    pub from: Option<&'a str>,
    /// The file's path.
    pub path: &'a str,
    /// Its content.
    pub content: &'a str,
}

/// What git knows of the way from one commit to another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Distance {
    pub(super) commits: u64,
    pub(super) additions: u64,
    pub(super) deletions: u64,
    pub(super) changed_files: u64,
}

/// Makes a bare repository from a seed, and says its default branch.
pub(super) async fn create(dir: &Path, branch: Option<&str>, seed: &Seed) -> Result<String, GitError> {
    let of_seed = match seed {
        Seed::Folder(folder) => head_of(folder).await,
        Seed::Empty | Seed::Files(_) => None,
    };
    let branch = branch.map(str::to_owned).or(of_seed.clone()).unwrap_or_else(|| "main".to_owned());
    std::fs::create_dir_all(dir).map_err(GitError::Io)?;
    git(dir, ["init", "-q", "--bare", "--initial-branch", &branch], &[]).await?;
    for (name, value) in SETTINGS {
        git(dir, ["config", name, value], &[]).await?;
    }
    write_hook(&dir.join("hooks")).map_err(GitError::Io)?;
    match seed {
        Seed::Empty => {}
        Seed::Files(files) => import_files(dir, &branch, files).await?,
        Seed::Folder(folder) if of_seed.is_some() => {
            let all = "+refs/heads/*:refs/heads/*";
            git(dir, [OsStr::new("fetch"), OsStr::new("-q"), folder.as_os_str(), OsStr::new(all)], &[])
                .await?;
        }
        Seed::Folder(folder) => import_folder(dir, &branch, folder).await?,
    }
    Ok(branch)
}

/// Puts one file onto a branch as one more commit.
pub(super) async fn commit(dir: &Path, new: &NewCommit<'_>) -> Result<String, GitError> {
    let there = branches(dir).await?;
    let start = there.get(new.branch).or_else(|| there.get(new.from?)).map(String::as_str);
    let file = (new.path.to_owned(), new.content.to_owned());
    import(dir, new.branch, start, &[file]).await?;
    let after = branches(dir).await?;
    after.get(new.branch).cloned().ok_or_else(|| GitError::Failed("the branch was not made".to_owned()))
}

/// Every branch with its head.
pub(super) async fn branches(dir: &Path) -> Result<BTreeMap<String, String>, GitError> {
    let format = "--format=%(objectname) %(refname:lstrip=2)";
    let out = git(dir, ["for-each-ref", format, "refs/heads"], &[]).await?;
    let line = |line: &str| line.split_once(' ').map(|(sha, name)| (name.to_owned(), sha.to_owned()));
    Ok(out.lines().filter_map(line).collect())
}

/// How many commits `head` has that `base` has not.
pub(super) async fn ahead(dir: &Path, base: &str, head: &str) -> Result<u64, GitError> {
    let range = format!("{base}..{head}");
    let out = git(dir, ["rev-list", "--count", &range], &[]).await?;
    out.trim().parse().map_err(|_| GitError::Failed(out))
}

/// Whether two commits have an ancestor in common.
pub(super) async fn related(dir: &Path, base: &str, head: &str) -> bool {
    git(dir, ["merge-base", base, head], &[]).await.is_ok()
}

/// What a pull request from `head` into `base` says of its size.
pub(super) async fn distance(dir: &Path, base: &str, head: &str) -> Result<Distance, GitError> {
    let range = format!("{base}...{head}");
    let out = git(dir, ["diff", "--no-ext-diff", "--no-textconv", "--numstat", &range], &[]).await?;
    let mut distance = Distance { commits: ahead(dir, base, head).await?, ..Distance::default() };
    for line in out.lines() {
        // Binary files count as `-`.
        let mut counts = line.split('\t').map(|count| count.parse::<u64>().unwrap_or(0));
        distance.additions += counts.next().unwrap_or(0);
        distance.deletions += counts.next().unwrap_or(0);
        distance.changed_files += 1;
    }
    Ok(distance)
}

/// The change of a pull request as text.
pub(super) async fn diff(dir: &Path, base: &str, head: &str) -> Result<String, GitError> {
    let range = format!("{base}...{head}");
    git(dir, ["diff", "--no-ext-diff", "--no-textconv", &range], &[]).await
}

/// Parts of a commit, in the order of `format` (see `git log`), which parts them by `%x00`.
pub(super) async fn show(dir: &Path, sha: &str, format: &str) -> Result<Vec<String>, GitError> {
    let format = format!("--format={format}");
    let out = git(dir, ["log", "-1", &format, sha], &[]).await?;
    Ok(out.trim_end_matches('\n').split('\0').map(str::to_owned).collect())
}

/// Lets `refs/pull/NUMBER/head` follow a pull request, as on GitHub.
pub(super) async fn keep_pull(dir: &Path, number: u64, sha: &str) -> Result<(), GitError> {
    let name = format!("refs/pull/{number}/head");
    git(dir, ["update-ref", &name, sha], &[]).await.map(drop)
}

/// The branch that a repository in `folder` is on; nothing for a plain folder.
async fn head_of(folder: &Path) -> Option<String> {
    let dir = [folder.join(".git"), folder.to_owned()].into_iter().find(|dir| dir.join("HEAD").is_file())?;
    let out = git(&dir, ["symbolic-ref", "--short", "HEAD"], &[]).await.ok()?;
    Some(out.trim().to_owned())
}

fn write_hook(hooks: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(hooks)?;
    let hook = hooks.join("pre-receive");
    std::fs::write(&hook, include_str!("git/pre-receive.sh"))?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))
}

/// One commit with the files of a plain folder. The index lies in the bare repository; the folder is only read.
async fn import_folder(dir: &Path, branch: &str, folder: &Path) -> Result<(), GitError> {
    let mut add = command(dir);
    add.arg("--work-tree").arg(folder).args(["-c", "core.bare=false", "add", "-A", "--force", "."]);
    run(add.current_dir(folder), &[]).await?;
    let tree = git(dir, ["write-tree"], &[]).await?;
    let sha = git(dir, ["commit-tree", "-m", "Begin", tree.trim()], &[]).await?;
    git(dir, ["update-ref", &format!("refs/heads/{branch}"), sha.trim()], &[]).await?;
    std::fs::remove_file(dir.join("index")).map_err(GitError::Io)
}

async fn import_files(dir: &Path, branch: &str, files: &[(String, String)]) -> Result<(), GitError> {
    import(dir, branch, None, files).await
}

/// Commits files by `fast-import`.
async fn import(
    dir: &Path,
    branch: &str,
    from: Option<&str>,
    files: &[(String, String)],
) -> Result<(), GitError> {
    let mut stream = format!(
        "commit refs/heads/{branch}\ncommitter Octocat <octocat@example.com> now\ndata 7\nChange\n\n"
    );
    if let Some(from) = from {
        stream.push_str(&format!("from {from}\n"));
    }
    for (path, content) in files {
        stream.push_str(&format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len()));
    }
    git(dir, ["fast-import", "--quiet", "--date-format=now", "--force"], stream.as_bytes()).await.map(drop)
}

async fn git<A: AsRef<OsStr>>(
    dir: &Path,
    arguments: impl IntoIterator<Item = A>,
    input: &[u8],
) -> Result<String, GitError> {
    run(command(dir).args(arguments), input).await
}

/// Git on the bare repository `dir`, untouched by the settings of whoever runs it.
pub(super) fn command(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(dir).current_dir(dir);
    clean(&mut command);
    command
}

/// Keeps the settings of whoever runs the stand-in away from git.
pub(super) fn clean(command: &mut Command) {
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.envs(IDENTITY).envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C"),
    ]);
    command.kill_on_drop(true);
}

async fn run(command: &mut Command, input: &[u8]) -> Result<String, GitError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(GitError::Io)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A git that ends early says why on its standard error.
        stdin.write_all(input).await.or_else(broken_pipe).map_err(GitError::Io)?;
    }
    let output = child.wait_with_output().await.map_err(GitError::Io)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(GitError::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

fn broken_pipe(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}
