//! All that lending credentials needs for one session: an authority towards the inside, and TLS towards registries.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;

use super::Config;
use super::authority::Authority;

/// What speaks TLS on both sides.
pub(super) struct Lending {
    pub(super) authority: Authority,
    pub(super) outside: Arc<ClientConfig>,
}

impl fmt::Debug for Lending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lending")
    }
}

impl Lending {
    /// For the credentials of `config`; nothing when there are none.
    pub(super) fn new(config: &Config) -> io::Result<Option<Self>> {
        if config.lent.is_empty() {
            return Ok(None);
        }
        let hosts = config.lent.iter().map(|lent| &lent.host).filter(|host| config.hosts.contains(host));
        let authority = Authority::new(hosts).map_err(io::Error::other)?;
        let outside = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(config.trust.roots())
            .with_no_client_auth();
        Ok(Some(Self { authority, outside: Arc::new(outside) }))
    }
}
