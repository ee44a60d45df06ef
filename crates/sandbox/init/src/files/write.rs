//! Writes whole files.

use super::confine::{Stands, Tree};
use super::edit::elision;
use super::replace::replace;
use super::{FILE_BYTES_MAX, Refusal, is_binary, refuse, size};
use crate::protocol::FileAnswer;

/// Beyond this nobody looks at what stood there before.
const BEFORE_BYTES_MAX: usize = 64 * 1024;

/// Writes `bytes` to the file `asked`, over what is there.
pub(super) fn write(tree: &Tree, asked: &str, bytes: &[u8]) -> Result<FileAnswer, Refusal> {
    if bytes.len() > FILE_BYTES_MAX {
        let (has, most) = (size(bytes.len() as u64), size(FILE_BYTES_MAX as u64));
        return refuse(format!("The content has {has}; this tool writes at most {most}. Nothing was done."));
    }
    let place = tree.place(asked)?;
    match place.stands {
        Stands::File => {}
        Stands::Nothing if !asked.ends_with('/') => {
            replace(tree, asked, &place, bytes, None)?;
            return Ok(FileAnswer::Written { created: true, before: None });
        }
        Stands::Folder | Stands::Nothing => {
            return refuse(format!("{asked} names a folder; give the path of a file. Nothing was done."));
        }
        Stands::Special(what) => {
            return refuse(format!("{asked} is {what}; only regular files are written."));
        }
    }
    let (before, stat) = before(tree, asked, &place.path)?;
    if let (Ok(new), Some(old)) = (std::str::from_utf8(bytes), &before)
        && let Some(line) = elision::placeholder(new, old)
    {
        return refuse(elision::refusal(&line));
    }
    replace(tree, asked, &place, bytes, Some(&stat))?;
    let before = before.filter(|text| text.len() <= BEFORE_BYTES_MAX);
    Ok(FileAnswer::Written { created: false, before })
}

/// What stands there, when it is text that can be held; a larger or binary file is replaced all the same.
fn before(
    tree: &Tree,
    asked: &str,
    path: &std::path::Path,
) -> Result<(Option<String>, rustix::fs::Stat), Refusal> {
    let (_, stat) = tree.file(path).map_err(|errno| super::confine::trouble(asked, errno))?;
    if stat.st_size.unsigned_abs() > FILE_BYTES_MAX as u64 {
        return Ok((None, stat));
    }
    let (bytes, stat) = tree.content(asked, path, FILE_BYTES_MAX)?;
    let text = if is_binary(&bytes) { None } else { String::from_utf8(bytes).ok() };
    Ok((text, stat))
}
