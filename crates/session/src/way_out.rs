//! The way out of a session's sandbox, and what is written down of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use events::{EgressDecided, EgressRefused, Event};
use sandbox::egress::{self, Config, Decision, Verdict};
use sandbox::{Error, Policy};
use tracing::warn;

use crate::{Egress, OpenFor, failure};

/// The way out of a session's sandbox, while there is one.
///
/// What it decides becomes entries before the next entry of the session, not when it happens: so what a command asked for
/// stands before the command's result, in the same order whenever the same session is told again.
#[derive(Clone, Default)]
pub(crate) struct WayOut(Arc<Mutex<Option<egress::Egress>>>);

impl WayOut {
    /// Opens it; gives the policy of a sandbox that has it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(&self, config: &Config, policy: &Policy) -> Result<Policy, Error> {
        let opened = egress::open(config)?;
        let granted = opened.granted_to(policy);
        *self.held() = Some(opened);
        Ok(granted)
    }

    /// The commands that set the project up have run.
    pub(crate) fn after_setup(&self, egress: Option<&Egress>) {
        let stays = egress.is_none_or(|egress| egress.open_for == OpenFor::Session);
        if let Some(opened) = &*self.held()
            && !stays
        {
            opened.allow_none();
        }
    }

    /// The hosts that commands reach now.
    pub(crate) fn reaches(&self) -> Vec<String> {
        self.held().as_ref().map(egress::Egress::reaches).unwrap_or_default()
    }

    /// What was decided since the last entry.
    pub(crate) fn decided(&self) -> Vec<Event> {
        self.held()
            .as_ref()
            .map(|opened| opened.decided())
            .unwrap_or_default()
            .into_iter()
            .map(event)
            .collect()
    }

    /// Closes it; gives what was not told yet. The sandbox is gone.
    pub(crate) async fn close(&self) -> Vec<Event> {
        let Some(opened) = self.held().take() else { return Vec::new() };
        let (last, removed) = opened.close().await;
        if let Err(error) = removed {
            warn!("The folder of a sandbox's way out cannot be removed: {}", failure::chain(&error));
        }
        last.into_iter().map(event).collect()
    }

    fn held(&self) -> MutexGuard<'_, Option<egress::Egress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event(decision: Decision) -> Event {
    let Decision { host, port, verdict, times, sent_bytes, received_bytes } = decision;
    let refused = match verdict {
        Verdict::Allowed => None,
        Verdict::Refused(refusal) => {
            Some(EgressRefused { code: refusal.as_str().to_owned(), reason: refusal.to_string() })
        }
    };
    Event::EgressDecided(EgressDecided { host, port, refused, times, sent_bytes, received_bytes })
}
