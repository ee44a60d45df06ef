//! Replaces passages of a file, all of them or none, and touches no byte outside them.

pub(super) mod elision;
mod find;
mod nearest;
mod refusal;
mod rewrite;
mod shift;
mod view;

use std::ops::Range;

use super::confine::{Place, Stands, Tree};
use super::missing::missing;
use super::replace::replace;
use super::{FILE_BYTES_MAX, Refusal, is_binary, refuse, size};
use crate::protocol::{Applied, FileAnswer, Passage, Tier};
use find::{Match, Needle, Text};
use refusal::Which;

/// A call with more passages than this is a rewrite; the whole file is easier to write then.
const PASSAGES_MAX: usize = 100;

/// Replaces `passages` in the file `asked`, or creates it from the one passage whose old text is empty.
pub(super) fn edit(tree: &Tree, asked: &str, passages: &[Passage]) -> Result<FileAnswer, Refusal> {
    let place = tree.place(asked)?;
    match place.stands {
        Stands::File => {}
        Stands::Nothing => return create(tree, asked, &place, passages),
        Stands::Folder => return refuse(format!("{asked} is a folder; give the path of a file.")),
        Stands::Special(what) => return refuse(format!("{asked} is {what}; only regular files are edited.")),
    }
    let (content, stat) = tree.content(asked, &place.path, FILE_BYTES_MAX)?;
    if is_binary(&content) {
        return refuse(format!(
            "{asked} is a binary file of {}; it is not edited.",
            size(content.len() as u64)
        ));
    }
    let spliced = splice(&content, passages).map_err(|Refusal(why)| Refusal(format!("{asked}: {why}")))?;
    replace(tree, asked, &place, &spliced.content, Some(&stat))?;
    Ok(FileAnswer::Edited { applied: spliced.applied })
}

fn create(tree: &Tree, asked: &str, place: &Place, passages: &[Passage]) -> Result<FileAnswer, Refusal> {
    let [Passage { old, new, .. }] = passages else { return Err(missing(tree, asked, place)) };
    if !old.is_empty() {
        let Refusal(why) = missing(tree, asked, place);
        return refuse(format!("{why} To create it, leave the old text empty."));
    }
    if asked.ends_with('/') {
        return refuse(format!("{asked} names a folder; give the path of a file."));
    }
    if new.len() > FILE_BYTES_MAX {
        return refuse(refusal::too_large(new.len()));
    }
    if let Some(line) = elision::placeholder(new, "") {
        return refuse(elision::refusal(&line));
    }
    replace(tree, asked, place, new.as_bytes(), None)?;
    let applied = Applied { old: String::new(), new: new.clone(), line: 1, tier: Tier::Created };
    Ok(FileAnswer::Edited { applied: vec![applied] })
}

/// A file's content with its passages replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spliced {
    /// The new content.
    pub content: Vec<u8>,
    /// What was replaced, in the order of the passages; lines are those of the new content.
    pub applied: Vec<Applied>,
    /// Where each of `applied` stood in the old content.
    pub replaced: Vec<Range<usize>>,
}

/// Replaces `passages` in `content`. All of them are found in `content` as it is given, so their order says nothing.
///
/// # Errors
/// Says which passage cannot be replaced and why, with what a model needs to do better.
pub fn splice(content: &[u8], passages: &[Passage]) -> Result<Spliced, Refusal> {
    if passages.is_empty() || passages.len() > PASSAGES_MAX {
        return refuse(format!("An edit takes 1 to {PASSAGES_MAX} passages; there are {}.", passages.len()));
    }
    let text = Text::new(content);
    let mut changes = Vec::new();
    for (index, passage) in passages.iter().enumerate() {
        let which = Which { number: index + 1, of: passages.len() };
        changes.extend(changes_of(&text, passage, which)?);
    }
    apply(content, &changes)
}

/// One place to be replaced.
struct Change {
    range: Range<usize>,
    new: Vec<u8>,
    tier: Tier,
    /// Of the passage, from 1.
    number: usize,
}

/// The places that one passage replaces, with what stands there afterwards.
fn changes_of(text: &Text<'_>, passage: &Passage, which: Which) -> Result<Vec<Change>, Refusal> {
    let needle = Needle::new(&passage.old, &passage.new);
    if needle.given.trim().is_empty() {
        return refuse(refusal::blank(which, &needle.given));
    }
    if needle.old == needle.new {
        return refuse(refusal::same(which));
    }
    if let Some(line) = elision::placeholder(&needle.new, &needle.old) {
        return refuse(format!("{which}{}", elision::refusal(&line)));
    }
    let chosen = places(text, &needle, passage, which)?;
    let changes = chosen.into_iter().map(|found| Change {
        new: rewrite::rewrite(text.content, &needle, &found),
        range: found.range,
        tier: found.tier,
        number: which.number,
    });
    let is_change = |change: &Change| text.content[change.range.clone()] != change.new[..];
    let changes: Vec<Change> = changes.filter(is_change).collect();
    if changes.is_empty() { refuse(refusal::nothing_new(which)) } else { Ok(changes) }
}

/// The one place where a passage stands, or all of them when every one is asked for.
fn places(text: &Text<'_>, needle: &Needle, passage: &Passage, which: Which) -> Result<Vec<Match>, Refusal> {
    let found = find::find(text, needle);
    if found.is_empty() {
        return refuse(refusal::not_found(text.content, needle, which));
    }
    if found.len() > find::CANDIDATES_MAX {
        return refuse(refusal::too_many(which));
    }
    if passage.every {
        return Ok(find::apart(found));
    }
    let found = find::strictest(found);
    if found.len() == 1 {
        return Ok(found);
    }
    match near(text.content, &found, passage.near_line) {
        Some(nearest) => Ok(vec![nearest]),
        None => Err(refusal::ambiguous(text.content, &found, which, passage.near_line)),
    }
}

/// Lines between a hint and a place that it can still mean.
const NEAR_LINES_MAX: u64 = 100;

/// The one place that is nearest to the hint; none when there is no hint, or when it fits two places, or no place.
fn near(content: &[u8], found: &[Match], near_line: Option<u64>) -> Option<Match> {
    let wanted = near_line?;
    let lines = find::lines_of(content, found.iter().map(|found| found.range.start));
    let mut by_distance: Vec<(u64, &Match)> =
        lines.into_iter().map(|line| line.abs_diff(wanted)).zip(found).collect();
    by_distance.sort_by_key(|(distance, _)| *distance);
    match by_distance[..] {
        [(nearest, found), (next, _), ..] if nearest < next && nearest <= NEAR_LINES_MAX => {
            Some(found.clone())
        }
        _ => None,
    }
}

/// Splices all changes into `content` at once.
fn apply(content: &[u8], changes: &[Change]) -> Result<Spliced, Refusal> {
    let mut in_order: Vec<usize> = (0..changes.len()).collect();
    in_order.sort_by_key(|index| (changes[*index].range.start, changes[*index].range.end));
    for pair in in_order.windows(2) {
        let (first, second) = (&changes[pair[0]], &changes[pair[1]]);
        if second.range.start < first.range.end {
            return refuse(refusal::overlapping(content, first.number, second.number, second.range.start));
        }
    }
    let removed: usize = changes.iter().map(|change| change.range.len()).sum();
    let added: usize = changes.iter().map(|change| change.new.len()).sum();
    let length = content.len() - removed + added;
    if length > FILE_BYTES_MAX {
        return refuse(refusal::too_large(length));
    }
    let mut spliced = Vec::with_capacity(length);
    let mut starts = vec![0; changes.len()];
    let mut done = 0;
    for index in in_order {
        let change = &changes[index];
        spliced.extend_from_slice(&content[done..change.range.start]);
        starts[index] = spliced.len();
        spliced.extend_from_slice(&change.new);
        done = change.range.end;
    }
    spliced.extend_from_slice(&content[done..]);
    let lines = find::lines_of(&spliced, starts.into_iter());
    let applied = changes.iter().zip(lines).map(|(change, line)| Applied {
        old: String::from_utf8_lossy(&content[change.range.clone()]).into_owned(),
        new: String::from_utf8_lossy(&change.new).into_owned(),
        line,
        tier: change.tier,
    });
    Ok(Spliced {
        applied: applied.collect(),
        replaced: changes.iter().map(|change| change.range.clone()).collect(),
        content: spliced,
    })
}

#[cfg(test)]
mod tests;
