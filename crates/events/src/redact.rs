//! Taking secrets out of text before anybody sees it.
//!
//! What this process holds is known by value and found in every usual writing of it. What only looks like a secret,
//! somebody else's for instance, is found by the published forms of tokens and keys.

mod forms;
mod layout;
mod open_end;
mod patterns;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use forms::Forms;
use layout::{Dump, Written};

/// What stands in the place of a secret that this process holds. Nothing in it is escaped by JSON.
const MASK: &str = "[redacted]";

/// Knows the secrets of this process by value and takes them out of text.
///
/// A value is found plain, percent-encoded, JSON-escaped, in hexadecimal and in base64 at every alignment, so also as the
/// second half of `user:value`. The last two are found as well where white space stands in them, as `base64`, `od` and
/// `xxd -p` wrap them, and in the lines of a dump (`xxd`, `hexdump -C`, `od -t x1`). Values under eight bytes and numbers are no secrets: they would blot out ordinary words,
/// and in JSON the mask of a number would not be one.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Finds all writings of all secrets; nothing when there is none.
    held: Option<AhoCorasick>,
    /// Finds those that stay what they are when they are laid out anew.
    spread: Option<AhoCorasick>,
    /// The writings.
    forms: Arc<Forms>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.all.len())
    }
}

impl Redactor {
    /// A redactor for `secrets`.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let forms = forms::of_all(secrets);
        // The longest first, so that a form which holds another goes as a whole. More text than a search can be made of
        // is no list of secrets.
        let searcher = |forms: &[String]| {
            let searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms);
            searcher.ok().filter(|_| !forms.is_empty())
        };
        Self { held: searcher(&forms.all), spread: searcher(&forms.spread), forms: Arc::new(forms) }
    }

    /// Whether a secret that this process holds stands in `bytes`.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_match(bytes))
            || self.spread.as_ref().is_some_and(|spread| {
                spread.is_match(&layout::joined(bytes))
                    || spread.is_match(&Dump::read(bytes, Written::Plain).digits)
            })
    }

    /// Where the part of `text` begins that more text may turn into a secret; its length when there is none. What stands
    /// before can be redacted and told on its own.
    pub fn open_end(&self, text: &str) -> usize {
        open_end::of_text(text, &self.forms)
    }

    /// As [`Redactor::open_end`], for what need not be text, and for the secrets that this process holds alone.
    pub fn held_open_end(&self, bytes: &[u8]) -> usize {
        open_end::of_held(bytes, &self.forms)
    }

    /// `text` without secrets, for everybody who reads what this process writes: those that it holds, and what looks
    /// like one by the published form of a token or key, with the kind of it in its place. Borrowed when there was none.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        masked_by_form(self.mask_held(text))
    }

    /// As [`Redactor::redact`], for a JSON document, which stays one.
    pub fn redact_json<'t>(&self, json: &'t str) -> Cow<'t, str> {
        masked_by_form(self.mask(json, Written::Json))
    }

    /// `text` without the secrets that this process holds. What only looks like one stays: for a model, which would
    /// write the mask into files.
    pub fn mask_held<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.mask(text, Written::Plain)
    }

    /// As [`Redactor::mask_held`], for what need not be text.
    pub fn mask_held_bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        match self.places(bytes, Written::Plain) {
            places if places.is_empty() => Cow::Borrowed(bytes),
            places => Cow::Owned(without(bytes, &places)),
        }
    }

    fn mask<'t>(&self, text: &'t str, written: Written) -> Cow<'t, str> {
        match self.places(text.as_bytes(), written) {
            places if places.is_empty() => Cow::Borrowed(text),
            // A writing begins and ends where a character does.
            places => Cow::Owned(String::from_utf8_lossy(&without(text.as_bytes(), &places)).into_owned()),
        }
    }

    /// Where held secrets stand in `bytes`, in their order, none in another.
    fn places(&self, bytes: &[u8], written: Written) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        if let Some(held) = &self.held {
            places.extend(held.find_iter(bytes).map(|found| found.range()));
        }
        if let Some(spread) = &self.spread {
            let joined = layout::joined(bytes);
            if spread.is_match(&joined) {
                let at = layout::places(bytes);
                places.extend(
                    spread.find_iter(&joined).map(|found| at[found.start()]..at[found.end() - 1] + 1),
                );
            }
            let dump = Dump::read(bytes, written);
            places.extend(spread.find_iter(&dump.digits).flat_map(|found| dump.lines_of(found.range())));
        }
        places.sort_unstable_by_key(|place| (place.start, place.end));
        places.dedup_by(|next, place| {
            let overlaps = next.start < place.end;
            if overlaps {
                place.end = place.end.max(next.end);
            }
            overlaps
        });
        places
    }
}

/// `bytes` with the mask at `places`.
fn without(bytes: &[u8], places: &[Range<usize>]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for place in places {
        masked.extend_from_slice(&bytes[copied..place.start]);
        masked.extend_from_slice(MASK.as_bytes());
        copied = place.end;
    }
    masked.extend_from_slice(&bytes[copied..]);
    masked
}

/// `text` without what only looks like a secret.
fn masked_by_form(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => patterns::mask(text),
        Cow::Owned(text) => match patterns::mask(&text) {
            Cow::Borrowed(_) => Cow::Owned(text),
            Cow::Owned(masked) => Cow::Owned(masked),
        },
    }
}

#[cfg(test)]
mod tests;
