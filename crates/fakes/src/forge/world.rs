//! What the stand-in knows: repositories, pull requests, tokens, and what is to go wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{Timestamp, Unit};
use serde_json::Value;
use tokio_util::task::TaskTracker;

/// So many of the last calls are remembered.
const EXCHANGES_MAX: usize = 1000;
/// Repositories are counted from here: small numbers would look like pull requests in a test's output.
const FIRST_REPOSITORY: u64 = 1000;

/// A repository to make.
#[derive(Debug, Clone)]
pub struct NewRepository {
    /// The account.
    pub owner: String,
    /// The name.
    pub name: String,
    /// Who may read it.
    pub visibility: Visibility,
    /// The default branch; otherwise the one that the seed is on, or `main`.
    pub default_branch: Option<String>,
}

/// Who may read a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Tokens that reach it; for everybody else it is not there.
    Private,
}

/// What a repository holds at first.
#[derive(Debug, Clone)]
pub enum Seed {
    /// Nothing: not even a branch.
    Empty,
    /// One commit with these files: path and content.
    Files(Vec<(String, String)>),
    /// The branches of a repository, or one commit with the files of a plain folder.
    Folder(PathBuf),
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Token {
    /// Whose it is.
    pub login: String,
    /// What it may do where it reaches.
    pub access: Access,
    /// Where it reaches.
    pub reach: Reach,
    /// The page where it is to be authorised first, if single sign-on is asked for.
    pub sso_url: Option<String>,
}

/// What a token may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read.
    Read,
    /// Push: the permission `contents=write`.
    Contents,
    /// Open and change pull requests: `pull_requests=write`.
    PullRequests,
    /// Push changes of workflow files too: `workflows=write`.
    Workflows,
}

/// Where a token reaches.
#[derive(Debug, Clone)]
pub enum Reach {
    /// Every repository.
    Everything,
    /// These, as `OWNER/NAME`; public ones can be read besides.
    Only(Vec<String>),
}

/// What can happen to a repository.
#[derive(Debug, Clone)]
pub enum Bend {
    /// Its owner archives it.
    Archived,
    /// GitHub disables it.
    Disabled,
    /// Its plan has no draft pull requests.
    DraftsRefused,
    /// A branch is protected against pushes.
    Protected(String),
    /// It gets another name; the old one redirects.
    Renamed {
        /// The new account.
        owner: String,
        /// The new name.
        name: String,
    },
    /// Somebody closes a pull request.
    Closed(u64),
}

/// An answer that takes the place of the real one.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which calls it meets.
    pub meets: Meets,
    /// The HTTP status.
    pub status: u16,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The `message` of the body.
    pub message: String,
}

/// Which calls a [`Fault`] meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meets {
    /// Every call; it is not carried out.
    Calls,
    /// Calls that write; they are not carried out.
    Writes,
    /// The answers of calls that write; they are carried out.
    WrittenAnswers,
}

/// Which shape answers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// `2022-11-28`.
    V2022,
    /// `2026-03-10`: without `assignee`, `merge_commit_sha` and `rate`.
    V2026,
}

/// A call of the API with its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The call as GitHub's description names it: `GET /repos/{owner}/{repo}`; empty for none that we know.
    pub call: &'static str,
    /// The path that was asked for, with its query.
    pub path: String,
    /// The request's headers without the credential.
    pub headers: BTreeMap<String, String>,
    /// The request's body, when it was JSON.
    pub request: Option<Value>,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer.
    pub answer: Value,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its description.
    pub body: Option<String>,
    /// The branch to merge.
    pub head: String,
    /// The commit at its head.
    pub head_sha: String,
    /// The branch to merge into.
    pub base: String,
    /// The commit there when it was opened.
    pub base_sha: String,
    /// Whether it is open.
    pub open: bool,
    /// Whether it was merged.
    pub merged: bool,
    /// Whether it is a draft.
    pub draft: bool,
    /// Whether maintainers may push to its head.
    pub maintainer_can_modify: bool,
    /// Who opened it.
    pub author: String,
    /// When it was opened.
    pub created_at: String,
    /// When it was changed.
    pub updated_at: String,
    /// When it was closed.
    pub closed_at: Option<String>,
}

/// A repository as the stand-in knows it.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) visibility: Visibility,
    pub(super) default_branch: String,
    pub(super) archived: bool,
    pub(super) disabled: bool,
    pub(super) drafts_refused: bool,
    pub(super) protected: BTreeSet<String>,
    pub(super) pulls: Vec<PullRequest>,
    pub(super) created_at: String,
}

impl Repository {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// A repository that was asked for by name.
pub(super) enum Found {
    /// It has this name.
    Here(u64),
    /// It had this name.
    Moved(u64),
    /// There is none.
    Nothing,
}

/// Everything. Locks are held for moments only, never while git runs.
pub(super) struct World {
    /// The address that answers name: `http://HOST:PORT`.
    pub(super) base: String,
    pub(super) home: PathBuf,
    /// Uploads under way.
    pub(super) tasks: TaskTracker,
    state: Mutex<State>,
}

struct State {
    repositories: BTreeMap<u64, Repository>,
    /// Names in lower case, also those of the past.
    names: BTreeMap<String, u64>,
    tokens: BTreeMap<String, Token>,
    faults: VecDeque<Fault>,
    answers_to_lose: usize,
    version: ApiVersion,
    exchanges: VecDeque<Exchange>,
    calls: u64,
}

impl World {
    pub(super) fn new(base: String, home: PathBuf) -> Self {
        let state = State {
            repositories: BTreeMap::new(),
            names: BTreeMap::new(),
            tokens: BTreeMap::new(),
            faults: VecDeque::new(),
            answers_to_lose: 0,
            version: ApiVersion::V2022,
            exchanges: VecDeque::new(),
            calls: 0,
        };
        Self { base, home, tasks: TaskTracker::new(), state: Mutex::new(state) }
    }

    pub(super) fn api(&self) -> String {
        format!("{}/api/v3", self.base)
    }

    /// Where a repository lies: by number, so that a rename moves nothing.
    pub(super) fn git_dir(&self, id: u64) -> PathBuf {
        self.home.join(format!("{id}.git"))
    }

    /// A number for a new repository, unless the name is taken.
    pub(super) fn reserve(&self, full_name: &str) -> Option<u64> {
        let mut state = self.lock();
        let name = full_name.to_ascii_lowercase();
        if state.names.contains_key(&name) {
            return None;
        }
        let id = FIRST_REPOSITORY + state.names.len() as u64;
        state.names.insert(name, id);
        Some(id)
    }

    pub(super) fn add(&self, id: u64, new: &NewRepository, default_branch: String) {
        let repository = Repository {
            id,
            owner: new.owner.clone(),
            name: new.name.clone(),
            visibility: new.visibility,
            default_branch,
            archived: false,
            disabled: false,
            drafts_refused: false,
            protected: BTreeSet::new(),
            pulls: Vec::new(),
            created_at: now(),
        };
        self.lock().repositories.insert(id, repository);
    }

    pub(super) fn id(&self, full_name: &str) -> Option<u64> {
        self.lock().names.get(&full_name.to_ascii_lowercase()).copied()
    }

    pub(super) fn find(&self, owner: &str, name: &str) -> Found {
        let asked = format!("{owner}/{name}").to_ascii_lowercase();
        let state = self.lock();
        let Some(id) = state.names.get(&asked) else { return Found::Nothing };
        match state.repositories.get(id) {
            Some(repository) if repository.full_name().to_ascii_lowercase() == asked => Found::Here(*id),
            Some(_) => Found::Moved(*id),
            None => Found::Nothing,
        }
    }

    pub(super) fn repository(&self, id: u64) -> Option<Repository> {
        self.lock().repositories.get(&id).cloned()
    }

    /// Changes a repository in one step.
    pub(super) fn edit<T>(&self, id: u64, change: impl FnOnce(&mut Repository) -> T) -> Option<T> {
        self.lock().repositories.get_mut(&id).map(change)
    }

    pub(super) fn allow(&self, secret: &str, token: Token) {
        self.lock().tokens.insert(secret.to_owned(), token);
    }

    pub(super) fn token(&self, secret: &str) -> Option<Token> {
        self.lock().tokens.get(secret).cloned()
    }

    pub(super) fn bend(&self, id: u64, bend: &Bend) -> std::io::Result<()> {
        if let Bend::Renamed { owner, name } = bend {
            self.lock().names.insert(format!("{owner}/{name}").to_ascii_lowercase(), id);
        }
        let protected = self.edit(id, |repository| {
            match bend {
                Bend::Archived => repository.archived = true,
                Bend::Disabled => repository.disabled = true,
                Bend::DraftsRefused => repository.drafts_refused = true,
                Bend::Protected(branch) => drop(repository.protected.insert(branch.clone())),
                Bend::Renamed { owner, name } => {
                    repository.owner.clone_from(owner);
                    repository.name.clone_from(name);
                }
                Bend::Closed(number) => {
                    for pull in repository.pulls.iter_mut().filter(|pull| pull.number == *number) {
                        pull.open = false;
                        pull.closed_at = Some(now());
                    }
                }
            }
            repository.protected.iter().map(|branch| format!("{branch}\n")).collect::<String>()
        });
        // The hook in the repository reads them there.
        std::fs::write(self.git_dir(id).join(super::git::PROTECTED_FILE), protected.unwrap_or_default())
    }

    pub(super) fn fail_next(&self, times: usize, fault: &Fault) {
        self.lock().faults.extend(std::iter::repeat_n(fault, times).cloned());
    }

    /// The fault that is next, if it meets this call.
    pub(super) fn next_fault(&self, write: bool) -> Option<Fault> {
        let next = |fault: &mut Fault| write || fault.meets == Meets::Calls;
        self.lock().faults.pop_front_if(next)
    }

    pub(super) fn lose_answers(&self, times: usize) {
        self.lock().answers_to_lose += times;
    }

    /// Whether this answer is one to lose.
    pub(super) fn loses_answer(&self) -> bool {
        let mut state = self.lock();
        let lost = state.answers_to_lose > 0;
        state.answers_to_lose = state.answers_to_lose.saturating_sub(1);
        lost
    }

    pub(super) fn answer_as(&self, version: ApiVersion) {
        self.lock().version = version;
    }

    pub(super) fn version(&self) -> ApiVersion {
        self.lock().version
    }

    /// Counts a call, for the headers that say how many are left.
    pub(super) fn count_call(&self) -> u64 {
        let mut state = self.lock();
        state.calls += 1;
        state.calls
    }

    pub(super) fn remember(&self, exchange: Exchange) {
        let mut state = self.lock();
        if state.exchanges.len() == EXCHANGES_MAX {
            state.exchanges.pop_front();
        }
        state.exchanges.push_back(exchange);
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time as GitHub writes it.
pub(super) fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}
