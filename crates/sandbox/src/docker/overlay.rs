//! A work tree that the engine lays over the base tree, as a volume whose upper folder this process reads from outside.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backspace_init::protocol::WORK;
use bollard::body_full;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use events::{ChangeList, ChangedPath, Content};

use super::container::User;
use super::engine::{Engine, Facts};
use super::image::INIT;
use super::mend;
use super::owner::Owner;
use crate::folder::{self, Folder, Reach};
use crate::{Allowance, Error, Exported, Tree, content, export, upper};

/// The kernel takes the options of a mount on one page.
const OPTIONS_BYTES_MAX: usize = 4000;
/// The folders of an overlay.
const UPPER: &str = "upper";
const WORK_FOLDER: &str = "overlay";
/// What the kernel makes in an overlay's work folder. It is root's.
const KERNELS_OWN: &str = "work";
/// The two overlays: of the work tree and of the home folder.
const PARTS: [&str; 2] = ["tree", "home"];

/// The folders of the overlays, opened.
#[derive(Clone)]
pub(super) struct Overlay {
    layers: Arc<Layers>,
}

struct Layers {
    upper: OwnedFd,
    lower: Vec<OwnedFd>,
    home: OwnedFd,
}

/// Where the changes of a work tree and of a home folder live.
pub(super) struct Place {
    /// Removed with everything in it.
    pub(super) folder: Folder,
    /// Holds a folder for each of the two overlays.
    own: PathBuf,
    /// Of the mounts.
    options: [String; 2],
}

/// Whose the files of `tree` are, when an overlay over them can be mounted by the engine and read by this process; else
/// why not, in words.
pub(super) fn fits(tree: &Tree, facts: &Facts) -> Result<User, &'static str> {
    if !facts.is_local || !facts.shares_kernel {
        return Err("the engine runs on another machine");
    }
    if facts.maps_users {
        return Err("users inside are other users outside (a rootless engine, or one that remaps them)");
    }
    if facts.is_podman {
        return Err("Podman mounts no overlay as a volume");
    }
    let own = rustix::process::geteuid();
    let mut owner = None;
    for layer in tree.layers.iter().chain(&tree.home) {
        if layer.as_os_str().as_bytes().iter().any(|byte| b",:\\".contains(byte) || byte.is_ascii_control()) {
            return Err("the base tree's path holds `,`, `:` or `\\`");
        }
        let Ok(metadata) = layer.metadata() else {
            return Err("a layer of the base tree cannot be looked at");
        };
        let user = User { id: metadata.uid(), group: metadata.gid() };
        if *owner.get_or_insert(user) != user {
            return Err("the base tree's layers belong to several users");
        }
    }
    match owner {
        None => Err("there is no base tree"),
        Some(User { id: 0, .. }) => Err(
            "the base tree is root's, and nothing inside may be root; start backspace as an ordinary user",
        ),
        Some(User { group: 0, .. }) => Err(
            "the base tree is of root's group, and nothing inside may be; start backspace with a group of its own",
        ),
        Some(user) if own.is_root() || own.as_raw() == user.id => Ok(user),
        Some(_) => Err("the base tree is another user's"),
    }
}

impl Place {
    /// Makes the folders of overlays over `tree` below `place`. `name` is in the path, so that an engine which sees another
    /// machine's files under the same paths does not find it.
    pub(super) fn make(place: &Path, name: &str, tree: &Tree, user: User) -> io::Result<Self> {
        let folder = folder::make(place, Reach::Passage)?;
        let own = folder.path.join(name);
        let nothing = own.join("nothing");
        for made in [&own, &nothing] {
            make_folder(made, user)?;
        }
        let home = tree.home.clone().unwrap_or(nothing);
        let lower = [&*tree.layers, &[home]];
        let mut options = [String::new(), String::new()];
        for ((part, lower), options) in PARTS.iter().zip(lower).zip(&mut options) {
            let place = own.join(part);
            let (upper, work) = (place.join(UPPER), place.join(WORK_FOLDER));
            for made in [&place, &upper, &work] {
                make_folder(made, user)?;
            }
            let lower: Vec<String> = lower.iter().map(|layer| layer.display().to_string()).collect();
            *options = format!(
                "lowerdir={},upperdir={},workdir={},userxattr,index=off,nosuid,nodev",
                lower.join(":"),
                upper.display(),
                work.display()
            );
            if options.len() > OPTIONS_BYTES_MAX {
                return Err(io::Error::other("the paths of the base tree are too long for a mount"));
            }
        }
        Ok(Self { folder, own, options })
    }

    /// Opens what is read from outside. The engine need not have mounted it.
    pub(super) fn open(&self, tree: &Tree) -> io::Result<Overlay> {
        let [work, home] = PARTS.map(|part| File::open(self.own.join(part).join(UPPER)));
        let lower = tree.layers.iter().map(|layer| Ok(File::open(layer)?.into()));
        let lower = lower.collect::<io::Result<Vec<_>>>()?;
        Ok(Overlay { layers: Arc::new(Layers { upper: work?.into(), lower, home: home?.into() }) })
    }

    /// Has the engine make volumes of them, called `names`.
    pub(super) async fn volumes(&self, engine: &Engine, names: &[String; 2]) -> Result<(), Error> {
        for (name, options) in names.iter().zip(&self.options) {
            let options = [("type", "overlay"), ("device", "overlay"), ("o", options)];
            let request = VolumeCreateRequest {
                name: Some(name.clone()),
                driver: Some("local".to_owned()),
                driver_opts: Some(HashMap::from(options.map(|(name, it)| (name.to_owned(), it.to_owned())))),
                labels: Some(Owner::this().labels()),
                ..VolumeCreateRequest::default()
            };
            let made = engine.client.create_volume(request).await;
            made.map_err(mend::failed("make a volume for a work tree"))?;
        }
        Ok(())
    }

    /// See [`reclaim`].
    pub(super) async fn reclaim(&self, engine: &Engine, image: &str) -> Result<(), Error> {
        reclaim(engine, image, &self.own).await
    }
}

/// Removes what processes that are gone left below `place`. What cannot be removed now is tried again by the next one.
pub(super) async fn sweep(engine: &Engine, image: &str, place: &Path) {
    let below = place.to_owned();
    let left = aside("look for what was left", move || folder::left(&below)).await.unwrap_or_default();
    for folder in left {
        for own in std::fs::read_dir(&folder.path).into_iter().flatten().flatten() {
            drop(reclaim(engine, image, &own.path()).await);
        }
        drop(aside("remove what was left", move || folder.remove()).await);
    }
}

/// Gives this process what root's kernel left in the folders below `own`, so that they can be removed.
///
/// The engine puts files in the place of folders: it is root, and this process is not.
async fn reclaim(engine: &Engine, image: &str, own: &Path) -> Result<(), Error> {
    let left = PARTS.map(|part| format!("{part}/{WORK_FOLDER}/{KERNELS_OWN}"));
    let left: Vec<&String> = left.iter().filter(|path| own.join(path).exists()).collect();
    if rustix::process::geteuid().is_root() || left.is_empty() {
        return Ok(());
    }
    let doing = "remove what an overlay left";
    let files = empty_files(&left).map_err(|source| Error::System { doing: doing.to_owned(), source })?;
    let mount = Mount {
        typ: Some(MountType::BIND),
        source: Some(own.display().to_string()),
        target: Some(WORK.to_owned()),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![INIT.to_owned()]),
        labels: Some(Owner::this().labels()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![mount]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let created = engine.client.create_container(None::<CreateContainerOptions>, body).await;
    let container = created.map_err(mend::failed(doing))?.id;
    let into = UploadToContainerOptionsBuilder::new().path(WORK).build();
    let put = engine.client.upload_to_container(&container, Some(into), body_full(files.into())).await;
    let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    let removed = engine.client.remove_container(&container, Some(force)).await;
    put.and(removed).map_err(mend::failed(doing))
}

fn make_folder(path: &Path, user: User) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    // Whatever this process's umask is, who is inside shall pass.
    std::fs::set_permissions(path, Permissions::from_mode(0o755))?;
    std::os::unix::fs::chown(path, Some(user.id), Some(user.group))
}

fn empty_files(paths: &[&String]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for path in paths {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o600);
        header.set_size(0);
        archive.append_data(&mut header, path, io::empty())?;
    }
    archive.into_inner()
}

impl Overlay {
    /// See [`crate::Sandbox::changes`].
    pub(super) async fn changes(&self) -> Result<ChangeList, Error> {
        let layers = Arc::clone(&self.layers);
        aside("list what changed in a sandbox", move || {
            upper::changes(layers.upper.as_fd(), &layers.lower, upper::PATHS_MAX)
        })
        .await
    }

    /// See [`crate::Sandbox::content`].
    pub(super) async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error> {
        let (layers, path) = (Arc::clone(&self.layers), path.clone());
        let read = move || content::read(layers.upper.as_fd(), &path, bytes_max);
        aside("read a changed file of a sandbox", read).await?.ok_or(Error::Changed)
    }

    /// See [`crate::Sandbox::export`]. Nothing inside runs any more.
    pub(super) async fn export(&self, into: &Path, allowance: Allowance) -> Result<Exported, Error> {
        let (layers, into) = (Arc::clone(&self.layers), into.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            let Layers { upper, lower, home } = &*layers;
            let added = export::Added { work: upper.as_fd(), base: lower, home: home.as_fd() };
            export::write(&added, &into, allowance)
        });
        written.await.map_err(|error| Error::System {
            doing: "write what a sandbox has added".to_owned(),
            source: io::Error::other(error),
        })?
    }

    /// The folders that hold what was changed.
    pub(super) fn folders(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(vec![self.layers.upper.try_clone()?, self.layers.home.try_clone()?])
    }
}

/// Does what blocks on another thread.
pub(super) async fn aside<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(io::Error::other).and_then(|result| result);
    done.map_err(|source| Error::System { doing: doing.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_root_or_of_roots_group_is_laid_by_no_engine() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let local = Facts {
            versions: Vec::new(),
            is_podman: false,
            maps_users: false,
            shares_kernel: true,
            is_local: true,
            runtimes: Vec::new(),
            default_runtime: String::new(),
            soft: Vec::new(),
        };
        let fits_owned_by = |user: u32, group: u32| {
            let layer = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(layer.path(), Some(user), Some(group)).unwrap();
            fits(&Tree::of(vec![layer.path().to_owned()]), &local).map(|user| (user.id, user.group))
        };
        assert_eq!(fits_owned_by(1000, 1001), Ok((1000, 1001)));
        assert!(fits_owned_by(0, 1001).unwrap_err().contains("is root's"));
        assert!(fits_owned_by(1000, 0).unwrap_err().contains("root's group"));
    }
}
