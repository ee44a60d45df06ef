//! Where the parts that act write down what they did.

use async_trait::async_trait;

use crate::Event;

/// Takes down what happens, before the next thing is done.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends `events` in one piece; when this returns they are durable.
    ///
    /// # Errors
    /// When the log refuses them. The caller stops: nothing may be done that is not written down.
    async fn record(&self, events: Vec<Event>) -> Result<(), JournalError>;
}

/// The log refused an entry.
#[derive(Debug, thiserror::Error)]
#[error("cannot write down what happened")]
pub struct JournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
