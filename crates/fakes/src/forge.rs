//! A strict stand-in for GitHub, with real git over smart HTTP.
//!
//! It answers the calls that a pull request bot makes as GitHub does, refusals above all, and serves the
//! repositories through `git http-backend`. Tests bend its world; `backspace dev fake-forge` shows it to people.

mod calls;
mod git;
mod page;
mod pulls;
mod reply;
mod routes;
mod shapes;
mod smart_http;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use git::{GitError, NewCommit};
use world::World;
pub use world::{
    Access, ApiVersion, Bend, Exchange, Fault, Meets, NewRepository, PullRequest, Reach, Seed, Token,
    Visibility,
};

/// So long a stop waits for the answers under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the stand-in lives.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A folder of its own, where the bare repositories are made.
    pub home: PathBuf,
}

/// Why the stand-in did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder, or one that it was to read, cannot be used.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It cannot listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Git did not do it.
    #[error("cannot {doing}")]
    Git {
        /// What was to be done.
        doing: &'static str,
        /// What git said.
        #[source]
        source: GitError,
    },
    /// There is no such repository.
    #[error("there is no repository {0}")]
    NoRepository(String),
    /// There is one already.
    #[error("there is a repository {0} already")]
    NameTaken(String),
}

/// A running stand-in. It ends when this is dropped; [`FakeForge::stop`] also waits for it.
pub struct FakeForge {
    address: SocketAddr,
    world: Arc<World>,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

/// Starts a stand-in without repositories and tokens.
///
/// # Errors
/// When the address cannot be listened on, or the folder cannot be made.
pub async fn start(config: Config) -> Result<FakeForge, Error> {
    std::fs::create_dir_all(&config.home)
        .map_err(|source| Error::Folder { path: config.home.clone(), source })?;
    let home = absolute(&config.home)?;
    let unable = |source| Error::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(unable)?;
    let address = listener.local_addr().map_err(unable)?;
    let world = Arc::new(World::new(format!("http://{address}"), home));
    let router = Router::new().fallback(routes::answer).with_state(Arc::clone(&world));
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let server = tokio::spawn(async move {
        // Small answers must not wait for the client's acknowledgement.
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "A connection keeps Nagle's algorithm");
            }
        });
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::warn!(%error, "The fake forge ended");
        }
    });
    Ok(FakeForge { address, world, stop, server: Some(server) })
}

/// `path` from the root, because git runs in other folders than we do.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|source| Error::Folder { path: path.to_owned(), source })
}

impl FakeForge {
    /// The root of the web pages and of git: `http://ADDRESS`.
    pub fn url(&self) -> &str {
        &self.world.base
    }

    /// The root of the REST API, as on an Enterprise server.
    pub fn api_url(&self) -> String {
        self.world.api()
    }

    /// Host and port, as they stand in the repositories' addresses.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Makes a repository.
    ///
    /// # Errors
    /// When the name is taken, the seed's folder cannot be read, or git cannot take it in.
    pub async fn create_repository(&self, new: &NewRepository, seed: &Seed) -> Result<(), Error> {
        let seed = match seed {
            Seed::Folder(folder) => Seed::Folder(absolute(folder)?),
            Seed::Empty | Seed::Files(_) => seed.clone(),
        };
        let full_name = format!("{}/{}", new.owner, new.name);
        let id = self.world.reserve(&full_name).ok_or(Error::NameTaken(full_name))?;
        let doing = "make the repository";
        let made = git::create(&self.world.git_dir(id), new.default_branch.as_deref(), &seed).await;
        let default_branch = made.map_err(|source| Error::Git { doing, source })?;
        self.world.add(id, new, default_branch);
        Ok(())
    }

    /// Puts one file onto a branch as one more commit, and says its name. A branch that is not there yet starts at
    /// `from`, or with nothing.
    ///
    /// # Errors
    /// When there is no such repository, or git refuses.
    pub async fn commit(&self, repository: &str, commit: &git::NewCommit<'_>) -> Result<String, Error> {
        let dir = self.git_dir(repository)?;
        git::commit(&dir, commit).await.map_err(|source| Error::Git { doing: "commit", source })
    }

    /// The bare repository's folder, for looking inside with git.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn git_dir(&self, repository: &str) -> Result<PathBuf, Error> {
        let id = self.world.id(repository).ok_or_else(|| Error::NoRepository(repository.to_owned()))?;
        Ok(self.world.git_dir(id))
    }

    /// Takes `secret` as a token from now on.
    pub fn allow(&self, secret: &str, token: Token) {
        self.world.allow(secret, token);
    }

    /// Changes the state of a repository, as its owners would.
    ///
    /// # Errors
    /// When there is no such repository, or its folder cannot be written.
    pub fn bend(&self, repository: &str, bend: &Bend) -> Result<(), Error> {
        let id = self.world.id(repository).ok_or_else(|| Error::NoRepository(repository.to_owned()))?;
        self.world.bend(id, bend).map_err(|source| Error::Git {
            doing: "write the protected branches",
            source: GitError::Io(source),
        })
    }

    /// The next `times` calls of the API that the fault meets are answered so.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.world.fail_next(times, fault);
    }

    /// The next `times` writes are carried out, and their connection breaks without an answer.
    pub fn lose_answers(&self, times: usize) {
        self.world.lose_answers(times);
    }

    /// Answers in the shape of this version, whichever one the caller names.
    pub fn answer_as(&self, version: ApiVersion) {
        self.world.answer_as(version);
    }

    /// The pull requests of a repository as they stand, in order.
    ///
    /// # Errors
    /// When there is no such repository, or git cannot be asked.
    pub async fn pull_requests(&self, repository: &str) -> Result<Vec<PullRequest>, Error> {
        let id = self.world.id(repository).ok_or_else(|| Error::NoRepository(repository.to_owned()))?;
        let refreshed = pulls::refreshed(&self.world, id).await;
        refreshed.map_err(|source| Error::Git { doing: "read the pull requests", source })
    }

    /// The last calls of the API with their answers, oldest first. They hold no credential.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.world.exchanges()
    }

    /// The folder that holds everything.
    pub fn home(&self) -> &Path {
        &self.world.home
    }

    /// Stops taking calls and waits for the answers under way.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(STOP_TIMEOUT, &mut server).await.is_err()
        {
            server.abort();
        }
        self.world.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.world.tasks.wait()).await.is_err() {
            tracing::debug!("An upload to the fake forge was still under way");
        }
    }
}

impl Drop for FakeForge {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
