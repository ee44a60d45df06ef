//! Measures what `backspace` costs beside the model and the servers it talks to, and keeps the table in
//! docs/benchmarks.md. Nothing here passes or fails: a target that is missed is said to be missed.

mod bare;
mod caches;
mod containers;
mod document;
mod figure;
mod forge;
mod http;
mod large;
mod load;
mod machine;
mod model;
mod process;
mod repository;
mod sandboxes;
mod serving;
mod session;
mod setup;
mod start;
mod streams;
mod together;
mod turns;
mod way_out;

use anyhow::{Context as _, Result, bail};

use document::Section;
use figure::Row;

/// A chapter of the table.
struct Measure {
    name: &'static str,
    title: &'static str,
    /// What is done, and what the figures mean.
    about: &'static str,
    run: fn() -> Result<Vec<Row>>,
}

const MEASURES: &[Measure] = &[
    start::MEASURE,
    turns::MEASURE,
    caches::MEASURE,
    session::MEASURE,
    large::MEASURE,
    setup::MEASURE,
    streams::MEASURE,
    together::MEASURE,
    sandboxes::MEASURE,
    way_out::MEASURE,
    // Last, since not every machine can start an engine.
    containers::MEASURE,
];

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [bare::COMMAND, file] = asked.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return bare::serve(file);
    }
    if let Some(unknown) = asked.iter().find(|name| MEASURES.iter().all(|measure| measure.name != *name)) {
        let names: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
        bail!("there is no measure `{unknown}`; there are: {}", names.join(", "));
    }
    let machine = machine::describe()?;
    say(&format!("{machine}\n"));
    for measure in
        MEASURES.iter().filter(|measure| asked.is_empty() || asked.contains(&measure.name.to_owned()))
    {
        let load = machine::load()?;
        let rows = (measure.run)().with_context(|| format!("cannot measure `{}`", measure.name))?;
        let section = Section::new(measure, &load, &rows)?;
        say(&section.text);
        document::keep(&machine, MEASURES, section)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn say(text: &str) {
    println!("{text}");
}
