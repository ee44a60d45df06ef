//! Reaches hosts through a proxy of the operator's, where there is no other way out of a network.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::PORT;
use super::{Host, Refusal};

/// A proxy connects to the host before it answers.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// An HTTP proxy.
#[derive(Clone)]
pub struct Upstream {
    /// `HOST:PORT`.
    address: String,
    /// The value of `Proxy-Authorization`.
    authorization: Option<SecretString>,
}

/// What is no address of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")]
pub struct NotAProxy;

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.address)
    }
}

impl Upstream {
    /// Reads `http://[USER:PASSWORD@]HOST:PORT`.
    ///
    /// # Errors
    /// [`NotAProxy`].
    pub fn parse(text: &str) -> Result<Self, NotAProxy> {
        let url = url::Url::parse(text).map_err(|_| NotAProxy)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let (Some(host), "http", true) = (url.host_str(), url.scheme(), bare) else { return Err(NotAProxy) };
        let port = url.port_or_known_default().ok_or(NotAProxy)?;
        let plain = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
        let authorization = (!url.username().is_empty()).then(|| {
            let pair = [plain(url.username()), plain(url.password().unwrap_or_default())].join(&b':');
            SecretString::from(format!("Basic {}", STANDARD.encode(pair)))
        });
        Ok(Self { address: format!("{host}:{port}"), authorization })
    }
}

/// Asks the proxy for a connection to `host`.
pub(super) async fn dial(upstream: &Upstream, host: &Host) -> Result<TcpStream, Refusal> {
    match timeout(ANSWER_MAX, ask(upstream, host)).await {
        Ok(Ok(Answer::Connected(connected))) => Ok(connected),
        Ok(Ok(Answer::Refused)) => Err(Refusal::Upstream),
        Ok(Err(_)) | Err(_) => Err(Refusal::Unreachable),
    }
}

enum Answer {
    Connected(TcpStream),
    Refused,
}

async fn ask(upstream: &Upstream, host: &Host) -> std::io::Result<Answer> {
    let mut proxy = TcpStream::connect(&upstream.address).await?;
    let mut request = format!("CONNECT {host}:{PORT} HTTP/1.1\r\nHost: {host}:{PORT}\r\n");
    if let Some(authorization) = &upstream.authorization {
        request.push_str(&format!("Proxy-Authorization: {}\r\n", authorization.expose_secret()));
    }
    request.push_str("\r\n");
    proxy.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte, since what follows the head is the host's. It is a few hundred bytes, once a connection.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Ok(Answer::Refused);
        }
        head.push(proxy.read_u8().await?);
    }
    let accepted = head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200");
    Ok(if accepted { Answer::Connected(proxy) } else { Answer::Refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_does_not_show_it() {
        let upstream = Upstream::parse("http://us%40er:p%3Ass@proxy.example:3128").unwrap();
        assert_eq!(format!("{upstream:?}"), "Upstream(proxy.example:3128)");
        let value = upstream.authorization.unwrap();
        assert_eq!(value.expose_secret(), format!("Basic {}", STANDARD.encode("us@er:p:ss")));
    }

    #[test]
    fn what_is_no_plain_proxy_is_refused() {
        assert_eq!(Upstream::parse("http://10.0.0.1").unwrap().address, "10.0.0.1:80");
        assert_eq!(Upstream::parse("http://[::1]:3128/").unwrap().address, "[::1]:3128");
        for text in
            ["proxy:3128", "https://proxy:3128", "socks5://proxy:1080", "http://proxy/x", "http://", ""]
        {
            assert!(Upstream::parse(text).is_err(), "{text}");
        }
    }
}
