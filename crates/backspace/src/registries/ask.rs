//! Runs one of the operator's own programs for what it prints.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::World;

/// A tool answers in a second; one that waits for a network or for somebody to type is given up.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// More than any list of settings.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// How a program ended.
pub(super) struct Answer {
    pub(super) output: String,
    pub(super) succeeded: bool,
}

/// What `program` prints; nothing when it is not there, or does not end in time.
pub(super) async fn ask(
    world: &World<'_>,
    program: &str,
    arguments: &[&str],
    more: &[(&str, &str)],
) -> Option<Answer> {
    let mut command = Command::new(found(world, program)?);
    command.args(arguments).env_clear().envs(world.environment).envs(more.iter().copied());
    command.current_dir(world.scratch).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let answered = async {
        let mut child = command.spawn().ok()?;
        let mut output = Vec::new();
        child.stdout.take()?.take(OUTPUT_BYTES_MAX).read_to_end(&mut output).await.ok()?;
        let succeeded = child.wait().await.ok()?.success();
        Some(Answer { output: String::from_utf8_lossy(&output).into_owned(), succeeded })
    };
    tokio::time::timeout(ANSWER_MAX, answered).await.ok().flatten()
}

/// By the operator's `PATH`, absolute folders only: a relative one is of wherever the service was started.
fn found(world: &World<'_>, program: &str) -> Option<std::path::PathBuf> {
    let folders = std::env::split_paths(world.variable("PATH")?).collect::<Vec<_>>();
    folders
        .into_iter()
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
