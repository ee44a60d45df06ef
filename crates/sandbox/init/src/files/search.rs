//! Searches the work tree: the text of its files, or their names.

mod glob;
mod line;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use grep_matcher::{LineTerminator, Matcher as _};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkMatch};
use rustix::fs::FileType;

use super::confine::{Stands, Tree};
use super::missing::missing;
use super::walk::Walk;
use super::{Refusal, refuse};
use crate::protocol::FileAnswer;
use glob::Glob;

/// More than a model reads; whoever asks has a smaller bound of their own.
const MATCHES_MAX: u64 = 2000;
/// No answer is longer, whatever is asked for.
const FOUND_BYTES_MAX: usize = 256 * 1024;
/// A search that takes longer should be narrowed down instead.
const TIME_MAX: Duration = Duration::from_secs(20);
/// A longer pattern is no question, and no refusal should repeat it.
const PATTERN_BYTES_MAX: usize = 4096;
/// A compiled expression beyond this is an attack or an accident.
const REGEX_BYTES_MAX: usize = 10 << 20;
/// What one line may take while it is searched; files with longer lines are left out.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Where to search, and how much to find.
pub(super) struct Scope<'a> {
    pub(super) path: &'a str,
    pub(super) glob: &'a str,
    pub(super) matches_max: u64,
}

/// Finds lines that match the regular expression `pattern`.
pub(super) fn text(tree: &Tree, pattern: &str, scope: &Scope<'_>) -> Result<FileAnswer, Refusal> {
    let matcher = matcher(pattern)?;
    let mut searcher = SearcherBuilder::new()
        .line_terminator(LineTerminator::crlf())
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(LINE_BYTES_MAX))
        .build();
    let mut found = Found::new(scope.matches_max);
    for (path, kind) in files(tree, scope, found.until)? {
        if found.more {
            break;
        }
        if kind != FileType::RegularFile {
            continue;
        }
        // What vanished or may not be read is not there to be found; a failed read leaves what it has found.
        let Ok((file, _)) = tree.file(&path) else { continue };
        let reader = Timed { inner: file, until: found.until };
        let sink = Lines { path: path.to_string_lossy().into_owned(), matcher: &matcher, found: &mut found };
        let _ = searcher.search_reader(&matcher, reader, sink);
    }
    found.answer()
}

/// Finds files whose names match the glob.
pub(super) fn names(tree: &Tree, scope: &Scope<'_>) -> Result<FileAnswer, Refusal> {
    if scope.glob.is_empty() {
        return refuse("A search for names needs a glob, such as **/*.py.");
    }
    let mut found = Found::new(scope.matches_max);
    for (path, _) in files(tree, scope, found.until)? {
        if !found.push(path.to_string_lossy().into_owned()) {
            break;
        }
    }
    found.answer()
}

fn matcher(pattern: &str) -> Result<RegexMatcher, Refusal> {
    if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
        return refuse(format!("A search for text needs a pattern of 1 to {PATTERN_BYTES_MAX} bytes."));
    }
    let mut builder = RegexMatcherBuilder::new();
    builder.multi_line(true).crlf(true).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX);
    builder.build(pattern).map_err(|error| {
        let literal = line::escaped(pattern);
        Refusal(format!(
            "The pattern is not a regular expression that this tool takes (the syntax of Rust's regex: no \
             look-around, no back-references; one line at a time): {error}\nAs plain text it is written: {literal}"
        ))
    })
}

/// The files in the scope that the glob takes, until the time is over.
fn files<'a>(
    tree: &'a Tree,
    scope: &Scope<'_>,
    until: Instant,
) -> Result<Box<dyn Iterator<Item = (PathBuf, FileType)> + 'a>, Refusal> {
    let place = tree.place(scope.path)?;
    if place.path.components().any(|part| part.as_os_str() == ".git") {
        return refuse(format!(
            "{} belongs to git and is never searched. Use git commands in bash.",
            scope.path
        ));
    }
    if scope.glob.len() > PATTERN_BYTES_MAX {
        return refuse(format!("A glob has at most {PATTERN_BYTES_MAX} bytes."));
    }
    let glob = Glob::parse(scope.glob, &place.path)?;
    match place.stands {
        Stands::File => {
            let found = (place.path, FileType::RegularFile);
            Ok(Box::new(std::iter::once(found).filter(move |(path, _)| glob.takes(path))))
        }
        Stands::Folder => {
            let in_time = Walk::new(tree, &place.path).take_while(move |_| Instant::now() < until);
            Ok(Box::new(in_time.filter(move |(path, _)| glob.takes(path))))
        }
        Stands::Nothing => Err(missing(tree, scope.path, &place)),
        Stands::Special(what) => refuse(format!("{} is {what}; it cannot be searched.", scope.path)),
    }
}

/// What has been found, within its bounds.
struct Found {
    matches: Vec<String>,
    matches_max: usize,
    bytes: usize,
    more: bool,
    until: Instant,
}

impl Found {
    fn new(matches_max: u64) -> Self {
        let matches_max = usize::try_from(matches_max.min(MATCHES_MAX)).unwrap_or(usize::MAX);
        Self { matches: Vec::new(), matches_max, bytes: 0, more: false, until: Instant::now() + TIME_MAX }
    }

    /// Takes one more, or notes that there is more than the bound.
    fn push(&mut self, found: String) -> bool {
        if self.matches.len() >= self.matches_max || self.bytes + found.len() > FOUND_BYTES_MAX {
            self.more = true;
            return false;
        }
        self.bytes += found.len();
        self.matches.push(found);
        true
    }

    /// A search that ran out of time must not read as one that found nothing.
    fn answer(self) -> Result<FileAnswer, Refusal> {
        let out_of_time = Instant::now() >= self.until;
        if out_of_time && self.matches.is_empty() {
            let seconds = TIME_MAX.as_secs();
            return refuse(format!(
                "The search was stopped after {seconds} s and had found nothing so far. Narrow it down by path or glob."
            ));
        }
        Ok(FileAnswer::Found { matches: self.matches, more: self.more || out_of_time })
    }
}

/// Takes the lines that match in one file.
struct Lines<'a> {
    path: String,
    matcher: &'a RegexMatcher,
    found: &'a mut Found,
}

impl Sink for Lines<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        let at = self.matcher.find(found.bytes()).ok().flatten().map_or(0, |found| found.start());
        let number = found.line_number().unwrap_or(0);
        Ok(self.found.push(format!("{}:{number}:{}", self.path, line::around(found.bytes(), at))))
    }
}

/// A reader that fails when the time is over, so that one huge file cannot hold the search.
struct Timed<R> {
    inner: R,
    until: Instant,
}

impl<R: Read> Read for Timed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.until {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            self.inner.read(buffer)
        }
    }
}

/// The path below `folder`, or all of it when it is elsewhere.
fn below<'a>(path: &'a Path, folder: &Path) -> &'a Path {
    path.strip_prefix(folder).unwrap_or(path)
}
