//! Where a text that still grows may end in the middle of a secret.

use super::patterns;

/// Where the part of `text` begins that more text may turn into one of `forms`, or into what looks like a secret.
pub(super) fn of(text: &str, forms: &[String]) -> usize {
    let bytes = text.as_bytes();
    let begun = |form: &String| {
        let first = (bytes.len() + 1).saturating_sub(form.len());
        (first..bytes.len()).find(|at| form.as_bytes().starts_with(&bytes[*at..]))
    };
    let begun = forms.iter().filter_map(begun).min().unwrap_or(bytes.len());
    let mut open = begun.min(patterns::open_end(text));
    // A whole secret that reaches into that part would be cut in two.
    while let Some(at) = forms.iter().find_map(|form| reaching_over(bytes, form, open)) {
        open = at;
    }
    open
}

/// Where `form` stands in `bytes` so that it begins before place `at` and ends behind it.
fn reaching_over(bytes: &[u8], form: &str, at: usize) -> Option<usize> {
    let from = (at + 1).saturating_sub(form.len());
    let until = bytes.len().min((at + form.len()).saturating_sub(1));
    let found = memchr::memmem::find(bytes.get(from..until)?, form.as_bytes())?;
    Some(from + found)
}
