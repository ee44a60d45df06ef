//! Recognises lines such as `... rest of the code unchanged ...`, which stand for text that was left out.

use super::refusal::LINE_CHARS_MAX;

/// Without one of these it is an ordinary line.
const TELLING: &[&str] = &[
    "rest",
    "existing",
    "unchanged",
    "remaining",
    "remainder",
    "omitted",
    "previous",
    "same",
    "truncated",
    "snip",
    "snipped",
    "elided",
    "original",
    "brevity",
];
/// One of these is among them when there is no ellipsis.
const THE_REST: &[&str] = &["rest", "remaining", "remainder"];
/// With a word that is neither telling nor one of these it says something of its own.
const ACCOMPANYING: &[&str] = &[
    "above",
    "all",
    "and",
    "are",
    "as",
    "before",
    "below",
    "body",
    "class",
    "code",
    "content",
    "contents",
    "continues",
    "definitions",
    "fields",
    "file",
    "for",
    "from",
    "function",
    "functions",
    "goes",
    "here",
    "implementation",
    "implementations",
    "imports",
    "in",
    "is",
    "it",
    "keep",
    "kept",
    "lines",
    "logic",
    "method",
    "methods",
    "module",
    "more",
    "no",
    "not",
    "of",
    "other",
    "remain",
    "remains",
    "section",
    "shown",
    "stay",
    "stays",
    "test",
    "tests",
    "text",
    "that",
    "the",
    "this",
    "to",
    "was",
    "with",
    "your",
];

/// The first line of `new` that stands for text left out and that `old` does not have.
pub(in super::super) fn placeholder(new: &str, old: &str) -> Option<String> {
    let mut suspects = new.lines().map(str::trim).filter(|line| stands_for_text(line)).peekable();
    suspects.peek()?;
    let known: std::collections::HashSet<&str> = old.lines().map(str::trim).collect();
    suspects.find(|line| !known.contains(line)).map(str::to_owned)
}

/// Why such a line is not written.
pub(in super::super) fn refusal(line: &str) -> String {
    let line: String = line.chars().take(LINE_CHARS_MAX).collect();
    format!(
        "the new text has the line `{line}`, which seems to stand for text left out and was not there before. It would \
         be written as it is, and what it stands for would be lost. Write the text out in full, or replace a smaller \
         passage; when the line itself is meant, write it with bash. Nothing was done."
    )
}

fn stands_for_text(line: &str) -> bool {
    let is_mark = |c: char| c.is_ascii_punctuation() || c.is_whitespace() || c == '…';
    let words: Vec<String> =
        line.split(is_mark).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let is_in = |list: &[&str], word: &str| list.contains(&word);
    let telling = words.iter().filter(|word| is_in(TELLING, word)).count();
    if telling == 0 || !words.iter().all(|word| is_in(TELLING, word) || is_in(ACCOMPANYING, word)) {
        return false;
    }
    match dots(line) {
        Dots::Apart => true,
        // `...rest` and `rest...` are code in several languages; prose has words with nothing but a space between.
        Dots::Joined => has_prose(line),
        // As in `# rest of the file unchanged`.
        Dots::None => {
            line.starts_with(is_mark) && telling >= 2 && words.iter().any(|word| is_in(THE_REST, word))
        }
    }
}

/// How an ellipsis stands in a line.
enum Dots {
    None,
    /// Right beside a word.
    Joined,
    Apart,
}

fn dots(line: &str) -> Dots {
    if line.contains('…') {
        return Dots::Apart;
    }
    let Some(at) = line.find("...") else { return Dots::None };
    let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (before, after) = (line[..at].chars().next_back(), line[at..].trim_start_matches('.').chars().next());
    if joined(before) || joined(after) { Dots::Joined } else { Dots::Apart }
}

/// Whether two words have nothing but spaces between them.
fn has_prose(line: &str) -> bool {
    let is_word = |text: &str| text.chars().all(char::is_alphanumeric);
    let parts: Vec<&str> = line.split_whitespace().collect();
    parts.windows(2).any(|pair| {
        let (first, second) = (pair[0].trim_start_matches('.'), pair[1].trim_end_matches('.'));
        !first.is_empty() && !second.is_empty() && is_word(first) && is_word(second)
    })
}
