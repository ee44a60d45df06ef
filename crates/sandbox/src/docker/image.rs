//! Prepares an image: one more layer with our process 1, the users of the sandboxes, and the places of what is mounted.
//!
//! Made once for each image and each release. A container's own root is read-only, and a path of this machine means
//! nothing to an engine elsewhere; an image reaches every engine in the same way.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use backspace_init::protocol::{HOME, RELAYS, WORK};
use bollard::body_full;
use bollard::errors::Error as EngineError;
use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig, ImageInspect};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptions, ListImagesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, UploadToContainerOptionsBuilder,
};
use sha2::{Digest as _, Sha256};

use super::engine::{Engine, architecture};
use super::mend;
use super::owner::Owner;
use crate::{Error, program};

/// Where process 1 stands.
pub(super) const INIT: &str = "/run/backspace-init";
/// The name of all prepared images; the tag says of what.
const REPOSITORY: &str = "localhost/backspace-sandbox";
/// Every prepared image has these labels: the name of the image that it was made of, and which that was then.
const PREPARED: &str = "backspace.prepared-from";
const BASE: &str = "backspace.base";
/// So much of a digest keeps images apart.
const TAG_BYTES: usize = 16;

/// An image that containers are made of.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) name: String,
    /// What the image says of the environment: where its tools are.
    pub(super) environment: Vec<(String, String)>,
    /// Folders for which an engine would make volumes without bounds.
    pub(super) volumes: Vec<String>,
}

/// Prepares `image` for users of the numbers `users`, unless that was done before.
///
/// # Errors
/// [`Error::Unavailable`] when there is no such image, or it is for another machine.
pub(super) async fn prepare(engine: &Engine, image: &str, users: &[u32]) -> Result<Prepared, Error> {
    let found = find(engine, image).await?;
    let (system, machine) = (found.os.unwrap_or_default(), found.architecture.unwrap_or_default());
    if system != "linux" || machine != architecture() {
        return Err(mend::other_image(image, &system, &machine));
    }
    let id = found.id.unwrap_or_default();
    let unwritten = |source| Error::System { doing: "write an archive".to_owned(), source };
    let of_layer = digest(users).map_err(unwritten)?;
    let digest = Sha256::new().chain_update(&id).chain_update(of_layer).finalize();
    let name = format!("{REPOSITORY}:{}", hex::encode(&digest[..TAG_BYTES]));
    if inspect(engine, &name).await?.is_none() {
        make(engine, &Base { name: image, id: &id }, &name, layer(users).map_err(unwritten)?).await?;
    }
    let config = found.config.unwrap_or_default();
    let environment = config.env.unwrap_or_default();
    let environment = environment.iter().filter_map(|entry| entry.split_once('='));
    Ok(Prepared {
        name,
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        volumes: config.volumes.unwrap_or_default(),
    })
}

/// What tells the image that is called `image` now from all others.
///
/// # Errors
/// [`Error::Unavailable`] when there is no such image.
pub(super) async fn id(engine: &Engine, image: &str) -> Result<String, Error> {
    Ok(find(engine, image).await?.id.unwrap_or_default())
}

async fn find(engine: &Engine, image: &str) -> Result<ImageInspect, Error> {
    inspect(engine, image).await?.ok_or_else(|| mend::no_image(image))
}

async fn inspect(engine: &Engine, name: &str) -> Result<Option<ImageInspect>, Error> {
    match engine.client.inspect_image(name).await {
        Ok(image) => Ok(Some(image)),
        Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(mend::failed("look at an image")(error)),
    }
}

/// What an image is prepared of.
struct Base<'a> {
    name: &'a str,
    id: &'a str,
}

/// A container is made of the image and never started; the layer is put into it, and what is then there is an image.
async fn make(engine: &Engine, base: &Base<'_>, name: &str, layer: Vec<u8>) -> Result<(), Error> {
    let body = ContainerCreateBody {
        image: Some(base.id.to_owned()),
        entrypoint: Some(vec![INIT.to_owned()]),
        labels: Some(Owner::this().labels()),
        host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let created = engine.client.create_container(None::<CreateContainerOptions>, body).await;
    let container = created.map_err(mend::failed("make a container to prepare an image"))?.id;
    let made = fill_and_commit(engine, &container, base, name, layer).await;
    let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    // What stays is swept by the next process.
    drop(engine.client.remove_container(&container, Some(force)).await);
    made?;
    forget_older(engine, base).await;
    Ok(())
}

async fn fill_and_commit(
    engine: &Engine,
    container: &str,
    base: &Base<'_>,
    name: &str,
    layer: Vec<u8>,
) -> Result<(), Error> {
    let root = UploadToContainerOptionsBuilder::new().path("/").build();
    let put = engine.client.upload_to_container(container, Some(root), body_full(layer.into())).await;
    put.map_err(mend::failed("put the program for the inside into an image"))?;
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let options = CommitContainerOptionsBuilder::new().container(container).repo(repository).tag(tag);
    let labels = [(PREPARED, base.name), (BASE, base.id)].map(|(name, it)| (name.to_owned(), it.to_owned()));
    let labels = HashMap::from(labels);
    let config = ContainerConfig { labels: Some(labels), ..ContainerConfig::default() };
    let committed = engine.client.commit_container(options.build(), config).await;
    committed.map(drop).map_err(mend::failed("keep a prepared image"))
}

/// Removes what was prepared before the image was built anew. What a container uses stays: the engine refuses. What other
/// releases or other users prepared of this image stays as well, since they may be at work.
async fn forget_older(engine: &Engine, base: &Base<'_>) {
    let prepared = HashMap::from([("label", vec![format!("{PREPARED}={}", base.name)])]);
    let asked = ListImagesOptionsBuilder::new().filters(&prepared).build();
    for other in engine.client.list_images(Some(asked)).await.unwrap_or_default() {
        if other.labels.get(BASE).is_some_and(|id| id != base.id) {
            drop(engine.client.remove_image(&other.id, None::<RemoveImageOptions>, None).await);
        }
    }
}

/// The digest of the layer. It is megabytes, and the same for all sandboxes of this process: only the first one waits.
fn digest(users: &[u32]) -> std::io::Result<[u8; 32]> {
    static LAST: Mutex<Option<(Vec<u32>, [u8; 32])>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, digest)) = &*last
        && known == users
    {
        return Ok(*digest);
    }
    let digest = Sha256::digest(layer(users)?).into();
    *last = Some((users.to_vec(), digest));
    Ok(digest)
}

/// The layer, as an archive.
fn layer(users: &[u32]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, mode: u32, content: Option<&[u8]>| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(content.map_or(tar::EntryType::Directory, |_| tar::EntryType::Regular));
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        let content = content.unwrap_or_default();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path.trim_start_matches('/'), content)
    };
    // A file at the same place is replaced by the folder, a folder stays as it is but for its mode.
    for (folder, mode) in
        [("/run", 0o755), (RELAYS, 0o755), (WORK, 0o755), ("/home", 0o755), (HOME, 0o755), ("/tmp", 0o1777)]
    {
        add(folder, mode, None)?;
    }
    add(INIT, 0o555, Some(program::BYTES))?;
    add("/etc/passwd", 0o644, Some(passwd(users).as_bytes()))?;
    add("/etc/group", 0o644, Some(group(users).as_bytes()))?;
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_mode(0o777);
    link.set_size(0);
    archive.append_link(&mut link, "var/tmp", "/tmp")?;
    archive.into_inner()
}

/// Each sandbox has a user of its own, and all of them are called `agent`.
fn passwd(users: &[u32]) -> String {
    let mut text = "root:x:0:0:root:/root:/bin/sh\n".to_owned();
    for user in users {
        let _ = writeln!(text, "agent:x:{user}:{user}:agent:{HOME}:/bin/sh");
    }
    text + "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
}

fn group(users: &[u32]) -> String {
    let mut text = "root:x:0:\n".to_owned();
    for user in users {
        let _ = writeln!(text, "agent:x:{user}:");
    }
    text + "nogroup:x:65534:\n"
}
