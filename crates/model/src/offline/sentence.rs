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

/// `Add a file PATH with the text "TEXT"`, `Create NOTES.md with the following content: "TEXT"`
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
            let is_file = reader.one_of(&["file"]).is_some() || has_ending(&path);
            is_file.then_some(path)?
        }
    };
    let text = lines(reader.given()?);
    reader.end(Job::Create { path, text })
}

/// `Append "TEXT" to PATH`, `Add the line "TEXT" at the end of PATH`, `Add "TEXT" to README.md`
fn append(mut reader: Reader<'_>) -> Option<Job> {
    let says_how = match reader.one_of(&["append", "add"])? {
        "append" => {
            reader.skip(&["a", "the", "following"]);
            reader.skip(&TEXT);
            true
        }
        _ if reader.is_before_quote() => false,
        _ => {
            reader.skip(&["a", "the", "following"]);
            reader.one_of(&["line", "text"]).is_some().then_some(true)?
        }
    };
    let text = lines(reader.quoted()?);
    let joint = reader.one_of(&["to", "at"])?;
    let says_where = ["end", "bottom"].iter().any(|end| reader.all_of(&["the", end, "of"]).is_some());
    let path = reader.file()?;
    let is_clear = match joint {
        "at" => says_where,
        _ => says_how || says_where || is_of_lines(&path),
    };
    is_clear.then_some(())?;
    reader.end(Job::Append { path, text })
}

/// `Replace "OLD" with "NEW" in PATH`, `In PATH, replace "OLD" with "NEW"`
fn replace(mut reader: Reader<'_>) -> Option<Job> {
    let named = match reader.one_of(&["in"]) {
        Some(_) => Some(reader.file()?),
        None => None,
    };
    let joint: &[&str] = match reader.one_of(&["replace", "change"])? {
        "replace" => &["with", "by"],
        _ => &["to", "into"],
    };
    reader.skip(&["every", "all", "the", "occurrence", "occurrences", "of"]);
    reader.skip(&ANYWHERE);
    let old = reader.quoted()?.to_owned();
    reader.one_of(joint)?;
    reader.skip(&["the"]);
    reader.skip(&ANYWHERE);
    let new = reader.quoted()?.to_owned();
    let path = match named {
        Some(path) => path,
        None => {
            reader.one_of(&["in"])?;
            reader.file()?
        }
    };
    reader.end(Job::Replace { path, old, new })
}

/// `Add a section "TITLE" to README.md with the text "TEXT"`, `Add a "TITLE" section to the README …`
fn section(mut reader: Reader<'_>) -> Option<Job> {
    reader.one_of(&["add"])?;
    reader.skip(&["a", "the", "new"]);
    let title = match reader.one_of(&["section"]) {
        Some(_) => {
            reader.skip(&["named", "called", "titled"]);
            reader.quoted()?
        }
        None => {
            let title = reader.quoted()?;
            reader.one_of(&["section"])?;
            title
        }
    };
    let title = title.trim().to_owned();
    reader.one_of(&["to"])?;
    let path = match reader.one_of(&["readme"]) {
        Some(_) => README.to_owned(),
        None => reader.file()?,
    };
    let text = match reader.given() {
        Some(text) => lines(text),
        None => {
            reader.one_of(&["with"])?;
            lines(reader.quoted()?)
        }
    };
    let is_markdown = [".md", ".markdown"].iter().any(|end| path.to_lowercase().ends_with(end));
    if !is_markdown || title.is_empty() || title.contains('\n') {
        return None;
    }
    reader.end(Job::Section { path, title, text })
}

/// What the text of a file or of a line is called.
const TEXT: [&str; 4] = ["text", "content", "contents", "line"];
/// What a text is called that may stand anywhere in a file: a word is none within another one, nor is a line.
const ANYWHERE: [&str; 2] = ["text", "string"];
/// What is meant by `the README`.
const README: &str = "README.md";
/// Ends of names of files that are lines of text: what is added to one goes to its end. Elsewhere it could go anywhere, as
/// the name of a package in `package.json`.
const LINES: [&str; 5] = [".md", ".markdown", ".txt", ".rst", "ignore"];

fn is_of_lines(path: &str) -> bool {
    LINES.iter().any(|end| path.to_lowercase().ends_with(end))
}

/// Whether `path` is called as files are, and other things are not: `NOTES.md`, `.gitignore`; no `tests`, no `v1.2`.
fn has_ending(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_ending = |end: &str| {
        end.starts_with(|c: char| c.is_ascii_alphabetic())
            && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    name.rsplit_once('.').is_some_and(|(_, end)| is_ending(end))
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
    let mut further = reader;
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
#[derive(Clone, Copy)]
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

    /// Passes over these words in this order, or over none of them.
    fn all_of(&mut self, words: &[&str]) -> Option<()> {
        let mut further = *self;
        words.iter().try_for_each(|word| further.one_of(&[word]).map(drop))?;
        *self = further;
        Some(())
    }

    fn is_before_quote(&self) -> bool {
        matches!(self.tokens.first(), Some(Token::Quoted(_)))
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

    /// The text that is given: `with the text "…"`, `with the following content: "…"`, `containing "…"`.
    fn given(&mut self) -> Option<&'t str> {
        let mut further = *self;
        match further.one_of(&["with", "containing", "saying"])? {
            "with" => {
                further.skip(&["the", "this", "following"]);
                further.one_of(&TEXT)?;
            }
            _ => {
                further.skip(&["the", "this", "following"]);
                further.skip(&TEXT);
            }
        }
        let text = further.quoted()?;
        *self = further;
        Some(text)
    }

    /// A file that is there: `NOTES.md`, `the file NOTES.md`, `the NOTES.md file`, `the README`.
    fn file(&mut self) -> Option<String> {
        if self.all_of(&["the", "readme"]).is_some() {
            self.skip(&["file"]);
            return Some(README.to_owned());
        }
        self.skip(&["the"]);
        if self.one_of(&["file"]).is_some() {
            return self.path();
        }
        let path = self.path()?;
        self.skip(&["file"]);
        Some(path)
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
