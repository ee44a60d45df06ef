//! Writes what was added inside to a folder of this machine, as process 1 tells it.

use std::path::Path;

use backspace_init::laid::{Laid, Parents};
use backspace_init::protocol::laid::{ADDED_DEPTH_MAX, Added, Piece, Place, ROOTS_MAX};
use backspace_init::protocol::{Ask, Said};

use super::{ask, done, is_path};
use crate::calls::Calls;
use crate::docker::overlay::aside;
use crate::{Allowance, EXPORTED_HOME, EXPORTED_WORK, Error, Exported};

/// As many as an export tells of.
const NAMED_MAX: usize = 20;

/// See [`crate::Sandbox::export`].
pub(crate) async fn export(calls: &Calls, into: &Path, allowance: Allowance) -> Result<Exported, Error> {
    done(calls, Ask::Still, "end what runs in a sandbox").await?;
    let mut exported = Exported { entries: 0, bytes: 0, roots: None, undone: Vec::new(), undone_total: 0 };
    for (place, name) in [(Place::Work, EXPORTED_WORK), (Place::Home, EXPORTED_HOME)] {
        let said = ask(calls, Ask::Added(place), "list what a sandbox has added").await?;
        let Said::Added(added) = said else { return Err(calls.answered_wrongly()) };
        let too_deep = added.too_deep;
        if place == Place::Work {
            tell(calls, added, &mut exported)?;
        }
        write(calls, &into.join(name), allowance, &mut exported).await?;
        if too_deep {
            return Err(Error::TooLarge { what: format!("folders more than {ADDED_DEPTH_MAX} deep") });
        }
    }
    Ok(exported)
}

fn tell(calls: &Calls, added: Added, exported: &mut Exported) -> Result<(), Error> {
    let Added { roots, undone, undone_total, too_deep: _ } = added;
    let named = || roots.iter().flatten().chain(&undone);
    let fits = roots.iter().flatten().count() <= ROOTS_MAX && undone.len() <= NAMED_MAX;
    if !fits || !named().all(|path| is_path(path)) {
        return Err(calls.answered_wrongly());
    }
    (exported.roots, exported.undone, exported.undone_total) = (roots, undone, undone_total);
    Ok(())
}

/// Writes the pieces that come into the folder `into`, which is made. It lays them as process 1 does: by no link, and
/// nothing twice.
async fn write(
    calls: &Calls,
    into: &Path,
    allowance: Allowance,
    exported: &mut Exported,
) -> Result<(), Error> {
    const DOING: &str = "write what a sandbox has added";
    let folder = into.to_owned();
    let mut laid = aside(DOING, move || {
        std::fs::create_dir_all(&folder)?;
        Laid::new(&folder, Parents::Made)
    })
    .await?;
    loop {
        let said = ask(calls, Ask::Load, "read what a sandbox has added").await?;
        let Said::Load(pieces) = said else { return Err(calls.answered_wrongly()) };
        let last = pieces.is_empty();
        for piece in &pieces {
            count(piece, allowance, exported)?;
        }
        laid = aside(DOING, move || {
            if last {
                laid.seal()?
            } else {
                laid.lay(pieces)?
            }
            Ok(laid)
        })
        .await?;
        if last {
            return Ok(());
        }
    }
}

fn count(piece: &Piece, allowance: Allowance, exported: &mut Exported) -> Result<(), Error> {
    let (entries, bytes) = match piece {
        Piece::Folder { .. } | Piece::Symlink { .. } | Piece::Link { .. } => (1, 0),
        Piece::File { bytes, .. } => (1, bytes.len()),
        Piece::More { bytes } => (0, bytes.len()),
    };
    exported.entries += entries;
    exported.bytes = exported.bytes.saturating_add(bytes as u64);
    let Allowance { bytes_max, entries_max } = allowance;
    if exported.entries > entries_max {
        return Err(Error::TooLarge { what: format!("more than {entries_max} files") });
    }
    if exported.bytes > bytes_max {
        return Err(Error::TooLarge { what: format!("more than {} MiB", bytes_max >> 20) });
    }
    Ok(())
}
