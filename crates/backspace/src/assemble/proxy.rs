//! From settings to the operator's proxy, through which models and forges are reached by https.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::NoProxy;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::config::Settings;
use crate::output::Usage;

/// This machine is reached without any proxy, whatever the settings say.
const HERE: &str = "localhost,127.0.0.0/8,::1";

/// A proxy, and what is reached without it.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// Its address, perhaps with a user name and a password.
    url: SecretString,
    except: String,
}

impl Proxy {
    /// The proxy that the settings name; none where `NO_PROXY` is `*`.
    ///
    /// # Errors
    /// An address that is none, or a proxy of another kind. It may hold a password, so it is not repeated.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>> {
        let except = settings.list("NO_PROXY");
        match settings.text("HTTPS_PROXY") {
            Some(text) if !except.iter().any(|host| host == "*") => Self::at(text, except).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    fn at(text: &str, except: Vec<String>) -> Result<Self> {
        let url = parsed(text).ok_or_else(|| {
            Usage(
                "HTTPS_PROXY must be http://[USER:PASSWORD@]HOST[:PORT]; NO_PROXY=* reaches everything without it"
                    .to_owned(),
            )
        })?;
        let except = [HERE.to_owned()].into_iter().chain(except).collect::<Vec<_>>().join(",");
        Ok(Self { url: SecretString::from(String::from(url)), except })
    }

    /// As clients of HTTP take it.
    ///
    /// # Errors
    /// When they cannot.
    pub(crate) fn for_http(&self) -> Result<reqwest::Proxy> {
        let mut url = Url::parse(self.url.expose_secret()).context("the proxy has no address")?;
        let authorization = authorization(&url)?;
        // What a client says of itself must not hold the password.
        if authorization.is_some() {
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        let proxy = reqwest::Proxy::https(url).context("cannot use HTTPS_PROXY")?;
        let proxy = proxy.no_proxy(NoProxy::from_string(&self.except));
        Ok(match authorization {
            Some(authorization) => proxy.custom_http_auth(authorization),
            None => proxy,
        })
    }

    /// As git takes it.
    pub(crate) fn for_git(&self) -> repo::Proxy {
        repo::Proxy { url: self.url.clone(), except: self.except.clone() }
    }
}

/// The address of a proxy; one without a scheme speaks http, as other programs have it.
fn parsed(text: &str) -> Option<Url> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (url.scheme() == "http" && url.has_host() && bare).then_some(url)
}

/// The header that carries user name and password.
fn authorization(url: &Url) -> Result<Option<HeaderValue>> {
    if url.username().is_empty() {
        return Ok(None);
    }
    let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [plain(url.username()), plain(url.password().unwrap_or_default())].join(&b':');
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_never_shown() {
        for text in ["proxy.example:3128", "http://proxy.example:3128", "http://proxy.example:3128/"] {
            let proxy = Proxy::at(text, vec!["corp.example".to_owned(), "10.0.0.0/8".to_owned()]).unwrap();
            assert_eq!(proxy.url.expose_secret(), "http://proxy.example:3128/");
            assert_eq!(proxy.except, "localhost,127.0.0.0/8,::1,corp.example,10.0.0.0/8");
        }
        let proxy = Proxy::at("http://me:p%40ss@proxy.example:3128", Vec::new()).unwrap();
        let shown = format!("{proxy:?} {:?} {:?}", proxy.for_http().unwrap(), proxy.for_git());
        assert!(shown.contains("proxy.example"), "{shown}");
        for form in ["p%40ss", "p@ss", "bWU6cEBzcw=="] {
            assert!(!shown.contains(form), "{shown}");
        }
        let url = Url::parse(proxy.url.expose_secret()).unwrap();
        assert_eq!(authorization(&url).unwrap().unwrap(), "Basic bWU6cEBzcw==");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_repeated() {
        for text in
            ["socks5://me:secret@p:1", "https://me:secret@p:1", "http://me:secret@p:1/path", "http://", "a b"]
        {
            let error = Proxy::at(text, Vec::new()).unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY must be http://") && !error.contains("secret"), "{error}");
        }
    }
}
