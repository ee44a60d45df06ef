//! Locks between processes, on files that stay empty.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, at};

/// A holder may be in the middle of a first clone of a large repository.
const WAIT_MAX: Duration = Duration::from_secs(30 * 60);
/// The first pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// Pauses grow up to this: short enough to be unnoticed, long enough to cost nothing.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A lock that is held until this value is dropped, or the process ends; and on, while a program that was given it runs.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
}

impl Held {
    /// Notes that what is locked was used just now.
    pub(crate) fn mark_used(&self) {
        // The order of eviction suffers if this fails, nothing else.
        let _unmarked = self.file.set_modified(std::time::SystemTime::now());
    }

    /// The lock as a file to be given to a program: it is then held until that program has ended as well.
    pub(crate) fn shared_with_program(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Shared,
    Exclusive,
}

/// Waits for the lock that only one can hold.
pub(crate) async fn exclusive(path: PathBuf, what: &str) -> Result<Held, Error> {
    wait(path, what, Kind::Exclusive).await
}

/// Waits for the lock that many can hold while nobody holds it exclusively.
pub(crate) async fn shared(path: PathBuf, what: &str) -> Result<Held, Error> {
    wait(path, what, Kind::Shared).await
}

/// The lock that only one can hold, if nobody holds it.
pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Held>, Error> {
    attempt(path, Kind::Exclusive)
}

/// The lock that many can hold, if nobody holds it exclusively.
pub(crate) fn try_shared(path: &Path) -> Result<Option<Held>, Error> {
    attempt(path, Kind::Shared)
}

/// Asks again and again: a thread that waits inside the system could not be given up.
async fn wait(path: PathBuf, what: &str, kind: Kind) -> Result<Held, Error> {
    let mut patience = Patience::new(what);
    loop {
        if let Some(held) = attempt(&path, kind)? {
            return Ok(held);
        }
        patience.pause().await?;
    }
}

/// How long a lock is waited for, and how often it is asked for meanwhile.
pub(crate) struct Patience<'a> {
    what: &'a str,
    deadline: tokio::time::Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    /// Begins to wait for `what`.
    pub(crate) fn new(what: &'a str) -> Self {
        Self { what, deadline: tokio::time::Instant::now() + WAIT_MAX, pause: PAUSE_MIN }
    }

    /// Lets some time pass before the next try.
    ///
    /// # Errors
    /// [`Error::Busy`] when it has been waited for long enough.
    pub(crate) async fn pause(&mut self) -> Result<(), Error> {
        if tokio::time::Instant::now() > self.deadline {
            return Err(Error::Busy { what: self.what.to_owned() });
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

fn attempt(path: &Path, kind: Kind) -> Result<Option<Held>, Error> {
    let opened = File::options().create(true).truncate(false).read(true).write(true).open(path);
    let file = at("open", path, opened)?;
    let locked = match kind {
        Kind::Shared => file.try_lock_shared(),
        Kind::Exclusive => file.try_lock(),
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => {
            return Err(Error::system(format!("lock {}", path.display()), source));
        }
    }
    // Whoever evicts a tree removes its lock file: a lock on a file that is gone excludes nobody.
    let ours = at("look at", path, file.metadata())?;
    let same =
        std::fs::metadata(path).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev());
    Ok(same.then_some(Held { file }))
}
