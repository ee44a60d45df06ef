//! Where a repository lives.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::Branch;

/// Longer addresses are refused.
const ADDRESS_BYTES_MAX: usize = 2048;

/// Where a repository lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remote {
    /// On a forge that is reached over HTTP.
    Hosted(Hosted),
    /// In a folder of this machine; the path is absolute.
    Local(PathBuf),
}

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hosted {
    /// `https`, or `http` for a host that the operator named in `BACKSPACE_PRIVATE_HOSTS`.
    pub scheme: String,
    /// The host in lower case, with its port when that is not the scheme's own.
    pub host: String,
    /// The account, organisation or group (`a/b` for nested groups).
    pub owner: String,
    /// The repository's name, without `.git`.
    pub name: String,
}

/// A [`Remote`] as a person wrote it, with the branch that the address named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The repository.
    pub remote: Remote,
    /// The branch of `…/tree/BRANCH`.
    pub base: Option<Branch>,
}

/// The hosts that the operator allows beyond public ones over `https`.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// `HOST` or `HOST:PORT`, lower case: may be private, loopback, numeric, or speak plain `http`.
    pub private: BTreeSet<String>,
}

/// Why an address is refused. The texts are meant for whoever wrote the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing, too much, or control characters.
    #[error("an address has 1 to {ADDRESS_BYTES_MAX} characters and no spaces or control characters")]
    Text,
    /// Not a URL.
    #[error("is not a URL such as https://github.com/OWNER/NAME")]
    Url,
    /// Neither `https` nor an allowed `http`.
    #[error("only https:// is taken (http:// for hosts in BACKSPACE_PRIVATE_HOSTS)")]
    Scheme,
    /// A user name or password in the URL.
    #[error("must not hold a user name, password or token; set GITHUB_TOKEN on the service instead")]
    Credentials,
    /// A host that is numeric, local or has no dot.
    #[error("the host is private or numeric; the operator may allow it in BACKSPACE_PRIVATE_HOSTS")]
    PrivateHost,
    /// A query or fragment.
    #[error("must not have a query or fragment")]
    Extra,
    /// Not `/OWNER/NAME`.
    #[error("the path must be /OWNER/NAME of letters, digits, `.`, `-`, `_`")]
    Path,
    /// `/tree/BRANCH` with a name that git refuses.
    #[error("the branch in the address: {0}")]
    Branch(#[source] crate::BranchError),
}

impl Remote {
    /// What a person would write: a URL, or a path.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// The folder, for a local repository.
    pub fn local_path(&self) -> Option<&Path> {
        match self {
            Self::Hosted(_) => None,
            Self::Local(path) => Some(path),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosted(hosted) => write!(f, "{}", hosted.url()),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Hosted {
    /// The address for people and for `git`; it never holds a credential.
    pub fn url(&self) -> String {
        format!("{}://{}/{}/{}", self.scheme, self.host, self.owner, self.name)
    }
}

impl Address {
    /// Reads `https://HOST/OWNER/NAME` in the spellings that people paste: with `.git`, a trailing slash, `www.`,
    /// `/tree/BRANCH`, as `git@HOST:OWNER/NAME`, or as `OWNER/NAME` (GitHub). The URL is rebuilt from its parts.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong with it, for its author.
    pub fn parse(text: &str, hosts: &Hosts) -> Result<Self, AddressError> {
        let text = text.trim();
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if text.is_empty() || text.len() > ADDRESS_BYTES_MAX || text.contains(odd) {
            return Err(AddressError::Text);
        }
        let text = spelled_out(text);
        // `https:x` and `https:///x` are `https://x` to this parser, and something else to others.
        let names_host = text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with(['/', '\\']));
        let url = Url::parse(&text).ok().filter(|_| names_host).ok_or(AddressError::Url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Extra);
        }
        let host = allowed_host(&url, hosts)?;
        let (owner, name, base) = split_path(url.path())?;
        let scheme = url.scheme().to_owned();
        Ok(Self { remote: Remote::Hosted(Hosted { scheme, host, owner, name }), base })
    }
}

/// `git@HOST:PATH` and `OWNER/NAME` as the `https` URL they mean.
fn spelled_out(text: &str) -> String {
    if let Some((host, path)) = text.strip_prefix("git@").and_then(|rest| rest.split_once(':')) {
        return format!("https://{host}/{path}");
    }
    let mut parts = text.split('/');
    let pair = parts.clone().count() == 2 && parts.all(|part| is_name(part) && !part.starts_with('-'));
    if pair { format!("https://github.com/{text}") } else { text.to_owned() }
}

/// The host with its port, if it may be reached.
fn allowed_host(url: &Url, hosts: &Hosts) -> Result<String, AddressError> {
    let host = url.host_str().ok_or(AddressError::Url)?.to_ascii_lowercase();
    // What is left is judged, not what was written: `www.router` must not become `router`.
    let host = host.strip_prefix("www.").unwrap_or(&host).to_owned();
    let with_port = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    if hosts.private.contains(&with_port) || hosts.private.contains(&host) {
        return if matches!(url.scheme(), "https" | "http") {
            Ok(with_port)
        } else {
            Err(AddressError::Scheme)
        };
    }
    if url.scheme() != "https" {
        return Err(AddressError::Scheme);
    }
    // `url` reads every numeric spelling (0x7f.1, 2130706433) as an address; what was stripped is read again.
    let Ok(Host::Domain(name)) = Host::parse(&host) else { return Err(AddressError::PrivateHost) };
    let local = [".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test", ".invalid"];
    if !name.contains('.')
        || name.ends_with('.')
        || local.iter().any(|end| name.ends_with(end))
        || url.port().is_some()
    {
        return Err(AddressError::PrivateHost);
    }
    Ok(with_port)
}

/// Owner, name, and the branch of `/tree/BRANCH`.
fn split_path(path: &str) -> Result<(String, String, Option<Branch>), AddressError> {
    let path = path.trim_matches('/');
    let (repository, branch) = match path.split_once("/tree/") {
        Some((repository, branch)) => (repository, Some(branch)),
        None => (path, None),
    };
    let (owner, name) = repository.rsplit_once('/').ok_or(AddressError::Path)?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    if !owner.split('/').chain([name]).all(is_name) {
        return Err(AddressError::Path);
    }
    let base = branch.map(str::parse).transpose().map_err(AddressError::Branch)?;
    Ok((owner.to_owned(), name.to_owned(), base))
}

/// Letters, digits, `.`, `-` and `_`, and neither an option nor a folder of its own meaning (`.github` is a name).
fn is_name(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !part.is_empty()
        && part.len() <= 100
        && part.bytes().all(allowed)
        && !part.starts_with('-')
        && !matches!(part, "." | "..")
        && !part.ends_with(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, AddressError> {
        let address = Address::parse(text, &Hosts::default())?;
        let base = address.base.map(|b| format!(" at {b}")).unwrap_or_default();
        Ok(format!("{}{base}", address.remote))
    }

    #[test]
    fn spellings_that_people_paste_mean_one_repository() {
        for text in [
            "https://github.com/o/n",
            "https://github.com/o/n.git",
            "https://www.github.com/o/n/",
            "git@github.com:o/n.git",
            "HTTPS://GitHub.com/o/n",
            "o/n",
        ] {
            assert!(parsed("https://github.com/o/.github").is_ok());
            assert_eq!(parsed(text).as_deref(), Ok("https://github.com/o/n"), "{text}");
        }
        assert_eq!(
            parsed("https://github.com/o/n/tree/fix/a").as_deref(),
            Ok("https://github.com/o/n at fix/a")
        );
    }

    #[test]
    fn hostile_addresses_are_refused_with_a_reason() {
        for (text, why) in [
            ("https://user:token@github.com/o/n", AddressError::Credentials),
            ("https://token@github.com/o/n", AddressError::Credentials),
            ("http://github.com/o/n", AddressError::Scheme),
            ("file:///etc/o/n", AddressError::Url),
            ("https:github.com/o/n", AddressError::Url),
            ("https:///github.com/o/n", AddressError::Url),
            ("ssh://git@github.com/o/n", AddressError::Credentials),
            ("ext::sh -c id", AddressError::Text),
            ("--upload-pack=x/y", AddressError::Url),
            ("https://127.0.0.1/o/n", AddressError::PrivateHost),
            ("https://0x7f.1/o/n", AddressError::PrivateHost),
            ("https://2130706433/o/n", AddressError::PrivateHost),
            ("https://[::1]/o/n", AddressError::PrivateHost),
            ("https://localhost/o/n", AddressError::PrivateHost),
            ("https://www.router/o/n", AddressError::PrivateHost),
            ("https://www.127.0.0.1/o/n", AddressError::Url),
            ("https://www.www.localhost/o/n", AddressError::PrivateHost),
            ("https://github.com:8443/o/n", AddressError::PrivateHost),
            ("https://github.com/o/n?x=1", AddressError::Extra),
            ("https://github.com/o/n#x", AddressError::Extra),
            ("https://github.com/o", AddressError::Path),
            ("https://github.com/o/.git", AddressError::Path),
            ("https://github.com/-o/n", AddressError::Path),
            ("https://github.com/o/n%0a", AddressError::Path),
            ("https://github.com/o\n/n", AddressError::Text),
            ("", AddressError::Text),
        ] {
            assert_eq!(parsed(text), Err(why), "{text:?}");
        }
        assert!(matches!(parsed("https://github.com/o/n/tree/-x"), Err(AddressError::Branch(_))));
    }

    #[test]
    fn the_operator_may_allow_a_host() {
        let hosts = Hosts { private: ["127.0.0.1:8080".to_owned()].into() };
        let address = Address::parse("http://127.0.0.1:8080/o/n", &hosts).unwrap();
        assert_eq!(address.remote.to_text(), "http://127.0.0.1:8080/o/n");
        assert_eq!(Address::parse("http://127.0.0.1:9/o/n", &hosts), Err(AddressError::Scheme));
        assert_eq!(Address::parse("ftp://127.0.0.1:8080/o/n", &hosts), Err(AddressError::Scheme));
    }
}
