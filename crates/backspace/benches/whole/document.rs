//! Keeps the last results in docs/benchmarks.md; a measure that was not run keeps its former ones.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::figure::Row;
use crate::{Measure, machine};

const HEAD: &str = "# Benchmarks

Written by `./dev bench [NAME …]`; no figure is typed in. A figure is the median [min–max] of its runs. Targets are for
the median, on two cores. `missed (×1.20)` is a median of 1.2 times the target. What stands beside a figure was measured in
the same run, in turns with it; `ours ×0.50` is half of it. The model answers at once unless a measure says otherwise, and
is, like the forge, another process or not counted.";

/// A measure's part of the document.
pub(crate) struct Section {
    name: &'static str,
    pub(crate) text: String,
}

impl Section {
    /// The part of `measure`, begun at `load`.
    ///
    /// # Errors
    /// When the machine does not tell the date or the version.
    pub(crate) fn new(measure: &Measure, load: &str, rows: &[Row]) -> Result<Self> {
        let Measure { name, title, about, .. } = measure;
        let (date, version) = (machine::date()?, machine::version()?);
        let mut text = format!(
            "## {name}: {title}\n\n{about}\n\nMeasured {date}, {version}, load average {load} at its begin.\n\n\
             | measure | median [min–max] | runs | target | beside it |\n|---|---|---|---|---|\n"
        );
        for row in rows {
            text.push_str(&row.markdown());
            text.push('\n');
        }
        Ok(Self { name, text })
    }
}

/// Writes `section` into the document, over its former self.
///
/// # Errors
/// When the document cannot be written.
pub(crate) fn keep(machine: &str, measures: &[Measure], section: Section) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
    let former = std::fs::read_to_string(&path).unwrap_or_default();
    let mut text = format!("{HEAD}\n\n{machine}\n");
    for measure in measures {
        let kept = if measure.name == section.name {
            Some(section.text.as_str())
        } else {
            part(&former, measure.name)
        };
        if let Some(kept) = kept {
            text.push('\n');
            text.push_str(kept.trim_end());
            text.push('\n');
        }
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The part of `document` whose heading begins with `name`.
fn part<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let begin = document.find(&format!("\n## {name}: "))? + 1;
    let rest = &document[begin..];
    let end = rest.find("\n## ").unwrap_or(rest.len());
    Some(&rest[..end])
}
