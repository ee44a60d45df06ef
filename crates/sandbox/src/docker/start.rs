//! Starts a container, speaks with its process 1, and lays its work tree.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use backspace_init::pack::{self, Pack};
use backspace_init::protocol::{Ask, Begin, Fence, Limits, Said};
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StartContainerOptions,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_util::io::StreamReader;
use uuid::Uuid;

use super::belongings::{Belongings, Container};
use super::container::{self, Asked, Size, User, Work};
use super::engine::Engine;
use super::image::{self, Prepared};
use super::outgrown::outgrown;
use super::overlay::{self, Place, aside};
use super::owner::Owner;
use super::terms::terms;
use super::{Changes, Config, Docker, WorkTree, mend, sent, starved};
use crate::calls::{self, Calls};
use crate::disk::Disk;
use crate::user::{self, UserId};
use crate::{Error, Policy, Tree, filter};

/// Process 1 answers as soon as it runs; on a machine that is swamped that may take long, but not for ever.
const READY_MAX: Duration = Duration::from_secs(30);
/// A program that was cut off from this service ends so much later than the service would have ended it.
const LIFETIME_GRACE: Duration = Duration::from_secs(60);

/// Opens a sandbox over `tree`.
pub(super) async fn start(
    engine: &Engine,
    config: &Config,
    tree: &Tree,
    policy: &Policy,
) -> Result<Docker, Error> {
    let facts = &engine.facts;
    if let Some(runtime) = &config.runtime
        && !facts.is_podman
        && !facts.runtimes.contains(runtime)
    {
        return Err(mend::no_runtime(runtime, &facts.runtimes));
    }
    for relay in &policy.relays {
        is_socket(&relay.socket)?;
    }
    let opening =
        Opening { engine, config, tree, policy, name: format!("backspace-{}", Uuid::now_v7().simple()) };
    let fits = overlay::fits(tree, facts);
    match (&config.changes, fits) {
        (Changes::Memory, _) | (Changes::FolderElseMemory(_), Err(_)) => opening.sent().await,
        (Changes::Folder(_), Err(reason)) => Err(mend::no_overlay(reason)),
        (Changes::Folder(place), Ok(user)) => opening.laid_over(place, user).await,
        (Changes::FolderElseMemory(place), Ok(user)) => match opening.laid_over(place, user).await {
            // An engine that only seems to be of this machine does not find the folders.
            Err(Error::Unavailable { reason, .. }) if reason.contains("mount") => opening.sent().await,
            opened => opened,
        },
    }
}

/// An engine would show whatever stands there.
fn is_socket(path: &Path) -> Result<(), Error> {
    let found = std::fs::symlink_metadata(path).and_then(|it| {
        if it.file_type().is_socket() { Ok(()) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
    });
    found.map_err(|source| Error::System { doing: "open a socket for a sandbox".to_owned(), source })
}

/// What is the same whichever way the work tree is laid.
struct Opening<'a> {
    engine: &'a Engine,
    config: &'a Config,
    tree: &'a Tree,
    policy: &'a Policy,
    name: String,
}

impl Opening<'_> {
    /// With an overlay that the engine mounts.
    async fn laid_over(&self, place: &Path, user: User) -> Result<Docker, Error> {
        let users: Vec<u32> = self.engine.facts.users().chain([user.id]).collect();
        let image = image::prepare(self.engine, &self.config.image, &users).await?;
        overlay::sweep(self.engine, &image.name, place).await;
        let taken = take_user(self.engine.facts.own_users())?;
        let own = taken.id;
        let (place, name, tree) = (place.to_owned(), self.name.clone(), self.tree.clone());
        let made = aside("make a folder for the changes of a sandbox", move || {
            let place = Place::make(&place, &name, &tree, user)?;
            let overlay = place.open(&tree)?;
            let folders = overlay.folders()?;
            Ok((place, overlay, folders))
        });
        let (place, overlay, folders) = made.await?;
        let names = [self.name.clone(), format!("{}-home", self.name)];
        let mut belongings = self.belongings(&image, vec![taken]);
        belongings.volumes = names.to_vec();
        let place = belongings.place.insert(place);
        let size = Size { bytes: self.policy.work_bytes_max, files: self.policy.work_inodes_max };
        let ready = async {
            let disk = Disk::of(&place.folder.path)?;
            place.volumes(self.engine, &names).await?;
            Ok(disk)
        };
        let opened = match ready.await {
            Ok(disk) => {
                let over = over(self.policy.lifetime, too_large(folders, size, disk));
                let ground = Ground { user, own, work: Work::Volumes(names), over };
                self.open(&mut belongings, &image, ground).await
            }
            Err(error) => Err(error),
        };
        self.docker(opened, WorkTree::Overlay(overlay), belongings).await
    }

    /// With a work tree that is sent.
    async fn sent(&self) -> Result<Docker, Error> {
        let users = self.engine.facts.users();
        let image =
            image::prepare(self.engine, &self.config.image, &users.clone().collect::<Vec<_>>()).await?;
        let (taken, taken_own) = (take_user(users)?, take_user(self.engine.facts.own_users())?);
        let (user, own) = (User { id: taken.id, group: taken.id }, taken_own.id);
        let mut belongings = self.belongings(&image, vec![taken, taken_own]);
        let (layers, home) = (self.tree.layers.clone(), self.tree.home.clone());
        let listed =
            aside("list a base tree", move || Ok([pack::list(&layers)?, pack::list(home.as_slice())?]));
        let packs = listed.await?;
        let size = |pack: &Pack| Size { bytes: pack.bytes, files: pack.entries() };
        let work = Work::Memory([size(&packs[0]), size(&packs[1])]);
        let opened = async {
            let over = over(self.policy.lifetime, std::future::pending());
            let spoken = self.open(&mut belongings, &image, Ground { user, own, work, over }).await?;
            sent::lay(&spoken.calls, packs, &self.policy.home).await?;
            Ok(spoken)
        };
        let opened = opened.await;
        self.docker(opened, WorkTree::Sent, belongings).await
    }

    fn belongings(&self, image: &Prepared, users: Vec<UserId>) -> Belongings {
        Belongings {
            engine: self.engine.clone(),
            image: image.name.clone(),
            container: None,
            volumes: Vec::new(),
            place: None,
            users,
        }
    }

    /// Makes the container, starts it, and speaks with its process 1.
    async fn open(
        &self,
        belongings: &mut Belongings,
        image: &Prepared,
        ground: Ground,
    ) -> Result<Spoken, Error> {
        let begin = self.begin(image, &ground.work)?;
        let Ground { user, own, work, over } = ground;
        let labels = Owner::this().labels();
        let asked = Asked { labels, runtime: self.config.runtime.as_deref(), user, own, work };
        let body = container::body(asked, image, self.policy, &self.engine.facts);
        let (client, not_started) = (&self.engine.client, |error| mend::not_started(&mend::chain(&error)));
        let options = CreateContainerOptionsBuilder::new().name(&self.name).build();
        client.create_container(Some(options), body).await.map_err(not_started)?;
        belongings.container = Some(Container::Made(self.name.clone()));
        let attach = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).build();
        let attached = client.attach_container(&self.name, Some(attach)).await;
        let AttachContainerResults { output, input } =
            attached.map_err(mend::failed("speak with a container"))?;
        client.start_container(&self.name, None::<StartContainerOptions>).await.map_err(not_started)?;
        belongings.container = Some(Container::Started(self.name.clone()));
        let output = output.filter_map(|piece| std::future::ready(said(piece)));
        let (asked, name) = (self.engine.clone(), self.name.clone());
        let reason = move |over| starved::reason(asked, name, over);
        let calls = calls::begin(StreamReader::new(output), input, over, reason);
        match calls.ask(Ask::Begin(begin), READY_MAX).await {
            Ok(Said::Ready(fence)) => Ok(Spoken { calls, fence }),
            Ok(Said::Failed(errno)) => Err(mend::not_parted(errno)),
            Ok(_) => Err(calls.answered_wrongly()),
            Err(Error::Lost { reason }) => Err(mend::not_started(&reason)),
            Err(error) => Err(error),
        }
    }

    fn begin(&self, image: &Prepared, work: &Work) -> Result<Begin, Error> {
        let policy = self.policy;
        let home = match work {
            Work::Volumes(_) => policy.home.iter().map(|it| (it.path.clone(), it.content.clone())).collect(),
            // They come with what is sent.
            Work::Memory(_) => Vec::new(),
        };
        let filters = filter::programs().map_err(|error| Error::System {
            doing: "write a system call filter".to_owned(),
            source: std::io::Error::other(error),
        })?;
        let lifetime = policy.lifetime.saturating_add(LIFETIME_GRACE);
        Ok(Begin {
            limits: self.limits(work),
            environment: self.environment(image),
            home,
            relays: policy.relays.iter().map(|relay| relay.port).collect(),
            filters,
            lifetime_ms: u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// An overlay's user may have other processes on this machine, and they would be counted together.
    fn limits(&self, work: &Work) -> Limits {
        let alone = matches!(work, Work::Memory(_));
        Limits {
            processes_max: if alone { self.policy.processes_max } else { u64::MAX },
            memory_bytes_max: self.policy.memory_bytes_max,
            file_bytes_max: if alone { u64::MAX } else { self.policy.work_bytes_max },
            // The engine bounds the container.
            watched_bytes_max: None,
        }
    }

    /// Where the image's tools are, and what the policy says; whose home it is says nobody but us.
    fn environment(&self, image: &Prepared) -> Vec<(String, String)> {
        const OURS: &[&str] = &["HOME", "USER", "LOGNAME", "PWD", "SHELL", "HOSTNAME"];
        let given = &self.policy.environment;
        let of_image = image.environment.iter().filter(|(name, _)| {
            !OURS.contains(&name.as_str()) && given.iter().all(|(other, _)| other != name)
        });
        of_image.chain(given).cloned().collect()
    }

    /// The sandbox, or the error after everything was taken down again.
    async fn docker(
        &self,
        opened: Result<Spoken, Error>,
        work_tree: WorkTree,
        mut belongings: Belongings,
    ) -> Result<Docker, Error> {
        let Spoken { calls, fence } = match opened {
            Ok(spoken) => spoken,
            Err(error) => {
                // What stays is swept by the next process; the first error is the one to tell.
                drop(belongings.take_down().await);
                return Err(error);
            }
        };
        let mut terms = terms(self.config, self.policy, &self.engine.facts, &work_tree);
        terms.say(fence);
        let (belongings, exported) = (tokio::sync::Mutex::new(belongings), AtomicBool::new(false));
        Ok(Docker { calls, work_tree, belongings, exported, terms })
    }
}

/// What a container stands on.
struct Ground {
    user: User,
    own: u32,
    work: Work,
    over: Pin<Box<dyn Future<Output = String> + Send>>,
}

/// A container whose process 1 has said that it is ready.
struct Spoken {
    calls: Calls,
    fence: Fence,
}

fn take_user(ids: Range<u32>) -> Result<UserId, Error> {
    user::take_of(&ids)
        .map_err(|source| Error::System { doing: "take a user id for a sandbox".to_owned(), source })
}

/// Returns when a sandbox has lived as long as it may or when it has `grown` too large, with the words for that.
fn over(
    lifetime: Duration,
    grown: impl Future<Output = String> + Send + 'static,
) -> Pin<Box<dyn Future<Output = String> + Send>> {
    Box::pin(async move {
        tokio::select! {
            reason = grown => reason,
            reason = calls::life_of(lifetime) => reason,
        }
    })
}

/// Returns when changes in `folders` take more than `size` or the last of their disk, with the words for that.
async fn too_large(folders: Vec<OwnedFd>, size: Size, disk: Disk) -> String {
    tokio::select! {
        reason = outgrown(folders, size) => reason,
        reason = disk.fills_up() => reason,
    }
}

/// Of what an engine passes on, what process 1 said.
fn said(piece: Result<LogOutput, bollard::errors::Error>) -> Option<std::io::Result<Bytes>> {
    match piece {
        Ok(LogOutput::StdOut { message }) => Some(Ok(message)),
        Ok(LogOutput::StdErr { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. }) => None,
        Err(error) => Some(Err(std::io::Error::other(error))),
    }
}
