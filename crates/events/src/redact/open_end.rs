//! Where a text that still grows may end in the middle of a secret.

use super::forms::Forms;
use super::layout::{self, Dump, Written};
use super::patterns;

/// A text as it is, or as it was before it was laid out.
struct View<'a> {
    bytes: Vec<u8>,
    /// Where in the text each of them stands, or has to be begun again to be understood.
    at: Vec<usize>,
    forms: &'a [String],
}

/// Where the part of `text` begins that more text may turn into one of `forms`, or into what looks like a secret.
pub(super) fn of_text(text: &str, forms: &Forms) -> usize {
    of(text.as_bytes(), forms, patterns::open_end(text))
}

/// Where the part of `bytes` begins that more of them may turn into one of `forms`.
pub(super) fn of_held(bytes: &[u8], forms: &Forms) -> usize {
    of(bytes, forms, bytes.len())
}

/// The same, where the part from `open` on is open anyway.
fn of(bytes: &[u8], forms: &Forms, open: usize) -> usize {
    if forms.all.is_empty() {
        return open;
    }
    let dump = Dump::read(bytes, Written::Plain);
    let unfinished = dump.unfinished.unwrap_or(bytes.len());
    let views = [
        View { bytes: bytes.to_vec(), at: (0..bytes.len()).collect(), forms: &forms.all },
        View { bytes: layout::joined(bytes), at: layout::places(bytes), forms: &forms.spread },
        View { at: dump.beginnings(), bytes: dump.digits, forms: &forms.spread },
    ];
    let begun = views.iter().filter_map(View::begun).min().unwrap_or(bytes.len());
    let mut open = open.min(unfinished).min(begun);
    // A whole secret that reaches into that part would be cut in two.
    while let Some(at) = views.iter().find_map(|view| view.reaching_over(open)) {
        open = at;
    }
    open
}

impl View<'_> {
    /// Where a form begins that may go on beyond the end.
    fn begun(&self) -> Option<usize> {
        let begun = |form: &String| {
            let first = (self.bytes.len() + 1).saturating_sub(form.len());
            (first..self.bytes.len()).find(|at| form.as_bytes().starts_with(&self.bytes[*at..]))
        };
        self.forms.iter().filter_map(begun).min().map(|index| self.at[index])
    }

    /// Where a form begins that stands before place `open` of the text and ends behind it.
    fn reaching_over(&self, open: usize) -> Option<usize> {
        let index = self.at.partition_point(|at| *at < open);
        let found = self.forms.iter().find_map(|form| reaching_over(&self.bytes, form, index));
        found.map(|index| self.at[index])
    }
}

/// Where `form` stands in `bytes` so that it begins before place `at` and ends behind it.
fn reaching_over(bytes: &[u8], form: &str, at: usize) -> Option<usize> {
    let from = (at + 1).saturating_sub(form.len());
    let until = bytes.len().min((at + form.len()).saturating_sub(1));
    let found = memchr::memmem::find(bytes.get(from..until)?, form.as_bytes())?;
    Some(from + found)
}
