//! The places where forges are tried: a fake GitHub, and a shelf in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use events::{Branch, Hosted, Oid, Remote};
use fakes::forge::{Access, Bend, FakeForge, NewCommit, NewRepository, Reach, Seed, Token, Visibility};
use forge::github::{Pace, PlainHttp};
use forge::local::Added;
use forge::{Config, Forge, KeptPullRequest, LocalError, NewPullRequest, Shelf};
use tempfile::TempDir;

/// The token of the fake GitHub's world; it may do what a pull request takes.
pub(crate) const TOKEN: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
/// How the session of the tests marks what is its own.
pub(crate) const MARKER: &str = "<!-- backspace:session=1 -->";

/// A forge with one repository: `trunk`, and ahead of it `topic` and `other`.
pub(crate) struct World {
    pub(crate) forge: Arc<dyn Forge>,
    pub(crate) remote: Remote,
    /// A repository that is not there.
    pub(crate) elsewhere: Remote,
    pub(crate) token: Option<&'static str>,
    site: Site,
}

enum Site {
    GitHub(GitHub),
    Local(Arc<MemoryShelf>),
}

/// A fake GitHub with the repository `o/n`.
pub(crate) struct GitHub {
    pub(crate) fake: FakeForge,
    _home: TempDir,
}

impl World {
    /// Puts one more commit onto a branch.
    pub(crate) async fn push(&self, branch: &str) -> Oid {
        match &self.site {
            Site::GitHub(site) => site.push(branch).await,
            Site::Local(shelf) => shelf.push(branch),
        }
    }

    /// How many pull requests there are, open or not.
    pub(crate) async fn count(&self) -> usize {
        match &self.site {
            Site::GitHub(site) => site.fake.pull_requests("o/n").await.unwrap().len(),
            Site::Local(shelf) => shelf.state.lock().unwrap().kept.len(),
        }
    }

    pub(crate) async fn close(&self, number: u64) {
        match &self.site {
            Site::GitHub(site) => site.fake.bend("o/n", &Bend::Closed(number)).unwrap(),
            Site::Local(shelf) => {
                for kept in shelf.state.lock().unwrap().kept.iter_mut().filter(|kept| kept.number == number) {
                    kept.open = false;
                }
            }
        }
    }
}

impl GitHub {
    pub(crate) async fn start() -> Self {
        let home = TempDir::new().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = fakes::forge::Config { listen, home: home.path().to_owned() };
        let fake = fakes::forge::start(config).await.unwrap();
        let new = NewRepository {
            owner: "o".to_owned(),
            name: "n".to_owned(),
            visibility: Visibility::Private,
            default_branch: Some("trunk".to_owned()),
        };
        let seed = Seed::Files(vec![("a.py".to_owned(), "a = 1\n".to_owned())]);
        fake.create_repository(&new, &seed).await.unwrap();
        let site = Self { fake, _home: home };
        site.allow(TOKEN, Access::PullRequests, None);
        site.push("topic").await;
        site.push("other").await;
        site
    }

    pub(crate) fn allow(&self, secret: &str, access: Access, sso_url: Option<&str>) {
        let login = "bot".to_owned();
        let sso_url = sso_url.map(str::to_owned);
        self.fake.allow(secret, Token { login, access, reach: Reach::Everything, sso_url });
    }

    pub(crate) async fn push(&self, branch: &str) -> Oid {
        let content = format!("{branch} = 2\n");
        let commit = NewCommit { branch, from: Some("trunk"), path: "b.py", content: &content };
        self.fake.commit("o/n", &commit).await.unwrap().parse().unwrap()
    }

    /// The forge as somebody with this token opens it; impatient, so that no test waits.
    pub(crate) fn forge(&self, token: Option<&str>) -> Arc<dyn Forge> {
        forge::open(&Config::GitHub(self.config(token))).unwrap()
    }

    pub(crate) fn config(&self, token: Option<&str>) -> forge::github::Config {
        let token = token.map(Into::into);
        let pace = Pace {
            between_writes: Duration::ZERO,
            after_notice: Duration::ZERO,
            before_retry: Duration::ZERO,
            wait_max: Duration::from_secs(5),
        };
        let config = forge::github::Config::for_api(&self.fake.api_url(), token).unwrap();
        forge::github::Config { plain_http: PlainHttp::Allowed, pace, ..config }
    }

    pub(crate) fn remote(&self, owner: &str, name: &str) -> Remote {
        let (scheme, host) = ("http".to_owned(), self.fake.host());
        Remote::Hosted(Hosted { scheme, host, owner: owner.to_owned(), name: name.to_owned() })
    }
}

/// GitHub, as far as the strict fake goes.
pub(crate) async fn github() -> World {
    let site = GitHub::start().await;
    World {
        forge: site.forge(Some(TOKEN)),
        remote: site.remote("o", "n"),
        elsewhere: site.remote("o", "none"),
        token: Some(TOKEN),
        site: Site::GitHub(site),
    }
}

/// The local forge.
pub(crate) fn local() -> World {
    let shelf = Arc::new(MemoryShelf::default());
    for branch in ["trunk", "topic", "other"] {
        shelf.push(branch);
    }
    let page_url = |path: &Path, number: u64| format!("file://{}/pull/{number}", path.display());
    let config = forge::local::Config { shelf: shelf.clone(), page_url: Arc::new(page_url) };
    World {
        forge: forge::open(&Config::Local(config)).unwrap(),
        remote: Remote::Local(PathBuf::from("/o/n")),
        elsewhere: Remote::Local(PathBuf::from("/o/none")),
        token: None,
        site: Site::Local(shelf),
    }
}

/// A pull request of the tests' session.
pub(crate) fn wanted(remote: &Remote, head: &str) -> NewPullRequest {
    NewPullRequest {
        remote: remote.clone(),
        head: branch(head),
        base: branch("trunk"),
        title: "Fix the sum".to_owned(),
        body: format!("Because it was wrong.\n\n{MARKER}"),
        draft: false,
        marker: MARKER.to_owned(),
    }
}

pub(crate) fn branch(name: &str) -> Branch {
    name.parse().unwrap()
}

/// One repository at `/o/n` and its pull requests.
#[derive(Default)]
struct MemoryShelf {
    state: Mutex<Shelved>,
}

#[derive(Default)]
struct Shelved {
    commits: u64,
    branches: BTreeMap<Branch, Oid>,
    kept: Vec<KeptPullRequest>,
}

impl MemoryShelf {
    fn push(&self, name: &str) -> Oid {
        let mut state = self.state.lock().unwrap();
        state.commits += 1;
        let commit: Oid = format!("{:040x}", state.commits).parse().unwrap();
        state.branches.insert(branch(name), commit.clone());
        commit
    }

    fn of(&self, repository: &Path) -> Result<std::sync::MutexGuard<'_, Shelved>, LocalError> {
        if repository == Path::new("/o/n") {
            Ok(self.state.lock().unwrap())
        } else {
            Err(LocalError::Missing(repository.to_owned()))
        }
    }
}

#[async_trait]
impl Shelf for MemoryShelf {
    async fn default_branch(&self, repository: &Path) -> Result<Option<Branch>, LocalError> {
        self.of(repository).map(|_| Some(branch("trunk")))
    }

    async fn branch_head(&self, repository: &Path, branch: &Branch) -> Result<Option<Oid>, LocalError> {
        Ok(self.of(repository)?.branches.get(branch).cloned())
    }

    async fn kept(&self, repository: &Path) -> Result<Vec<KeptPullRequest>, LocalError> {
        let kept = self.of(repository)?.kept.clone();
        // Whoever looks is overtaken by everybody else before they act.
        tokio::task::yield_now().await;
        Ok(kept)
    }

    async fn add(&self, new: &KeptPullRequest) -> Result<Added, LocalError> {
        let mut state = self.of(&new.repository)?;
        if state.kept.iter().any(|kept| kept.number == new.number) {
            return Ok(Added::NumberTaken);
        }
        state.kept.push(new.clone());
        Ok(Added::Kept)
    }

    async fn replace(&self, new: &KeptPullRequest) -> Result<(), LocalError> {
        let mut state = self.of(&new.repository)?;
        state.kept.retain(|kept| kept.number != new.number);
        state.kept.push(new.clone());
        Ok(())
    }
}
