//! What can be had of a session besides its events: its change, its recording, the page of its pull request.

use bytes::Bytes;
use events::SessionId;
use futures_util::Stream;

use super::{Error, Sessions};
use crate::recording::{self, Portion, WriteError};

impl Sessions {
    /// What a session has changed so far, as a patch against its base; nothing when there is no such session or it
    /// has changed nothing.
    ///
    /// # Errors
    /// When the log or the mirror cannot be read.
    pub async fn diff(&self, id: SessionId) -> Result<Option<Vec<u8>>, Error> {
        let Some(state) = self.state(id).await? else { return Ok(None) };
        let (Some((_, base)), Some(commit)) =
            (state.base.clone(), state.commit.clone().or(state.saved.clone()))
        else {
            return Ok(None);
        };
        self.inner.ports.diff(&state, &base, &commit).await.map(Some)
    }

    /// The recording of session `id` as of now, in pieces of whole lines; nothing when there is no such session. See
    /// [`crate::recording`] for its form.
    ///
    /// # Errors
    /// When the log cannot be read; in the middle, an item says so, and the recording stays without its end.
    pub async fn recording(
        &self,
        id: SessionId,
        portion: Portion,
    ) -> Result<Option<impl Stream<Item = Result<Bytes, WriteError>> + Send + use<>>, store::Error> {
        recording::write(self.inner.ports.clone(), id, portion).await
    }

    /// The page of a pull request of a repository on this machine, as Markdown; see [`crate::LocalShelf::page`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn local_page(&self, key: &str, number: u64) -> Result<Option<String>, forge::LocalError> {
        self.inner.ports.shelf.page(key, number).await
    }
}
