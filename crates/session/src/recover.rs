//! After a crash: ends the sessions that nobody owns, with their work kept.

use std::sync::Arc;

use events::{FailureCode, SessionId, SessionState, Step};
use tracing::{info, warn};

use crate::failure::Stopped;
use crate::owner::Ownership;
use crate::run::{self, Story};
use crate::{Ports, failure, sessions, steps};

/// Goes through all sessions without a final entry; returns how many were ended. One that cannot be ended does not
/// keep the others from their end.
///
/// # Errors
/// When the list of them cannot be read.
pub(crate) async fn all(ports: &Arc<Ports>) -> Result<usize, store::Error> {
    let mut ended = 0;
    for id in ports.store.index.unfinished().await? {
        match Ownership::take(&ports.home, id) {
            // Somebody is at it, here or in another process.
            Ok(None) => {}
            Ok(Some(owned)) => {
                match one(ports, id).await {
                    Ok(End::Written) => ended += 1,
                    Ok(End::NotOurs) => {}
                    Err(error) => {
                        let error = failure::chain(&*error);
                        warn!(session.id = %id, "Session {id} was left by a crash and cannot be ended: {error}");
                    }
                }
                drop(owned);
            }
            Err(error) => warn!(session.id = %id, "Cannot look after {id}: {error}"),
        }
    }
    Ok(ended)
}

/// What came of looking after a session.
enum End {
    /// It has its final entry, from us.
    Written,
    /// It had ended, or another process can keep its work and we cannot.
    NotOurs,
}

/// Ends one session that we hold. It may have ended just before we got hold of it.
async fn one(ports: &Arc<Ports>, id: SessionId) -> Result<End, Box<dyn std::error::Error + Send + Sync>> {
    let Some(state) = sessions::state(&ports.store, id).await? else { return Ok(End::NotOurs) };
    if state.status.is_final() {
        return Ok(End::NotOurs);
    }
    if let Some(reason) = out_of_reach(ports, &state).await {
        warn!(session.id = %id, "Session {id} was left by a crash and is left alone, its work is not lost: {reason}");
        return Ok(End::NotOurs);
    }
    let attempt = ports.store.log.begin_attempt(id).await?;
    let story = Story::new(id, state.request.clone(), attempt, ports);
    let stopped = if state.cancel_requested {
        Stopped::Cancelled
    } else {
        let reason = "the process that ran the session ended before the session did";
        let step = state.step.unwrap_or(Step::Preflight);
        Stopped::Failed(failure::at(step, FailureCode::Interrupted, reason))
    };
    let outcome = steps::rescue(&story, stopped).await;
    run::end(&story, outcome).await?;
    info!(session.id = %id, "Session {id} was left by a crash and is ended");
    Ok(End::Written)
}

/// Why the saved work of a session cannot be read by this process, if it cannot: its credential is part of the name
/// of the mirror, so that one with another credential can, and must not find the session ended without its work.
async fn out_of_reach(ports: &Ports, state: &SessionState) -> Option<String> {
    if !state.has_saved_work() || state.pushed.is_some() {
        return None;
    }
    let mirror = match ports.mirror_of(state).await {
        Ok(Some(mirror)) => mirror,
        Ok(None) => {
            return Some(format!(
                "there is no mirror of {} that this process's credential may read",
                state.repository()
            ));
        }
        Err(error) => return Some(failure::chain(&error)),
    };
    match mirror.saved(state.id).await {
        Ok(Some(_)) => None,
        Ok(None) => Some("the mirror that this process's credential may read does not have it".to_owned()),
        Err(error) => Some(failure::chain(&error)),
    }
}

#[cfg(test)]
mod tests;
