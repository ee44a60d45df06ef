//! After a crash: ends the sessions that nobody owns, with their work kept.

use std::sync::Arc;

use events::{FailureCode, Outcome, SessionId, Step};
use tracing::{info, warn};

use crate::owner::Ownership;
use crate::run::{self, Story};
use crate::{Ports, failure, sessions, steps};

/// Goes through all sessions without a final entry; returns how many were ended.
///
/// # Errors
/// When the log cannot be read.
pub(crate) async fn all(ports: &Arc<Ports>) -> Result<usize, store::Error> {
    let mut ended = 0;
    for id in ports.store.index.unfinished().await? {
        match Ownership::take(&ports.home, id) {
            // Somebody is at it, here or in another process.
            Ok(None) => {}
            Ok(Some(owned)) => {
                ended += usize::from(one(ports, id).await?);
                drop(owned);
            }
            Err(error) => warn!(session.id = %id, "Cannot look after {id}: {error}"),
        }
    }
    Ok(ended)
}

/// Ends one session that we hold. It may have ended just before we got hold of it.
async fn one(ports: &Arc<Ports>, id: SessionId) -> Result<bool, store::Error> {
    let Some(state) = sessions::state(&ports.store, id).await? else { return Ok(false) };
    if state.status.is_final() {
        return Ok(false);
    }
    let attempt = ports.store.log.begin_attempt(id).await?;
    let story = Story::new(id, state.request.clone(), attempt, ports);
    let step = state.step.unwrap_or(Step::Preflight);
    let reason = "the process that ran the session ended before the session did";
    let failure = failure::at(step, FailureCode::Interrupted, reason);
    let outcome: Outcome = steps::rescue(&story, failure).await;
    match run::end(&story, outcome).await {
        Ok(_) => info!(session.id = %id, "Session {id} was left by a crash and is ended"),
        Err(error) => warn!(session.id = %id, "Session {id} cannot be ended: {}", failure::chain(&error)),
    }
    Ok(true)
}
