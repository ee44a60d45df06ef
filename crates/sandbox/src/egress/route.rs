//! How a host's name becomes a connection: resolved once, on this machine, and only a checked address is dialled.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::{Place, place};
use super::connect::PORT;
use super::upstream::{self, Upstream};
use super::{Host, Refusal};

/// Resolvers give up after some seconds themselves.
const RESOLVE_MAX: Duration = Duration::from_secs(10);
/// A server that takes longer for its first packet serves nobody.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Of a name's addresses so many are tried.
const TRIES_MAX: usize = 4;

/// How hosts are reached.
#[derive(Clone)]
pub enum Route {
    /// By their addresses.
    Direct {
        /// Who knows the addresses.
        resolver: Arc<dyn Resolve>,
        /// Hosts that the operator allows to lie on private and special addresses.
        private: BTreeSet<Host>,
    },
    /// Through the operator's own proxy, which resolves names and guards its network itself.
    Upstream(Upstream),
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { private, .. } => write!(f, "Direct(private: {private:?})"),
            Self::Upstream(upstream) => write!(f, "{upstream:?}"),
        }
    }
}

/// Who knows the addresses of hosts.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses at which `host` is to be dialled.
    ///
    /// # Errors
    /// When the name is not known, or nobody answers.
    async fn addresses(&self, host: &Host) -> io::Result<Vec<SocketAddr>>;
}

/// This machine's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl Resolve for System {
    async fn addresses(&self, host: &Host) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host.as_str(), PORT)).await?.collect())
    }
}

/// Connects to `host`, or says why not.
pub(super) async fn dial(route: &Route, host: &Host) -> Result<TcpStream, Refusal> {
    match route {
        Route::Direct { resolver, private } => {
            let found = timeout(RESOLVE_MAX, resolver.addresses(host)).await;
            let found = found.ok().and_then(Result::ok).filter(|found| !found.is_empty());
            let allowed = allowed(&found.ok_or(Refusal::Unknown)?, private.contains(host));
            if allowed.is_empty() { Err(Refusal::Special) } else { first_to_answer(&allowed).await }
        }
        Route::Upstream(upstream) => upstream::dial(upstream, host).await,
    }
}

/// Those of a host's addresses that may be dialled.
fn allowed(found: &[SocketAddr], is_private: bool) -> Vec<SocketAddr> {
    let may = |address: &&SocketAddr| match place(address.ip()) {
        Place::Internet => true,
        Place::Special => is_private,
        Place::Never => false,
    };
    found.iter().filter(may).copied().take(TRIES_MAX).collect()
}

async fn first_to_answer(addresses: &[SocketAddr]) -> Result<TcpStream, Refusal> {
    for address in addresses {
        if let Ok(Ok(connected)) = timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            // Nothing on the way may have made another one of it.
            let is_it = connected.peer_addr().is_ok_and(|peer| peer == *address);
            // Tools speak in small pieces and wait for the answers.
            if is_it && connected.set_nodelay(true).is_ok() {
                return Ok(connected);
            }
        }
    }
    Err(Refusal::Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_addresses_only_those_on_the_internet_are_dialled() {
        let addresses =
            ["127.0.0.1:443", "1.1.1.1:443", "[fd00::1]:443", "[2606:4700::1]:443", "169.254.169.254:443"];
        let found = addresses.map(|address| address.parse().unwrap());
        assert_eq!(allowed(&found, false), [found[1], found[3]]);
        assert_eq!(allowed(&found, true), found[..4]);
    }
}
