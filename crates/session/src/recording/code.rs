//! Which code goes into a recording.

use std::collections::BTreeSet;

use events::{Entry, Event, Oid, SessionState};
use repo::{History, Packed};

use crate::{Ports, failure};

/// A larger pack is left out. In base64 this makes a file that can still be attached to an issue (25 MB at GitHub).
pub(super) const PACK_BYTES_MAX: usize = 8 << 20;

/// Notes the commits that `entry` names beside the base: each is work of the session.
pub(super) fn note_step(steps: &mut BTreeSet<Oid>, entry: &Entry) {
    if let Event::ToolFinished(tool) = &entry.event {
        steps.extend(tool.saved.clone());
    } else if let Event::CommitMade(made) = &entry.event {
        steps.insert(made.commit.clone());
    }
}

/// The code that the session of `state` worked on, with its `steps`; or why it is left out.
pub(super) async fn code(
    ports: &Ports,
    state: &SessionState,
    base: &Oid,
    steps: &BTreeSet<Oid>,
) -> Result<Packed, String> {
    let mirror = ports.mirror_of(state).await.map_err(|error| failure::chain(&error))?;
    let mirror = mirror.ok_or("the mirror of the repository is gone")?;
    let mut why = String::new();
    for history in [History::AsInside, History::BaseAlone] {
        let packed = mirror.pack(base, steps, history, PACK_BYTES_MAX).await;
        let Some(packed) = packed.map_err(|error| failure::chain(&error))? else {
            why = format!("it takes more than {} MiB", PACK_BYTES_MAX >> 20);
            continue;
        };
        let secret = mirror.may_hold_secret(&packed, &ports.redactor).await;
        if !secret.map_err(|error| failure::chain(&error))? {
            return Ok(packed);
        }
        "it may hold a secret of this service".clone_into(&mut why);
    }
    Err(why)
}
