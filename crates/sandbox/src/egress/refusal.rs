//! Why something is not let out, in words for whoever reads the tool's complaint.

use hyper::StatusCode;

use super::{NotAHello, NotConnect};

/// Why something is not let out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// The request is not `CONNECT host:443`.
    #[error("{0}")]
    Request(NotConnect),
    /// The host is not on the list.
    #[error("this host is not on the list of what sandboxes may reach (BACKSPACE_EGRESS)")]
    NotListed,
    /// Nothing may be reached any more.
    #[error("only the commands that set a project up reach other hosts (BACKSPACE_EGRESS_FOR)")]
    Over,
    /// Its name leads nowhere.
    #[error("the host's name is not known")]
    Unknown,
    /// All its addresses lie where nothing is dialled.
    #[error(
        "the host lies on a private or special address; the operator may allow that (BACKSPACE_PRIVATE_HOSTS)"
    )]
    Special,
    /// Its certificate is not one that this machine trusts.
    #[error("this machine does not trust the host's certificate")]
    NotTrusted,
    /// It does not answer.
    #[error("the host does not answer")]
    Unreachable,
    /// The operator's own proxy does not let it through.
    #[error("the proxy that the operator named (BACKSPACE_EGRESS_PROXY) does not let it through")]
    Upstream,
    /// What follows is no greeting of TLS, or does not name a host.
    #[error("{0}")]
    Hello(NotAHello),
    /// The greeting names another host than the request.
    #[error("the TLS greeting names another host than the request")]
    OtherHost,
    /// The client did not say in time what it wants.
    #[error("nothing was asked for in time")]
    Silent,
    /// Too many connections, at once, a second, or in all.
    #[error("too many connections")]
    TooMany,
    /// What the session may send or receive is used up.
    #[error("what a session may send or receive is used up")]
    Spent,
    /// Nothing was moved on the connection for long.
    #[error("nothing was moved on the connection for long, so it was ended")]
    Idle,
    /// The connection was held for too long.
    #[error("the connection was held for longer than any may be, so it was ended")]
    TooLong,
    /// A request to a registry with the operator's credential that is not a plain download from it.
    #[error(
        "with the operator's credential only downloads (GET, HEAD) below the registry's own address are let through"
    )]
    NotADownload,
}

impl Refusal {
    /// The name in the events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::NotListed => "not_listed",
            Self::Over => "over",
            Self::Unknown => "unknown",
            Self::Special => "special",
            Self::NotTrusted => "not_trusted",
            Self::Unreachable => "unreachable",
            Self::Upstream => "upstream",
            Self::Hello(_) => "hello",
            Self::OtherHost => "other_host",
            Self::Silent => "silent",
            Self::TooMany => "too_many",
            Self::Spent => "spent",
            Self::Idle => "idle",
            Self::TooLong => "too_long",
            Self::NotADownload => "not_a_download",
        }
    }

    /// The status of the answer to a request.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Request(NotConnect::Malformed | NotConnect::Body) => StatusCode::BAD_REQUEST,
            Self::Request(NotConnect::Method) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Request(NotConnect::Port | NotConnect::Host(_))
            | Self::NotListed
            | Self::Over
            | Self::Special
            | Self::Hello(_)
            | Self::OtherHost
            | Self::Spent
            | Self::NotADownload => StatusCode::FORBIDDEN,
            Self::Unknown | Self::NotTrusted | Self::Unreachable | Self::Upstream => StatusCode::BAD_GATEWAY,
            Self::Silent | Self::Idle | Self::TooLong => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The text of the answer.
    pub(super) fn body(self) -> String {
        format!("backspace: {self}\n")
    }

    /// The whole answer to a request, as HTTP.
    pub(super) fn answer(self) -> Vec<u8> {
        let (status, body) = (self.status(), self.body());
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: \
             close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}
