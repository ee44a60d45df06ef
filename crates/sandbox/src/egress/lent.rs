//! A credential of the operator's that is lent to downloads: what it is for, and which requests have it.

use std::fmt;

use hyper::Uri;
use secrecy::SecretString;

use super::Host;

/// A credential that requests to a host get outside of the sandbox.
#[derive(Clone)]
pub struct Lent {
    /// The host.
    pub host: Host,
    /// Only paths below this one have it.
    pub below: Below,
    /// The value of `Authorization`.
    pub authorization: SecretString,
}

/// A folder of a host: an absolute path that ends with `/`, as it stands in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Below(String);

/// What is no such path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no plain path of a URL")]
pub struct NotAFolder;

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent({}{})", self.host, self.below.0)
    }
}

impl Below {
    /// Reads a path of a URL; a `/` at its end is added.
    ///
    /// # Errors
    /// [`NotAFolder`] for what servers read in more than one way.
    pub fn parse(path: &str) -> Result<Self, NotAFolder> {
        let path = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
        if is_plain(&path) { Ok(Self(path)) } else { Err(NotAFolder) }
    }

    /// Whether `uri` lies below it, however a server reads it.
    fn holds(&self, uri: &Uri) -> bool {
        // A proxy's form of a request names another host than the one that it came to.
        uri.scheme().is_none()
            && uri.authority().is_none()
            && is_plain(uri.path())
            && uri.path().starts_with(&self.0)
    }
}

/// The credential for a request to `uri`; nothing when it must not be made.
pub(super) fn credential_for<'a>(lent: &'a [Lent], host: &Host, uri: &Uri) -> Option<&'a SecretString> {
    let fitting = lent.iter().filter(|lent| lent.host == *host && lent.below.holds(uri));
    fitting.max_by_key(|lent| lent.below.0.len()).map(|lent| &lent.authorization)
}

/// Whether every server reads `path` as the same one: no `.` or `..` in any spelling, no second level of encoding, no
/// other sign that is taken for a slash. An encoded slash is plain: npm writes `@scope%2fname`.
fn is_plain(path: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(path).collect::<Vec<u8>>();
    let printable = |byte: &u8| (0x21..0x7f).contains(byte) || *byte >= 0x80 || *byte == b' ';
    let dots = |segment: &[u8]| {
        // What stands after a semicolon is dropped by servers in Java.
        let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        segment == b"." || segment == b".."
    };
    path.starts_with('/')
        && decoded.iter().all(|byte| printable(byte) && *byte != b'\\' && *byte != b'%')
        && !decoded.split(|byte| *byte == b'/').any(dots)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn host(name: &str) -> Host {
        name.parse().unwrap()
    }

    fn lent(name: &str, below: &str) -> Lent {
        let authorization = SecretString::from(below);
        Lent { host: host(name), below: Below::parse(below).unwrap(), authorization }
    }

    fn of(path: &str) -> Option<String> {
        let all = [lent("a.example", "/npm"), lent("a.example", "/npm/inner/"), lent("b.example", "/")];
        let found = credential_for(&all, &host("a.example"), &path.parse().unwrap());
        found.map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn what_lies_below_has_the_credential_and_the_nearest_one() {
        for path in ["/npm/", "/npm/x", "/npm/@scope%2fname", "/npm/x?y=../z", "/npm/a..b/.c/...", "/npm//x"]
        {
            assert_eq!(of(path).as_deref(), Some("/npm"), "{path}");
        }
        assert_eq!(of("/npm/inner/x").as_deref(), Some("/npm/inner/"));
    }

    #[test]
    fn what_a_server_could_read_as_another_place_has_none() {
        for path in [
            "/",
            "/npm",
            "/npmx/y",
            "/NPM/x",
            "/other/npm/x",
            "//npm/x",
            "/npm/../admin",
            "/npm/..",
            "/npm/./x",
            "/npm/%2e%2e/admin",
            "/npm/.%2E/admin",
            "/npm/..%2fadmin",
            "/npm/%2e%2e%2fadmin",
            "/npm/%252e%252e/admin",
            "/npm/..;/admin",
            "/npm/..;x=y/admin",
            "/npm/%2e%2e%3b/admin",
            "/npm/..%5cadmin",
            "/npm/%00/x",
            "/npm/%0d%0a/x",
            "http://a.example/npm/x",
            "http://b.example/npm/x",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn a_folder_must_be_plain_itself() {
        assert_eq!(Below::parse("/a"), Ok(Below("/a/".to_owned())));
        assert_eq!(Below::parse(""), Ok(Below("/".to_owned())));
        for path in ["a/", "/a/../b/", "/a%2e%2e/%2e%2e/"] {
            assert_eq!(Below::parse(path), Err(NotAFolder), "{path}");
        }
    }
}
