//! What long sessions send, and how much of it providers would find in their caches.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use fakes::model::{Counts, Fake, Manner, Organization, Recording, Running, Sum};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::figure::{Figure, Row};
use crate::forge::Forge;
use crate::process::{self, BINARY, Took};
use crate::{Measure, machine, repository};

pub(crate) const MEASURE: Measure = Measure {
    name: "caches",
    title: "what is sent, and what of it is found in the provider's cache",
    about: "`backspace run` with sessions of 12, 100 and 400 turns, each a `bash` call that prints 40 lines, on every wire \
            against the strict stand-in. Sent: the bodies of all requests. Found: the share of all prompts' tokens that a \
            provider would have read from its cache. That is a simulation over the very bytes that were sent, at four bytes \
            a token and with nothing forgotten: for Anthropic what ends at a mark, for OpenAI what a request has in common \
            with the one before, in steps of 128 tokens. CPU is that of the process and of its children, its start and the \
            end of the session included.",
    run: measure,
};

const RUNS: usize = 3;
const TURNS: [usize; 3] = [12, 100, 400];
/// The wires, by the names that the vendors table has for them.
const WIRES: [&str; 3] = ["anthropic", "responses", "chat_completions"];
/// Nothing is changed.
const UNCHANGED: i32 = 3;
/// Files that are looked at in turn.
const FILES: usize = 20;

/// A session and what it sent.
struct Run {
    took: Took,
    sum: Sum,
}

/// Where sessions run: the repository on the stand-in forge, and the state of all of them.
struct Place {
    runtime: Runtime,
    folder: tempfile::TempDir,
    forge: Forge,
}

fn measure() -> Result<Vec<Row>> {
    let runtime = Runtime::new().context("cannot start a runtime")?;
    let folder = machine::folder()?;
    let seed = folder.path().join("seed");
    repository::small(&seed)?;
    let forge = Forge::start(&seed, &["small".to_owned()])?;
    let place = Place { runtime, folder, forge };
    let mut rows = Vec::new();
    for wire in WIRES {
        for turns in TURNS {
            let runs: Vec<Run> = (0..RUNS).map(|_| place.run(wire, turns)).collect::<Result<_>>()?;
            rows.extend(rows_of(wire, turns, &runs));
        }
    }
    Ok(rows)
}

fn rows_of(wire: &str, turns: usize, runs: &[Run]) -> [Row; 3] {
    let name = |what: &str| format!("`{wire}`, {turns} turns: {what}");
    let share = |sum: &Sum| 100.0 * sum.read_tokens as f64 / sum.prompt_tokens as f64;
    let sent = runs.iter().map(|run| run.sum.bytes as f64 / 1e6);
    [
        Row::new(name("sent"), Figure::new("MB", sent)),
        Row::new(name("found, simulated"), Figure::new("%", runs.iter().map(|run| share(&run.sum)))),
        Row::new(name("CPU a turn"), Figure::ms(runs.iter().map(|run| run.took.cpu / turns as u32))),
    ]
}

impl Place {
    /// One session of `turns` turns and its end.
    fn run(&self, wire: &str, turns: usize) -> Result<Run> {
        let manner = Manner { organization: Organization::Verified, counts: Counts::Simulated };
        let fake = Fake::with_manner(Recording::parse(&script(turns))?, manner);
        let running = self.runtime.block_on(fake.start()).context("cannot start the model")?;
        let settings = self.settings(wire, &running)?;
        let address = self.forge.address("small");
        let command = process::command(BINARY, &["run", &address, "Look around"], &settings);
        let took = process::run(command, UNCHANGED)?;
        let sum = fake.take_sum();
        ensure!(sum.requests == turns + 1, "{} requests instead of {}", sum.requests, turns + 1);
        Ok(Run { took, sum })
    }

    /// The settings of a `backspace` that knows one vendor, `wire`, whose models hold any session here.
    fn settings(&self, wire: &str, model: &Running) -> Result<process::Settings> {
        let url = if wire == "anthropic" { model.anthropic_url() } else { model.openai_url() };
        let table = format!(
            "[bench]\nwire = \"{wire}\"\nbase_url = \"{url}\"\nkey_variable = \"BENCH_KEY\"\nkey_header = \"bearer\"\n\
             model = \"bench-1\"\ncache_key = {}\nmodels = {{ \"*\" = {{ context = 1_000_000 }} }}\n",
            wire != "anthropic"
        );
        let vendors = self.folder.path().join("vendors.toml");
        std::fs::write(&vendors, table).context("cannot write a table of vendors")?;
        let path = |path: &Path| path.display().to_string();
        let own = [
            ("BACKSPACE_HOME", path(&self.folder.path().join("home"))),
            ("BACKSPACE_VENDORS", path(&vendors)),
            ("BENCH_KEY", "any-key".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        Ok(self.forge.settings.iter().cloned().chain(own).collect())
    }
}

/// A recording of `turns` looks, and the end.
fn script(turns: usize) -> String {
    let call = |id: usize, name: &str, input: Value| {
        let call = json!({ "type": "tool_use", "id": format!("t{id}"), "name": name, "input": input });
        json!({ "content": [call], "usage": { "output_tokens": 50 } })
    };
    let mut script = String::new();
    for n in 0..turns {
        let look = format!("head -n 40 {}", repository::small_path(n % FILES));
        writeln!(script, "{}", call(n, "bash", json!({ "command": look }))).ok();
    }
    let end = json!({ "title": "Looked around", "summary": "Nothing is to be done." });
    script + &call(turns, "finish", end).to_string()
}
