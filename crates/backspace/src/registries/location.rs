//! The address of a registry, taken apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use sandbox::egress::{Below, Host, Lent};
use secrecy::SecretString;
use url::Url;

/// A registry's address.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) host: Host,
    /// The address without a user's name and password.
    pub(super) plain: String,
    /// The path in it.
    path: String,
    /// The value of `Authorization` for the name and password in it.
    basic: Option<SecretString>,
}

impl Location {
    /// Reads `https://[USER:PASSWORD@]HOST/PATH`, with cargo's `sparse+` before it or not.
    ///
    /// # Errors
    /// Why it cannot be reached from sandboxes.
    pub(super) fn parse(address: &str) -> Result<Self, String> {
        let (kind, address) = match address.strip_prefix("sparse+") {
            Some(rest) => ("sparse+", rest),
            None => ("", address),
        };
        let mut url = Url::parse(address).map_err(|error| error.to_string())?;
        if url.scheme() != "https" || url.port().is_some() {
            return Err("sandboxes reach https:// at port 443 only".to_owned());
        }
        let host = url.host_str().unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
        let basic = (!url.username().is_empty()).then(|| {
            let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            basic(&plain(url.username()), &plain(url.password().unwrap_or_default()))
        });
        // Neither fails for an address that has a host.
        let _ = (url.set_username(""), url.set_password(None));
        let path = url.path().to_owned();
        Ok(Self { host, plain: format!("{kind}{url}"), path, basic })
    }

    /// The credential in the address, for all that lies below `folder`.
    pub(super) fn lent(&self, folder: &str) -> Option<Lent> {
        self.lend(folder, self.basic.clone()?)
    }

    /// `authorization` for all that lies below `folder`.
    pub(super) fn lend(&self, folder: &str, authorization: SecretString) -> Option<Lent> {
        Some(Lent { host: self.host.clone(), below: Below::parse(folder).ok()?, authorization })
    }

    /// The path.
    pub(super) fn folder(&self) -> &str {
        &self.path
    }

    /// The path without its last part: package indexes keep the packages beside themselves.
    pub(super) fn parent(&self) -> &str {
        let path = self.path.trim_end_matches('/');
        path.rfind('/').map_or("/", |at| &path[..=at])
    }
}

/// The value of `Authorization` for a name and a password.
pub(super) fn basic(user: &str, password: &str) -> SecretString {
    SecretString::from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// An address that cannot be read may hold a password all the same.
pub(super) fn without_credentials(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, after)) if address.contains("://") => format!("…@{after}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn an_address_is_told_without_its_password() {
        let location = Location::parse("https://me:p%40ss@Pip.Example/a/simple/").unwrap();
        assert_eq!(location.plain, "https://pip.example/a/simple/");
        assert_eq!((location.folder(), location.parent()), ("/a/simple/", "/a/"));
        let lent = location.lent(location.parent()).unwrap();
        assert_eq!(lent.authorization.expose_secret(), format!("Basic {}", STANDARD.encode("me:p@ss")));
        assert_eq!(format!("{lent:?}"), "Lent(pip.example/a/)");
        let plain = Location::parse("sparse+https://crates.example:443/").unwrap();
        assert_eq!((plain.plain.as_str(), plain.parent()), ("sparse+https://crates.example/", "/"));
        assert!(plain.lent("/").is_none());
    }

    #[test]
    fn what_sandboxes_cannot_reach_is_told_without_its_password() {
        for address in [
            "http://a.example/",
            "https://a.example:8443/",
            "https://10.0.0.1/",
            "ssh://git@a.example/x",
            "x",
        ] {
            assert!(Location::parse(address).is_err(), "{address}");
        }
        assert_eq!(without_credentials("http://me:secret@a.example/"), "…@a.example/");
        assert_eq!(without_credentials("http://a.example/@scope"), "…@scope");
        assert_eq!(without_credentials("a@b"), "a@b");
    }
}
