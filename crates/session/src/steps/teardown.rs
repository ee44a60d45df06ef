//! Closes the sandbox and its way out.

use events::Journal as _;
use sandbox::Sandbox;
use tracing::warn;

use crate::failure;
use crate::run::Story;

/// A sandbox that does not close is told to the operator: the session's outcome stands without it.
pub(crate) async fn teardown(story: &Story, sandbox: &dyn Sandbox) {
    if let Err(error) = sandbox.close().await {
        let (id, reason) = (story.id, failure::chain(&error));
        warn!(session.id = %id, "The sandbox of {id} did not close: {reason}");
    }
    let told = story.journal.way_out.close().await;
    if !told.is_empty()
        && let Err(error) = story.journal.record(told).await
    {
        let (id, reason) = (story.id, failure::chain(&error));
        warn!(session.id = %id, "What the sandbox of {id} reached last was not written down: {reason}");
    }
}
