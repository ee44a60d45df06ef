//! Says that a path does not exist, and which existing ones may have been meant.

use std::path::Path;

use super::Refusal;
use super::confine::{Place, Tree};
use super::walk::{Walk, entries};

/// More names than this are no hint any more.
const NAMES_MAX: usize = 5;
/// Below this two names are not alike (Jaro-Winkler).
const LIKENESS_MIN: f64 = 0.8;
/// Files looked at for the same name elsewhere: some tens of milliseconds.
const LOOKED_AT_MAX: usize = 20_000;

/// The refusal for a place where nothing stands.
pub(super) fn missing(tree: &Tree, asked: &str, place: &Place) -> Refusal {
    let Some(name) = place.path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Refusal(format!("{asked} does not exist."));
    };
    let mut near = same_name(tree, &place.path);
    near.extend(alike(tree, &place.path));
    near.truncate(NAMES_MAX);
    if near.is_empty() {
        return Refusal(format!("{asked} does not exist, nor does any file with a name like {name}."));
    }
    Refusal(format!("{asked} does not exist. The nearest that do: {}.", near.join(", ")))
}

/// Files of the same name in other folders.
fn same_name(tree: &Tree, path: &Path) -> Vec<String> {
    let files = Walk::new(tree, Path::new("")).take(LOOKED_AT_MAX);
    let same = files.filter(|(found, _)| found.file_name() == path.file_name());
    same.take(NAMES_MAX).map(|(found, _)| found.to_string_lossy().into_owned()).collect()
}

/// Names like the missing one, in the last folder of the path that exists.
fn alike(tree: &Tree, path: &Path) -> Vec<String> {
    let mut wanted = path;
    let (folder, names) = loop {
        let Some(parent) = wanted.parent() else { return Vec::new() };
        match entries(tree, parent) {
            Ok(names) => break (parent, names),
            Err(_) => wanted = parent,
        }
    };
    let Some(name) = wanted.file_name().map(|name| name.to_string_lossy().to_lowercase()) else {
        return Vec::new();
    };
    let mut scored: Vec<(f64, String)> = names
        .into_iter()
        .map(|entry| {
            let likeness = strsim::jaro_winkler(&name, &entry.name.to_string_lossy().to_lowercase());
            (likeness, folder.join(&entry.name).to_string_lossy().into_owned())
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.into_iter().map(|(_, path)| path).collect()
}
