//! Who may call.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::App;
use crate::error::{Code, Problem};
use crate::rate::Caller;

/// Who may call: whoever knows the token or, when there is none, programs on this machine.
#[derive(Debug)]
pub(crate) struct Access {
    /// The one token, if there is one.
    pub(crate) token: Option<SecretString>,
    /// The origins of web pages that may call.
    pub(crate) origins: Vec<String>,
}

/// Lets a request through to routes that not everybody may call, with its [`Caller`].
///
/// # Errors
/// 401 and 403.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let caller = app.access.admit(request.headers(), request.uri(), peer)?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

impl Access {
    fn admit(&self, headers: &HeaderMap, uri: &Uri, peer: Option<IpAddr>) -> Result<Caller, Problem> {
        let Some(token) = &self.token else { return self.admit_local(headers, uri, peer) };
        let detail = match presented(headers) {
            None => "send the service's token as `Authorization: Bearer …` or `X-API-Key`",
            // Takes the same time wherever the first difference is.
            Some(sent) if bool::from(sent.as_bytes().ct_eq(token.expose_secret().as_bytes())) => {
                return Ok(Caller::Token);
            }
            Some(_) => "this is not the service's token",
        };
        Err(Problem::new(Code::Unauthorized, detail))
    }

    /// Without a token only programs on this machine may call, and no web page that somebody opens here: a page can
    /// make its own host name point to 127.0.0.1 and would then talk to us as its own server.
    fn admit_local(&self, headers: &HeaderMap, uri: &Uri, peer: Option<IpAddr>) -> Result<Caller, Problem> {
        let refuse = |detail: &str| Err(Problem::new(Code::Forbidden, detail));
        let Some(peer) = peer.filter(|ip| ip.to_canonical().is_loopback()) else {
            return refuse("without BACKSPACE_API_TOKEN only this machine may call");
        };
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or(uri.authority().map(|a| a.as_str()));
        let Some(host) = host.filter(|host| is_local_name(host)) else {
            return refuse(
                "without BACKSPACE_API_TOKEN the service is called as localhost, 127.0.0.1 or [::1]",
            );
        };
        match headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
            Some(origin)
                if origin.strip_prefix("http://") != Some(host)
                    && !self.origins.iter().any(|o| o == origin) =>
            {
                refuse("this web page may not call; its origin is not in BACKSPACE_CORS_ORIGINS")
            }
            Some(_) | None => Ok(Caller::at(peer)),
        }
    }
}

/// The token that the caller sent.
fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    headers.get("x-api-key")?.to_str().ok()
}

/// Whether `host`, with or without a port, is a name of this machine that no name server can give away.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(token: Option<&str>, peer: &str, headers: &[(&'static str, &str)]) -> Result<Caller, Code> {
        let access =
            Access { token: token.map(SecretString::from), origins: vec!["https://page.example".to_owned()] };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        access
            .admit(&map, &Uri::from_static("/code"), Some(peer.parse().unwrap()))
            .map_err(|problem| problem.code)
    }

    #[test]
    fn with_a_token_only_those_who_send_it_may_call() {
        let token = Some("bks_right");
        let far = "203.0.113.9";
        assert_eq!(admit(token, far, &[("authorization", "Bearer bks_right")]), Ok(Caller::Token));
        assert_eq!(admit(token, far, &[("authorization", "bearer  bks_right")]), Ok(Caller::Token));
        assert_eq!(admit(token, far, &[("x-api-key", "bks_right")]), Ok(Caller::Token));
        for wrong in [
            "Bearer bks_wrong",
            "Bearer bks_righ",
            "Bearer bks_rightt",
            "Bearer ",
            "bks_right",
            "Basic bks_right",
        ] {
            assert_eq!(
                admit(token, "127.0.0.1", &[("authorization", wrong)]),
                Err(Code::Unauthorized),
                "{wrong}"
            );
        }
        assert_eq!(admit(token, "127.0.0.1", &[("host", "localhost")]), Err(Code::Unauthorized));
    }

    #[test]
    fn without_a_token_only_this_machine_by_its_own_name() {
        for host in ["localhost:8000", "LOCALHOST", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000"] {
            assert!(admit(None, "127.0.0.1", &[("host", host)]).is_ok(), "{host}");
        }
        assert!(admit(None, "::ffff:127.0.0.1", &[("host", "localhost")]).is_ok());
        assert_eq!(admit(None, "203.0.113.9", &[("host", "localhost")]), Err(Code::Forbidden));
        for host in ["evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""]
        {
            assert_eq!(admit(None, "127.0.0.1", &[("host", host)]), Err(Code::Forbidden), "{host}");
        }
        assert_eq!(admit(None, "127.0.0.1", &[]), Err(Code::Forbidden));
    }

    #[test]
    fn without_a_token_web_pages_must_be_ours_or_named() {
        let from = |origin| admit(None, "127.0.0.1", &[("host", "localhost:8000"), ("origin", origin)]);
        assert!(from("http://localhost:8000").is_ok());
        assert!(from("https://page.example").is_ok());
        for origin in ["http://evil.example", "null", "http://localhost:3000", "https://page.example.evil"] {
            assert_eq!(from(origin), Err(Code::Forbidden), "{origin}");
        }
    }
}
