//! Reads lines of text files, and lists folders.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use rustix::fs::FileType;

use super::confine::{Stands, Tree, trouble};
use super::missing::missing;
use super::walk::entries;
use super::{Refusal, is_binary, refuse, size};
use crate::protocol::FileAnswer;

/// Longer lines are cut: they are generated, and one of them would fill the whole answer.
const LINE_BYTES_MAX: usize = 2000;
/// No answer is longer, whatever is asked for.
const TEXT_BYTES_MAX: u64 = 256 * 1024;
/// Counting the lines of larger files takes too long for a look at them.
const SCANNED_BYTES_MAX: u64 = 256 << 20;

/// Which lines.
pub(super) struct Wanted {
    pub(super) first_line: u64,
    pub(super) lines_max: u64,
    pub(super) bytes_max: u64,
}

/// Reads what is `wanted` of `asked`; of a folder, its names.
pub(super) fn read(tree: &Tree, asked: &str, wanted: &Wanted) -> Result<FileAnswer, Refusal> {
    let place = tree.place(asked)?;
    match place.stands {
        Stands::File => lines(tree, asked, &place.path, wanted),
        Stands::Folder => names(tree, asked, &place.path, wanted),
        Stands::Nothing => Err(missing(tree, asked, &place)),
        Stands::Special(what) => refuse(format!("{asked} is {what}; only files and folders can be read.")),
    }
}

fn lines(tree: &Tree, asked: &str, path: &Path, wanted: &Wanted) -> Result<FileAnswer, Refusal> {
    let (file, stat) = tree.file(path).map_err(|errno| trouble(asked, errno))?;
    let bytes_total = stat.st_size.unsigned_abs();
    if bytes_total > SCANNED_BYTES_MAX {
        let has = size(bytes_total);
        return refuse(format!(
            "{asked} has {has}, too much for this tool. Use bash: sed -n, head, tail or grep."
        ));
    }
    let mut reader = BufReader::with_capacity(64 * 1024, file.take(SCANNED_BYTES_MAX));
    let failed = |error: std::io::Error| Refusal(format!("{asked} cannot be read: {error}."));
    let head = reader.fill_buf().map_err(failed)?;
    if is_binary(head) {
        return refuse(format!("{asked} is a binary file of {}; it is not shown.", size(bytes_total)));
    }
    if head.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    let mut page = Page::new(wanted);
    loop {
        let chunk = reader.fill_buf().map_err(failed)?;
        if chunk.is_empty() {
            break;
        }
        page.take(chunk);
        let taken = chunk.len();
        reader.consume(taken);
    }
    Ok(page.finish(bytes_total))
}

/// The lines wanted, as they are collected while the file passes by.
struct Page {
    first_line: u64,
    lines_max: u64,
    bytes_max: usize,
    text: String,
    lines: u64,
    full: bool,
    /// The line passing by: its number, its first bytes, and its length.
    number: u64,
    head: Vec<u8>,
    length: u64,
}

impl Page {
    fn new(wanted: &Wanted) -> Self {
        Self {
            first_line: wanted.first_line.max(1),
            lines_max: wanted.lines_max,
            bytes_max: usize::try_from(wanted.bytes_max.min(TEXT_BYTES_MAX)).unwrap_or(usize::MAX),
            text: String::new(),
            lines: 0,
            full: false,
            number: 1,
            head: Vec::new(),
            length: 0,
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.length += piece.len() as u64;
            let ends = piece.last() == Some(&b'\n');
            if self.number >= self.first_line && !self.full {
                // One byte more than is shown of the text, and two for the line ending.
                let room = (LINE_BYTES_MAX + 3).saturating_sub(self.head.len());
                self.head.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            if ends {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if self.number >= self.first_line && !self.full {
            let line = shown(&self.head, self.length, self.bytes_max.min(LINE_BYTES_MAX));
            let fits = self.lines == 0 || self.text.len() + line.len() <= self.bytes_max;
            if fits && self.lines < self.lines_max {
                self.text.push_str(&line);
                self.lines += 1;
            } else {
                self.full = true;
            }
        }
        self.head.clear();
        self.length = 0;
        self.number += 1;
    }

    fn finish(mut self, bytes_total: u64) -> FileAnswer {
        if self.length > 0 {
            self.end_line();
        }
        FileAnswer::Read {
            text: self.text,
            first_line: self.first_line,
            lines: self.lines,
            lines_total: self.number - 1,
            bytes_total,
        }
    }
}

/// A line as text, cut when it is longer than `bytes_max`.
fn shown(head: &[u8], length: u64, bytes_max: usize) -> String {
    let end = if head.ends_with(b"\r\n") {
        "\r\n"
    } else if head.ends_with(b"\n") {
        "\n"
    } else {
        ""
    };
    if length <= (bytes_max + end.len()) as u64 {
        return String::from_utf8_lossy(head).into_owned();
    }
    let mut cut = bytes_max.min(head.len());
    // Not within a character: its later bytes all begin with the bits 10.
    while cut > 0 && head.get(cut).is_some_and(|byte| byte & 0xC0 == 0x80) {
        cut -= 1;
    }
    let text = String::from_utf8_lossy(&head[..cut]);
    format!("{text} [… line cut by this tool: it has {length} bytes, the first {cut} are shown]\n")
}

fn names(tree: &Tree, asked: &str, path: &Path, wanted: &Wanted) -> Result<FileAnswer, Refusal> {
    let found = entries(tree, path).map_err(|errno| trouble(asked, errno))?;
    let total = found.len() as u64;
    let mut names: Vec<String> = found
        .into_iter()
        .map(|entry| {
            let name = entry.name.to_string_lossy();
            if entry.kind == FileType::Directory { format!("{name}/") } else { name.into_owned() }
        })
        .collect();
    names.sort_unstable();
    let mut bytes_left = wanted.bytes_max.min(TEXT_BYTES_MAX);
    let first = usize::try_from(wanted.first_line.max(1) - 1).unwrap_or(usize::MAX);
    let lines_max = usize::try_from(wanted.lines_max).unwrap_or(usize::MAX);
    let mut fits = |name: &String| {
        let needs = name.len() as u64 + 1;
        let fits = needs <= bytes_left;
        bytes_left = bytes_left.saturating_sub(needs);
        fits
    };
    let names = names.into_iter().skip(first).take(lines_max).take_while(&mut fits).collect();
    Ok(FileAnswer::Folder { names, total })
}
