//! GitHub and GitHub Enterprise, with a personal access token.

mod body;
mod pull_requests;
mod refusal;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use events::{Branch, Hosted, Oid, Remote};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{Credential, Error, Forge, NewPullRequest, PullRequest, Repository};
use wire::{Call, Wire};

/// The user name that GitHub expects beside a token.
const GIT_USER: &str = "x-access-token";
/// The API of github.com.
const PUBLIC_API: &str = "https://api.github.com";

/// Where GitHub is, and who we are there.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host of the repositories' addresses, with its port when that is not the scheme's own. The token is sent to
    /// this host and to the API, and nowhere else.
    pub host: String,
    /// The root of the REST API.
    pub api_url: String,
    /// A classic or fine-grained personal access token; without one, public repositories can be read.
    pub token: Option<SecretString>,
    /// Whether the token may travel without encryption.
    pub plain_http: PlainHttp,
    /// How patient to be.
    pub pace: Pace,
    /// The proxy through which the API is reached by https.
    pub proxy: Option<Box<reqwest::Proxy>>,
}

/// Whether the token may travel without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// `https` only.
    Refused,
    /// The operator named the host as one of theirs.
    Allowed,
}

/// How patient to be with GitHub, which blocks clients that write too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// At least this long between two writes.
    pub between_writes: Duration,
    /// At least this long after a write that notifies people.
    pub after_notice: Duration,
    /// Before a call that failed for no lasting reason is tried again; twice as long before the next try.
    pub before_retry: Duration,
    /// The longest that one call waits for limits to pass, all its waits together.
    pub wait_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            // GitHub's own advice: one second between writes. Octokit takes three after those that notify people.
            between_writes: Duration::from_secs(1),
            after_notice: Duration::from_secs(3),
            before_retry: Duration::from_secs(1),
            // A secondary limit passes in one minute or two; nobody waits for the hour of a primary one.
            wait_max: Duration::from_mins(3),
        }
    }
}

impl Config {
    /// GitHub at `host`: `github.com`, a tenant of `ghe.com`, or an Enterprise server.
    pub fn for_host(host: &str, token: Option<SecretString>) -> Self {
        let host = host.to_ascii_lowercase();
        let api_url = if host == "github.com" {
            PUBLIC_API.to_owned()
        } else if host.ends_with(".ghe.com") {
            format!("https://api.{host}")
        } else {
            format!("https://{host}/api/v3")
        };
        Self { host, api_url, token, plain_http: PlainHttp::Refused, pace: Pace::default(), proxy: None }
    }

    /// The GitHub whose REST API is at `api_url`, as in `GITHUB_API_URL`.
    ///
    /// # Errors
    /// When that is no URL.
    pub fn for_api(api_url: &str, token: Option<SecretString>) -> Result<Self, Error> {
        let url = api_root(api_url)?;
        let name = url.host_str().unwrap_or_default();
        let name = match name.strip_prefix("api.") {
            Some(web) if web == "github.com" || web.ends_with(".ghe.com") => web,
            Some(_) | None => name,
        };
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let api_url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { host, api_url, token, plain_http: PlainHttp::Refused, pace: Pace::default(), proxy: None })
    }
}

/// Opens GitHub; nothing is asked of it yet.
pub(crate) fn open(config: &Config) -> Result<Arc<dyn Forge>, Error> {
    let api = api_root(&config.api_url)?;
    match (api.scheme(), config.plain_http) {
        ("https", _) | ("http", PlainHttp::Allowed) => {}
        _ => {
            let why = "speaks plain http; add its host to BACKSPACE_PRIVATE_HOSTS to allow that";
            return Err(Error::Config(format!("the GitHub API at {api} {why}")));
        }
    }
    Ok(Arc::new(GitHub { wire: Wire::new(config, api)?, config: config.clone() }))
}

/// The root of an API as a URL without query, and without a credential that errors could show.
fn api_root(text: &str) -> Result<Url, Error> {
    let bad = || Error::Config("the GitHub API needs a URL such as https://HOST/api/v3".to_owned());
    let url = Url::parse(text).map_err(|_| bad())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if plain && url.fragment().is_none() && url.has_host() { Ok(url) } else { Err(bad()) }
}

struct GitHub {
    config: Config,
    wire: Wire,
}

/// What we read of a repository. Only what both API versions have.
#[derive(Deserialize)]
struct RepositoryAnswer {
    full_name: String,
    default_branch: String,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Deserialize, Default)]
struct Permissions {
    #[serde(default)]
    push: bool,
}

/// What we read of a ref.
#[derive(Deserialize)]
struct RefAnswer {
    object: RefObject,
}

#[derive(Deserialize)]
struct RefObject {
    sha: Oid,
}

#[async_trait]
impl Forge for GitHub {
    async fn repository(&self, remote: &Remote) -> Result<Repository, Error> {
        let hosted = self.of_this_host(remote)?;
        let doing = "asking for the repository";
        let answer = self.wire.call(&Call::get(doing, hosted, &[])).await?;
        let read: RepositoryAnswer = self.wire.read(doing, &answer)?;
        let strange =
            |message: &str| Error::Unavailable { doing, message: format!("the answer has {message}") };
        let (owner, name) =
            read.full_name.split_once('/').ok_or_else(|| strange("no name of a repository"))?;
        let renamed = Hosted { owner: owner.to_owned(), name: name.to_owned(), ..hosted.clone() };
        Ok(Repository {
            remote: Remote::Hosted(renamed),
            default_branch: read.default_branch.parse().map_err(|_| strange("an odd default branch"))?,
            can_push: read.permissions.push,
            read_only: read.archived || read.disabled,
        })
    }

    async fn credential(&self, remote: &Remote) -> Result<Option<Credential>, Error> {
        let hosted = self.of_this_host(remote)?;
        if hosted.scheme != "https" && self.config.plain_http == PlainHttp::Refused {
            let message = format!("{remote} speaks plain http, and the token does not travel so");
            return Err(Error::Refused { doing: "choosing the credential", message });
        }
        let token = self.config.token.clone();
        Ok(token.map(|password| Credential { user: GIT_USER.to_owned(), password }))
    }

    async fn branch_head(&self, remote: &Remote, branch: &Branch) -> Result<Option<Oid>, Error> {
        let hosted = self.of_this_host(remote)?;
        let doing = "asking for the head of a branch";
        let path: Vec<&str> = ["git", "ref", "heads"].into_iter().chain(branch.as_str().split('/')).collect();
        let answer = self.wire.call(&Call::get(doing, hosted, &path).expecting(&[404, 409])).await?;
        match answer.status {
            // The repository is there and has no commit yet.
            409 => Ok(None),
            // The branch or the repository is not there, and the answer does not say which.
            404 => self.wire.call(&Call::get(doing, hosted, &[])).await.map(|_| None),
            _ => Ok(Some(self.wire.read::<RefAnswer>(doing, &answer)?.object.sha)),
        }
    }

    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, Error> {
        pull_requests::open(&self.wire, self.of_this_host(&new.remote)?, new).await
    }

    async fn pull_request(&self, remote: &Remote, number: u64) -> Result<PullRequest, Error> {
        pull_requests::read(&self.wire, self.of_this_host(remote)?, number).await
    }

    fn compare_url(&self, remote: &Remote, base: &Branch, head: &Branch) -> Option<String> {
        let hosted = self.of_this_host(remote).ok()?;
        let mut url = Url::parse(&hosted.url()).ok()?;
        let range = format!("{base}...{head}");
        url.path_segments_mut().ok()?.push("compare").extend(range.split('/'));
        Some(url.into())
    }
}

impl GitHub {
    /// The repository, if it is one of the host that our token is for.
    fn of_this_host<'a>(&self, remote: &'a Remote) -> Result<&'a Hosted, Error> {
        let doing = "reading the address";
        let host = &self.config.host;
        match remote {
            Remote::Hosted(hosted) if hosted.host == *host => Ok(hosted),
            Remote::Hosted(_) | Remote::Local(_) => {
                Err(Error::Refused { doing, message: format!("{remote} is not a repository of {host}") })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_of_a_host_and_the_host_of_an_api() {
        for (host, api) in [
            ("github.com", "https://api.github.com"),
            ("acme.ghe.com", "https://api.acme.ghe.com"),
            ("git.acme.com", "https://git.acme.com/api/v3"),
            ("git.acme.com:8443", "https://git.acme.com:8443/api/v3"),
        ] {
            assert_eq!(Config::for_host(host, None).api_url, api);
            assert_eq!(Config::for_api(api, None).unwrap().host, host, "{api}");
        }
        assert!(Config::for_api("api.github.com", None).is_err());
        assert!(Config::for_api("https://user:secret@git.acme.com/", None).is_err());
    }

    #[test]
    fn plain_http_needs_a_word_of_the_operator() {
        let mut config = Config::for_api("http://127.0.0.1:9/api/v3", None).unwrap();
        assert!(matches!(open(&config), Err(Error::Config(_))));
        config.plain_http = PlainHttp::Allowed;
        assert!(open(&config).is_ok());
    }

    #[test]
    fn odd_branches_stay_one_address() {
        let github = open(&Config::for_host("github.com", None)).unwrap();
        let remote = Remote::Hosted(Hosted {
            scheme: "https".to_owned(),
            host: "github.com".to_owned(),
            owner: "o".to_owned(),
            name: "n".to_owned(),
        });
        let head = "backspace/a#b%c".parse().unwrap();
        let url = github.compare_url(&remote, &"main".parse().unwrap(), &head);
        assert_eq!(url.as_deref(), Some("https://github.com/o/n/compare/main...backspace/a%23b%25c"));
    }
}
