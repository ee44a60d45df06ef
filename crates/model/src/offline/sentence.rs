//! Reads a task as one of the jobs that the offline agent can do. It has to be that job and nothing besides: a sentence
//! too much, and it is somebody else's.

use super::licence::Licence;
use super::task::{Job, Trouble};

/// A longer path is no file that anybody names in a sentence.
const PATH_BYTES_MAX: usize = 200;

/// The job that `task` asks for.
///
/// # Errors
/// [`Trouble`] says why there is none.
pub(super) fn job(task: &str) -> Result<Job, Trouble> {
    let tokens = tokens(task).ok_or(Trouble::Unknown)?;
    let reader = || Reader { tokens: &tokens };
    if let Some(licence) = licence(reader()) {
        return licence.map(Job::Licence).map_err(Trouble::Amiss);
    }
    let job = create(reader()).or_else(|| append(reader())).or_else(|| replace(reader()));
    job.or_else(|| section(reader())).ok_or(Trouble::Unknown)
}

/// `Add a file PATH with the text "TEXT"`
fn create(mut reader: Reader<'_>) -> Option<Job> {
    reader.one_of(&["add", "create", "make", "write"])?;
    reader.skip(&["a", "the", "new"]);
    let path = match reader.one_of(&["file"]) {
        Some(_) => {
            reader.skip(&["named", "called"]);
            reader.path()?
        }
        None => {
            let path = reader.path()?;
            reader.one_of(&["file"])?;
            path
        }
    };
    match reader.one_of(&["with", "containing", "saying"])? {
        "with" => {
            reader.skip(&["the"]);
            reader.one_of(&["text", "content", "contents", "line"])?;
        }
        _ => reader.skip(&["the", "text", "line"]),
    }
    let text = lines(reader.quoted()?);
    reader.end(Job::Create { path, text })
}

/// `Append "TEXT" to PATH`
fn append(mut reader: Reader<'_>) -> Option<Job> {
    match reader.one_of(&["append", "add"])? {
        "append" => reader.skip(&["a", "the", "text", "line"]),
        _ => {
            reader.skip(&["a", "the"]);
            reader.one_of(&["line", "text"])?;
        }
    }
    let text = lines(reader.quoted()?);
    reader.one_of(&["to"])?;
    reader.skip(&["the", "end", "of", "file"]);
    let path = reader.path()?;
    reader.end(Job::Append { path, text })
}

/// `Replace "OLD" with "NEW" in PATH`
fn replace(mut reader: Reader<'_>) -> Option<Job> {
    let joint: &[&str] = match reader.one_of(&["replace", "change"])? {
        "replace" => &["with", "by"],
        _ => &["to", "into"],
    };
    reader.skip(&["every", "all", "the", "text"]);
    let old = reader.quoted()?.to_owned();
    reader.one_of(joint)?;
    reader.skip(&["the", "text"]);
    let new = reader.quoted()?.to_owned();
    reader.one_of(&["in"])?;
    reader.skip(&["the", "file"]);
    let path = reader.path()?;
    reader.end(Job::Replace { path, old, new })
}

/// `Add a section "TITLE" to README.md with the text "TEXT"`
fn section(mut reader: Reader<'_>) -> Option<Job> {
    reader.one_of(&["add"])?;
    reader.skip(&["a", "the", "new"]);
    reader.one_of(&["section"])?;
    let title = reader.quoted()?.trim().to_owned();
    reader.one_of(&["to"])?;
    reader.skip(&["the", "file"]);
    let path = match reader.one_of(&["readme"]) {
        Some(_) => "README.md".to_owned(),
        None => reader.path()?,
    };
    reader.one_of(&["with"])?;
    reader.skip(&["the", "text"]);
    let text = lines(reader.quoted()?);
    let is_markdown = [".md", ".markdown"].iter().any(|end| path.to_lowercase().ends_with(end));
    if !is_markdown || title.is_empty() || title.contains('\n') {
        return None;
    }
    reader.end(Job::Section { path, title, text })
}

/// The two ways to write it.
const LICENCE: [&str; 2] = ["licence", "license"];
/// What stands for the repository itself, and is no holder of anything.
const REPOSITORY: [&str; 4] = ["repository", "repo", "project", "code"];

/// `Add the MIT licence for HOLDER, YEAR`
fn licence(mut reader: Reader<'_>) -> Option<Result<Licence, String>> {
    let id = licence_id(&mut reader)?;
    reader.skip(&["text", "file"]);
    // `to this repository` names nobody.
    let mut further = Reader { tokens: reader.tokens };
    if further.one_of(&["to", "in", "for"]).is_some() && repository(&mut further).is_some() {
        reader = further;
    }
    if reader.tokens.is_empty() {
        return Some(Licence::new(id, "", None));
    }
    reader.one_of(&["for", "by"])?;
    let mut names: Vec<&str> = reader.tokens.iter().map(Token::text).collect();
    let is_year = |word: &&&str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    let year = names.last().filter(is_year).copied();
    names.truncate(names.len() - usize::from(year.is_some()));
    let holder = names.join(" ");
    // A whole sentence is no name.
    let is_name = !holder.is_empty() && holder.len() <= PATH_BYTES_MAX && !holder.contains('\n');
    is_name.then(|| Licence::new(id, &holder, year))
}

/// The licence that is named: `Add the MIT licence`, `Add a LICENSE file with the MIT licence`, `License this project
/// under MIT`.
fn licence_id<'t>(reader: &mut Reader<'t>) -> Option<&'t str> {
    if reader.one_of(&LICENCE).is_some() {
        repository(reader)?;
        reader.one_of(&["under"])?;
        reader.skip(&["the"]);
        let id = reader.word()?;
        reader.skip(&LICENCE);
        return Some(id);
    }
    reader.one_of(&["add", "create", "make", "write"])?;
    reader.skip(&["a", "an", "the", "new"]);
    if reader.one_of(&LICENCE).is_none() {
        let id = reader.word()?;
        reader.one_of(&LICENCE)?;
        return Some(id);
    }
    if reader.one_of(&["file"]).is_some() {
        reader.one_of(&["with", "containing", "for", "under"])?;
        reader.skip(&["the", "text", "of"]);
    }
    let id = reader.word()?;
    reader.skip(&LICENCE);
    Some(id)
}

/// Passes over words for the repository itself.
fn repository(reader: &mut Reader<'_>) -> Option<()> {
    reader.one_of(&["this", "the", "my", "our"])?;
    reader.one_of(&REPOSITORY).map(drop)
}

/// A text as lines of a file: each ends.
fn lines(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// A word or a text between quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Quoted(&'t str),
}

impl<'t> Token<'t> {
    fn text(&self) -> &'t str {
        match self {
            Self::Word(text) | Self::Quoted(text) => text,
        }
    }
}

/// Signs that end a sentence, or part of one.
const STOPS: [char; 5] = ['.', ',', ':', ';', '!'];
/// Quotes, and what closes them.
const QUOTES: [(char, char); 5] =
    [('"', '"'), ('`', '`'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')];
/// What stands around a text of several lines.
const FENCE: &str = "```";

/// The words and quoted texts of `task`; nothing when a quote is not closed, or stands for nothing a file can hold.
fn tokens(task: &str) -> Option<Vec<Token<'_>>> {
    let (mut rest, mut tokens) = (task.trim_start(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let (token, after) = if let Some(fenced) = rest.strip_prefix(FENCE) {
            let (text, after) = fenced.split_once(FENCE)?;
            // What stands behind the opening fence says in which language the text is.
            let (_, text) = text.split_once('\n')?;
            (Token::Quoted(text), after)
        } else if let Some((_, close)) = QUOTES.iter().find(|(open, _)| *open == first) {
            let text = &rest[first.len_utf8()..];
            let end = closing(text, *close)?;
            (Token::Quoted(&text[..end]), &text[end + close.len_utf8()..])
        } else {
            let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '`' | '\u{201c}');
            let (word, after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
            (Token::Word(word.trim_end_matches(STOPS)), after)
        };
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        match &token {
            Token::Quoted(text) if text.trim().is_empty() || !text.chars().all(allowed) => return None,
            Token::Word("") => {}
            Token::Word(word) if tokens.is_empty() && word.eq_ignore_ascii_case("please") => {}
            Token::Word(_) | Token::Quoted(_) => tokens.push(token),
        }
        rest = after.trim_start();
    }
    Some(tokens)
}

/// Where the quote ends that `text` follows: at a sign that something may follow, so that `don't` ends none.
fn closing(text: &str, close: char) -> Option<usize> {
    let ends = |(at, _): &(usize, &str)| {
        let next = text[at + close.len_utf8()..].chars().next();
        next.is_none_or(|c| c.is_whitespace() || STOPS.contains(&c))
    };
    text.match_indices(close).find(ends).map(|(at, _)| at)
}

/// Reads tokens from the front.
struct Reader<'t> {
    tokens: &'t [Token<'t>],
}

impl<'t> Reader<'t> {
    /// The next token, when it is one of these words in any case of letters.
    fn one_of<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        let Some((Token::Word(word), rest)) = self.tokens.split_first() else { return None };
        let found = words.iter().find(|known| known.eq_ignore_ascii_case(word))?;
        self.tokens = rest;
        Some(found)
    }

    /// Passes over these words.
    fn skip(&mut self, words: &[&str]) {
        while self.one_of(words).is_some() {}
    }

    fn word(&mut self) -> Option<&'t str> {
        let Some((Token::Word(word), rest)) = self.tokens.split_first() else { return None };
        self.tokens = rest;
        Some(word)
    }

    fn quoted(&mut self) -> Option<&'t str> {
        let Some((Token::Quoted(text), rest)) = self.tokens.split_first() else { return None };
        self.tokens = rest;
        Some(text)
    }

    /// A file of the repository, with or without quotes.
    fn path(&mut self) -> Option<String> {
        let (token, rest) = self.tokens.split_first()?;
        let path = token.text();
        let plain =
            !path.starts_with('-') && path.len() <= PATH_BYTES_MAX && !path.contains(char::is_control);
        let inside = path.split('/').all(|part| {
            !part.trim().is_empty() && part != "." && part != ".." && !part.eq_ignore_ascii_case(".git")
        });
        self.tokens = rest;
        (plain && inside).then(|| path.to_owned())
    }

    /// `job`, when nothing is left to read.
    fn end(&self, job: Job) -> Option<Job> {
        self.tokens.is_empty().then_some(job)
    }
}
