//! What a sandbox in a container leaves with the engine and on this machine, and how all of it goes.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

use super::engine::Engine;
use super::mend;
use super::overlay::{Place, aside};
use crate::Error;
use crate::user::UserId;

/// A container is given so long to end after it was hung up on; then the engine kills it.
const END_MAX: Duration = Duration::from_secs(10);
/// An engine unmounts a volume some moments after the container that used it.
const VOLUME_TRIES_MAX: u32 = 50;
const VOLUME_PAUSE: Duration = Duration::from_millis(20);

/// All of a sandbox that the engine and this machine must be rid of afterwards.
pub(super) struct Belongings {
    pub(super) engine: Engine,
    pub(super) image: String,
    pub(super) container: Option<Container>,
    pub(super) volumes: Vec<String>,
    pub(super) place: Option<Place>,
    /// Free for another sandbox when they are dropped.
    pub(super) users: Vec<UserId>,
}

/// A container, by its name.
pub(super) enum Container {
    /// Made and not started.
    Made(String),
    /// Started; it is removed when its process 1 has ended.
    Started(String),
}

impl Belongings {
    /// Waits until the container is gone, or has it killed; its process 1 has been hung up on.
    pub(super) async fn end(&mut self) -> Result<(), Error> {
        let container = match self.container.take() {
            None => return Ok(()),
            Some(Container::Made(container)) => container,
            Some(Container::Started(container)) => {
                let removed = WaitContainerOptionsBuilder::new().condition("removed").build();
                let gone = self.engine.client.wait_container(&container, Some(removed));
                drop(tokio::time::timeout(END_MAX, gone.collect::<Vec<_>>()).await);
                container
            }
        };
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.engine.client.remove_container(&container, Some(force)).await {
            // Gone, or about to be: the engine was quicker.
            Ok(()) | Err(EngineError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(mend::failed("remove a container")(error)),
        }
    }

    /// Leaves nothing with the engine and nothing on this machine.
    pub(super) async fn take_down(&mut self) -> Result<(), Error> {
        let mut result = self.end().await;
        for volume in std::mem::take(&mut self.volumes) {
            result = result.and(self.remove_volume(&volume).await);
        }
        if let Some(place) = self.place.take() {
            result = result.and(place.reclaim(&self.engine, &self.image).await);
            let removed = aside("remove the changes of a sandbox", move || place.folder.remove()).await;
            result = result.and(removed);
        }
        self.users.clear();
        result
    }

    async fn remove_volume(&self, volume: &str) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            let removed = self.engine.client.remove_volume(volume, None::<RemoveVolumeOptions>).await;
            match removed {
                Ok(()) | Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => {
                    return Ok(());
                }
                Err(EngineError::DockerResponseServerError { status_code: 409, .. })
                    if tries < VOLUME_TRIES_MAX =>
                {
                    tries += 1;
                    tokio::time::sleep(VOLUME_PAUSE).await;
                }
                Err(error) => return Err(mend::failed("remove a volume")(error)),
            }
        }
    }
}
