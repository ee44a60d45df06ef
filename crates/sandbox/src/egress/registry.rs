//! Downloads from a registry that needs a credential: TLS ends here, the credential is added, and goes on outside.

use std::convert::Infallible;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Empty, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::task::AbortOnDropHandle;

use super::connect::PORT;
use super::lent::credential_for;
use super::pace::Direction;
use super::rewound::Rewound;
use super::route::dial;
use super::tally::Verdict;
use super::tunnel::{Cut, Meter};
use super::{Host, Refusal, Shared};

/// How long either side may take to agree on TLS.
const GREET_MAX: Duration = Duration::from_secs(20);
/// Headers of a request or of an answer.
const HEADERS_MAX: usize = 100;

/// The headers of a download that reach a registry. By others, such as `X-Original-URL` or `X-HTTP-Method-Override`,
/// servers and what stands before them take a request for another one than was looked at, and it has the credential.
const PASSED: [HeaderName; 13] = [
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::PRAGMA,
    header::RANGE,
    header::USER_AGENT,
];
/// Beginnings and names of headers of the tools' own: npm says what it does (npm-registry-fetch, pacote), cargo which
/// protocol of an index it speaks.
const PASSED_OF_TOOLS: [&str; 3] = ["npm-", "pacote-", "cargo-protocol"];

/// What goes back inside: the registry's answer, or a word of ours.
type Answer = Response<Either<Counted, Full<Bytes>>>;

/// Serves one connection of a program inside, that has greeted `host`, with downloads over `server`.
pub(super) async fn serve(
    shared: &Shared,
    client: Rewound<UnixStream>,
    host: &Host,
    server: TcpStream,
    meter: &Arc<Meter>,
) -> Result<(), Cut> {
    let config = shared.lending.as_ref().and_then(|lending| lending.authority.server(host));
    let acceptor = TlsAcceptor::from(Arc::clone(config.ok_or(Cut::Broken)?));
    let inside =
        timeout(GREET_MAX, acceptor.accept(client)).await.map_err(drop).and_then(|it| it.map_err(drop));
    let inside = inside.map_err(|()| Cut::Broken)?;
    let registry = Registry { shared, host, meter, origin: Mutex::new(Origin::Dialled(server)) };
    let service = service_fn(|request| async { Ok::<_, Infallible>(registry.answer(request).await) });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(inside), service);
    served.await.map_err(|error| cut(&error))
}

/// Why a connection with a program inside ended: by what [`Counted`] said, or because one side is gone.
fn cut(error: &hyper::Error) -> Cut {
    error.source().and_then(|cause| cause.downcast_ref().copied()).unwrap_or(Cut::Broken)
}

/// The registry, as one connection sees it.
struct Registry<'a> {
    shared: &'a Shared,
    host: &'a Host,
    meter: &'a Arc<Meter>,
    origin: Mutex<Origin>,
}

/// The connection to the registry.
enum Origin {
    /// Not greeted yet.
    Dialled(TcpStream),
    /// Ready for the next request.
    Open(
        SendRequest<Empty<Bytes>>,
        #[expect(dead_code, reason = "drives the connection while it lives")] Driving,
    ),
    /// The registry hung up, or was never reached.
    Gone,
}

/// Ends with its owner.
type Driving = AbortOnDropHandle<()>;

impl Registry<'_> {
    /// Passes a download on, with the credential; anything else is refused.
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let credential = credential_for(&self.shared.config.lent, self.host, request.uri());
        let is_download =
            matches!(*request.method(), Method::GET | Method::HEAD) && request.body().is_end_stream();
        let answered = match credential.filter(|_| is_download) {
            Some(credential) => self.download(&request, credential).await,
            None => Err(Refusal::NotADownload),
        };
        answered.unwrap_or_else(|refusal| {
            self.shared.tally.count(self.host.as_str(), Some(PORT), Verdict::Refused(refusal));
            refused(refusal)
        })
    }

    async fn download(
        &self,
        request: &Request<Incoming>,
        credential: &SecretString,
    ) -> Result<Answer, Refusal> {
        let onward = onward(request, self.host, credential).ok_or(Refusal::NotADownload)?;
        self.meter.count(Direction::Sent, sent_bytes(&onward)).map_err(refusal_of)?;
        let answer = self.sent(onward).await?;
        let (mut head, body) = answer.into_parts();
        keep_plain(&mut head.headers);
        head.headers.remove(header::SET_COOKIE);
        Ok(Response::from_parts(head, Either::Left(Counted { body, meter: Arc::clone(self.meter) })))
    }

    /// The registry's answer. A connection that was kept may be hung up on at any moment, so it is made again once.
    async fn sent(&self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Refusal> {
        let mut origin = self.origin.lock().await;
        if let Origin::Open(kept, _) = &mut *origin
            && kept.ready().await.is_ok()
            && let Ok(answer) = kept.send_request(request.clone()).await
        {
            return Ok(answer);
        }
        let server = match std::mem::replace(&mut *origin, Origin::Gone) {
            Origin::Dialled(server) => server,
            Origin::Open(..) | Origin::Gone => dial(&self.shared.config.route, self.host).await?,
        };
        let (mut fresh, driving) = self.greet(server).await?;
        let answer = fresh.send_request(request).await.map_err(|_| Refusal::Unreachable)?;
        *origin = Origin::Open(fresh, driving);
        Ok(answer)
    }

    /// TLS with the registry, whose certificate must be one that this machine trusts.
    async fn greet(&self, server: TcpStream) -> Result<(SendRequest<Empty<Bytes>>, Driving), Refusal> {
        let lending = self.shared.lending.as_ref().ok_or(Refusal::Unreachable)?;
        let name = ServerName::try_from(self.host.to_string()).map_err(|_| Refusal::Unreachable)?;
        let connector = TlsConnector::from(Arc::clone(&lending.outside));
        let greeted = timeout(GREET_MAX, connector.connect(name, server)).await;
        let greeted = greeted.map_err(|_| Refusal::Unreachable)?.map_err(|_| Refusal::NotTrusted)?;
        let shaken = hyper::client::conn::http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(greeted))
            .await;
        let (sender, connection) = shaken.map_err(|_| Refusal::Unreachable)?;
        let driving = tokio::spawn(async move { drop(connection.await) });
        Ok((sender, AbortOnDropHandle::new(driving)))
    }
}

/// The request as the registry gets it: to its own name, with the credential, with nothing that could make it another.
fn onward(
    request: &Request<Incoming>,
    host: &Host,
    credential: &SecretString,
) -> Option<Request<Empty<Bytes>>> {
    let uri: Uri = request.uri().path_and_query()?.as_str().parse().ok()?;
    let mut onward = Request::new(Empty::new());
    *onward.method_mut() = request.method().clone();
    *onward.uri_mut() = uri;
    let mut plain = request.headers().clone();
    // What the message names as of this connection stays here, whatever it is.
    keep_plain(&mut plain);
    let headers = onward.headers_mut();
    for (name, value) in plain.iter().filter(|(name, _)| passes(name)) {
        headers.append(name, value.clone());
    }
    let mut credential = HeaderValue::from_str(credential.expose_secret()).ok()?;
    credential.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, credential);
    headers.insert(header::HOST, HeaderValue::from_str(host.as_str()).ok()?);
    Some(onward)
}

fn passes(name: &HeaderName) -> bool {
    PASSED.contains(name) || PASSED_OF_TOOLS.iter().any(|begins| name.as_str().starts_with(begins))
}

/// Takes out what is of one connection only, by the standard and by the message's own word.
fn keep_plain(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let of_a_connection = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in named.iter().chain(&of_a_connection) {
        headers.remove(name);
    }
}

/// About what a request takes on the wire.
fn sent_bytes(request: &Request<Empty<Bytes>>) -> u64 {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    (target + headers.sum::<usize>()) as u64
}

fn refused(refusal: Refusal) -> Answer {
    let mut answer = Response::new(Either::Right(Full::from(refusal.body())));
    *answer.status_mut() = refusal.status();
    answer
}

fn refusal_of(cut: Cut) -> Refusal {
    match cut {
        Cut::Broken => Refusal::Unreachable,
        Cut::Refused(refusal) => refusal,
    }
}

/// A body whose bytes are counted before they are passed on.
struct Counted {
    body: Incoming,
    meter: Arc<Meter>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(|_| Cut::Broken)?;
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        Poll::Ready(Some(self.meter.count(Direction::Received, bytes).map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
