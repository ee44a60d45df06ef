//! One request to a provider over HTTP, and what it means when that fails.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Proxy, Response, StatusCode, Url, redirect};
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout, timeout_at};

use crate::stream::{chain, protocol, transient};
use crate::vendors::KeyHeader;
use crate::{Error, Served, refusal};

/// A provider that does not take a connection within this is down.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// What is read of an error's body, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// How long it is read, however it comes: its status has said the most, and whoever waits wants to go on.
const ERROR_BODY_MAX: Duration = Duration::from_secs(10);

/// An endpoint of a provider, with the key for it.
pub(crate) struct Endpoint {
    served: Served,
    url: Url,
    headers: HeaderMap,
    client: Client,
}

impl Endpoint {
    /// The endpoint at `path` below the address at which a model is served.
    pub(crate) fn new(served: &Served, path: &str) -> Result<Self, Error> {
        let (provider, key) = (served.provider(), served.key.expose_secret());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if !key.is_empty() {
            let (auth, scheme) = auth(served.manners.key_header);
            let mut value = HeaderValue::from_str(&format!("{scheme}{key}")).map_err(|_| {
                Error::Config(format!("the API key of {provider} has characters no header can carry"))
            })?;
            value.set_sensitive(true);
            headers.insert(auth, value);
        }
        let url = endpoint_url(served.base_url(), path)
            .map_err(|why| Error::Config(format!("the base URL of {provider} {why}")))?;
        Ok(Self { served: served.clone(), url, headers, client: client(None)? })
    }

    /// The same with one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Posts `body`; the answer is an event stream, or an error.
    pub(crate) async fn post(
        &self,
        body: Vec<u8>,
    ) -> Result<impl Stream<Item = Result<Bytes, reqwest::Error>> + use<>, Error> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let idle = self.served.manners.idle;
        let response = match timeout(idle, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.transient(&chain(&error.without_url()))),
            Err(_) => {
                return Err(self.transient(&format!("no answer for {} s (`idle_seconds`)", idle.as_secs())));
            }
        };
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        // Who leaves the kind out may have answered as asked: what comes shows it.
        let kind = response.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
        if let Some(kind) = kind.filter(|kind| !kind.starts_with("text/event-stream")) {
            let kind = self.told(kind);
            return Err(self.no_stream(&kind, response).await);
        }
        Ok(response.bytes_stream())
    }

    /// What an answer means that claims to be in order and is no event stream. Some gateways put errors there.
    async fn no_stream(&self, kind: &str, response: Response) -> Error {
        let body = self.read_error(response).await;
        refusal::in_body(&self.served, &body).unwrap_or_else(|| {
            protocol(self.served.provider(), format!("{kind:?} instead of an event stream"))
        })
    }

    /// What an answer other than 200 means.
    async fn refusal(&self, response: Response) -> Error {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = self.read_error(response).await;
        refusal::of_answer(&self.served, status, &headers, &body)
    }

    async fn read_error(&self, response: Response) -> String {
        let (mut body, end) = (Vec::new(), Instant::now() + ERROR_BODY_MAX);
        let mut chunks = response.bytes_stream();
        while let Ok(Some(Ok(chunk))) = timeout_at(end, chunks.next()).await {
            body.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY_BYTES_MAX - body.len())]);
            if body.len() >= ERROR_BODY_BYTES_MAX {
                break;
            }
        }
        String::from_utf8_lossy(&body).into_owned()
    }

    fn transient(&self, message: &str) -> Error {
        transient(self.served.provider(), self.told(message))
    }

    fn told(&self, text: &str) -> String {
        refusal::told(text, &self.served.key)
    }
}

/// The one pool of connections of this process: a session's first turn finds the line of another one's last.
pub(crate) fn client(proxy: Option<Proxy>) -> Result<Client, Error> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let mut client = Client::builder()
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .no_gzip()
        // A key must reach the host it was given for, and no other.
        .redirect(redirect::Policy::none())
        // Only the configuration reads the environment.
        .no_proxy()
        .user_agent(concat!("backspace/", env!("CARGO_PKG_VERSION")));
    if let Some(proxy) = proxy {
        client = client.proxy(proxy);
    }
    let client = client.build().map_err(|error| Error::Config(chain(&error)))?;
    Ok(CLIENT.get_or_init(|| client).clone())
}

/// The address `path` below `base_url`.
///
/// # Errors
/// Why it is no address that a key may be sent to; never tells the address itself, which may hold a password.
pub(crate) fn endpoint_url(base_url: &str, path: &str) -> Result<Url, &'static str> {
    let base = base_url.trim().trim_end_matches('/');
    let url = Url::parse(&format!("{base}{path}")).map_err(|_| "is no URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials; they belong into the key");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    Ok(url)
}

/// The header for a key, and what stands before the key in it.
fn auth(header: KeyHeader) -> (HeaderName, &'static str) {
    match header {
        KeyHeader::Bearer => (AUTHORIZATION, "Bearer "),
        KeyHeader::XApiKey => (HeaderName::from_static("x-api-key"), ""),
        KeyHeader::ApiKey => (HeaderName::from_static("api-key"), ""),
    }
}

#[cfg(test)]
mod tests;
