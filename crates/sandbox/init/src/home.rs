//! Lays the policy's files into the home folder, whatever a setup left there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Lays `files` below `home`, before any command runs. What an earlier sandbox left at their places makes way: no link is
/// followed, or they would be written into whatever it leads to, and nothing that stands in the way stops a sandbox.
///
/// # Errors
/// What the system says.
pub(crate) fn lay(home: &Path, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    for (path, content) in files {
        let path = Path::new(path);
        let mut place = home.to_owned();
        for part in path.parent().into_iter().flatten() {
            place.push(part);
            if !make_way(&place, Wanted::Folder)? {
                fs::create_dir(&place)?;
            }
        }
        place.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        make_way(&place, Wanted::File)?;
        File::options().write(true).create_new(true).open(&place)?.write_all(content)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Folder,
    File,
}

/// Removes what stands at `place` and is not `wanted`; a file is always made anew. Whether there is a folder now. No part
/// of the path before the last is a link.
fn make_way(place: &Path, wanted: Wanted) -> io::Result<bool> {
    match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() && wanted == Wanted::Folder => Ok(true),
        Ok(found) if found.is_dir() => fs::remove_dir_all(place).map(|()| false),
        Ok(_) => fs::remove_file(place).map(|()| false),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A place that nobody may write to, and a home folder beside it.
    fn with(left: impl FnOnce(&Path)) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("work")).unwrap();
        fs::write(place.path().join("work/file"), "the repository's").unwrap();
        let home = place.path().join("home");
        fs::create_dir(&home).unwrap();
        left(&home);
        lay(&home, &[(".rc".to_owned(), b"1".to_vec()), (".config/a/file".to_owned(), b"2".to_vec())])
            .unwrap();
        // The file and its folders are what they seem, and hold what they should.
        for (path, content) in [(".rc", "1"), (".config/a/file", "2")] {
            let path = home.join(path);
            assert_eq!(
                fs::canonicalize(&path).unwrap(),
                fs::canonicalize(&home).unwrap().join(path.strip_prefix(&home).unwrap())
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_to_string(place.path().join("work/file")).unwrap(), "the repository's");
        assert_eq!(fs::read_dir(place.path().join("work")).unwrap().count(), 1);
        place
    }

    #[test]
    fn no_link_is_followed_and_nothing_stands_in_the_way() {
        with(|_| {});
        with(|home| {
            symlink("../work/file", home.join(".rc")).unwrap();
            symlink("../work", home.join(".config")).unwrap();
        });
        with(|home| {
            symlink("../work/new", home.join(".rc")).unwrap();
            fs::create_dir(home.join(".config")).unwrap();
            symlink("../../work", home.join(".config/a")).unwrap();
        });
        with(|home| {
            fs::create_dir_all(home.join(".rc/deep/er")).unwrap();
            symlink("../../../work", home.join(".rc/deep/link")).unwrap();
            fs::create_dir_all(home.join(".config/a/file/x")).unwrap();
            fs::write(home.join(".config/a/file/x/y"), "left").unwrap();
        });
        with(|home| {
            fs::write(home.join(".rc"), "left").unwrap();
            fs::write(home.join(".config"), "left").unwrap();
        });
    }

    #[test]
    fn what_has_another_name_keeps_its_content() {
        let place = with(|home| {
            fs::hard_link(home.parent().unwrap().join("work/file"), home.join(".rc")).unwrap();
            fs::create_dir_all(home.join(".config/a")).unwrap();
            fs::write(home.join(".config/a/other"), "left").unwrap();
        });
        assert_eq!(fs::read_to_string(place.path().join("home/.config/a/other")).unwrap(), "left");
    }
}
