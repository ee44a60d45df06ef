//! Looks which programs an image has, as commands inside a container of it find them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Changes, Config, image};
use crate::{Command, Error, Inside, Policy, Program, Sandbox as _, Tree};

/// A container that only looks lives no longer.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// The names of all programs that anybody asks for, and a path.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Images, and paths that repositories ask for, are few; what is forgotten is looked for again.
const REMEMBERED_MAX: usize = 64;

/// What decides what is found: engine, image, runtime, the policy's environment, names.
type Asked = (String, String, Option<String>, Vec<(String, String)>, Vec<String>);

/// What was found before.
static FOUND: Mutex<Option<HashMap<Asked, Inside>>> = Mutex::new(None);

/// See [`crate::inside()`]. A container is started for it, once for each image in this process.
pub(super) async fn look(config: &Config, policy: &Policy, names: &[&str]) -> Result<Inside, Error> {
    let engine = super::engine::connect(&config.engine).await?;
    let id = image::id(&engine, &config.image).await?;
    let named = names.iter().map(|&name| name.to_owned()).collect();
    let (address, runtime, environment) =
        (config.engine.clone(), config.runtime.clone(), policy.environment.clone());
    let asked: Asked = (address, id.clone(), runtime, environment, named);
    if let Some(inside) = found(|found| found.get(&asked).cloned()) {
        return Ok(inside);
    }
    let said = ask_a_container(config, policy, names).await?;
    let mut lines = said.lines();
    let path = lines.next().unwrap_or_default().to_owned();
    // The image's own name tells its programs from those of every other.
    let program = |name: &&str| Program { name: (*name).to_owned(), stamp: id.clone() };
    let programs = lines.filter(|line| names.contains(line)).collect::<Vec<_>>();
    let runtime = config.runtime.as_deref().unwrap_or(&engine.facts.default_runtime);
    let system = format!("docker {} {runtime} {id}", std::env::consts::ARCH);
    let inside = Inside { system, path, programs: programs.iter().map(program).collect() };
    found(|found| {
        if found.len() >= REMEMBERED_MAX {
            found.clear();
        }
        found.insert(asked, inside.clone());
    });
    Ok(inside)
}

fn found<T>(with: impl FnOnce(&mut HashMap<Asked, Inside>) -> T) -> T {
    with(FOUND.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// The path of commands in a line, then each of `names` that is found there in one. `names` are words of ours.
async fn ask_a_container(config: &Config, policy: &Policy, names: &[&str]) -> Result<String, Error> {
    let config = Config { changes: Changes::Memory, ..config.clone() };
    let environment = policy.environment.clone();
    let policy = Policy { environment, lifetime: LOOK_MAX, ..Policy::default() };
    let sandbox = super::open(&config, &Tree::of(Vec::new()), &policy).await?;
    let script = format!(
        "echo \"$PATH\"; for name in {}; do if command -v \"$name\" > /dev/null; then echo \"$name\"; fi; done",
        names.join(" ")
    );
    let command = Command { script, timeout: LOOK_MAX, output_bytes_max: OUTPUT_BYTES_MAX, live: None };
    let ran = sandbox.run(&command).await;
    // What stays is swept by the next process; what was found is what counts.
    drop(sandbox.close().await);
    Ok(ran?.output)
}
