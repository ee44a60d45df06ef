//! Taking secrets out of text before anybody sees it.
//!
//! What this process holds is known by value and found in every usual writing of it. What only looks like a secret,
//! somebody else's for instance, is found by the published forms of tokens and keys.

mod forms;
mod open_end;
mod patterns;

use std::borrow::Cow;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};

/// What stands in the place of a secret that this process holds. Nothing in it is escaped by JSON.
const MASK: &str = "[redacted]";

/// Knows the secrets of this process by value and takes them out of text.
///
/// A value is found plain, percent-encoded, JSON-escaped, in hexadecimal and in base64 at every alignment, so also as the
/// second half of `user:value`. Values under eight bytes and numbers are no secrets: they would blot out ordinary words,
/// and in JSON the mask of a number would not be one.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Finds all writings of all secrets; nothing when there is none.
    held: Option<AhoCorasick>,
    /// The writings.
    forms: Arc<[String]>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    /// A redactor for `secrets`.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let forms = forms::of_all(secrets);
        if forms.is_empty() {
            return Self::default();
        }
        // The longest first, so that a form which holds another goes as a whole.
        let searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
        // More text than a search can be made of is no list of secrets.
        Self { held: searcher.ok(), forms: forms.into() }
    }

    /// Whether a secret that this process holds stands in `bytes`.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_match(bytes))
    }

    /// Where the part of `text` begins that more text may turn into a secret; its length when there is none. What stands
    /// before can be redacted and told on its own.
    pub fn open_end(&self, text: &str) -> usize {
        open_end::of(text, &self.forms)
    }

    /// `text` without secrets, for everybody who reads what this process writes: those that it holds, and what looks
    /// like one by the published form of a token or key, with the kind of it in its place. Borrowed when there was none.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.mask_held(text) {
            Cow::Borrowed(text) => patterns::mask(text),
            Cow::Owned(text) => match patterns::mask(&text) {
                Cow::Borrowed(_) => Cow::Owned(text),
                Cow::Owned(masked) => Cow::Owned(masked),
            },
        }
    }

    /// `text` without the secrets that this process holds. What only looks like one stays: for a model, which would
    /// write the mask into files.
    pub fn mask_held<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(held) = self.held.as_ref().filter(|held| held.is_match(text)) else {
            return Cow::Borrowed(text);
        };
        let mut masked = String::with_capacity(text.len());
        held.replace_all_with(text, &mut masked, |_, _, masked| {
            masked.push_str(MASK);
            true
        });
        Cow::Owned(masked)
    }
}

#[cfg(test)]
mod tests;
