//! Removes what processes that are gone left with an engine.
//!
//! A container of a dead process ends by itself, since its process 1 is hung up on; what is swept here is what the engine
//! had no time to remove, and volumes, which it never removes.

use std::collections::{HashMap, HashSet};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions,
};
use tokio::sync::Mutex;

use super::engine::Engine;
use super::owner::{self, Owner};

/// Sweeps, the first time that this process uses an engine. What cannot be removed now is tried by the next process.
pub(super) async fn sweep_once(engine: &Engine) {
    static SWEPT: Mutex<Option<HashSet<String>>> = Mutex::const_new(None);
    // Held all the while: whoever comes second finds it done.
    let mut swept = SWEPT.lock().await;
    if swept.get_or_insert_default().insert(engine.address.clone()) {
        sweep(engine).await;
    }
}

async fn sweep(engine: &Engine) {
    let this = Owner::this();
    let ours = HashMap::from([("label", vec![owner::MACHINE])]);
    let asked = ListContainersOptionsBuilder::new().all(true).filters(&ours).build();
    for container in engine.client.list_containers(Some(asked)).await.unwrap_or_default() {
        if let (Some(id), Some(labels)) = (container.id, container.labels)
            && this.knows_gone(&labels)
        {
            let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            drop(engine.client.remove_container(&id, Some(force)).await);
        }
    }
    let asked = ListVolumesOptionsBuilder::new().filters(&ours).build();
    let volumes = engine.client.list_volumes(Some(asked)).await;
    for volume in volumes.ok().and_then(|listed| listed.volumes).into_iter().flatten() {
        if this.knows_gone(&volume.labels) {
            drop(engine.client.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await);
        }
    }
}
