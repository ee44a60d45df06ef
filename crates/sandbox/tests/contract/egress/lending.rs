//! What a credential that is lent to downloads is added to, and what it is not.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs};
use sandbox::egress::{Below, Lent, Trust};
use sandbox::{Policy, Relay};
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::world::{CONNECTED, Open, World, connect, expect};

pub(crate) const HOST: &str = "registry.example";
/// It must stand nowhere inside.
pub(crate) const SECRET: &str = "Bearer canary-0123456789";

/// A registry that speaks TLS and remembers what it was asked.
pub(crate) struct Registry {
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// Whom its certificate is from.
    pub(crate) authority: CertificateDer<'static>,
    acceptor: TlsAcceptor,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let authority = issuer.der().clone();
        Self { asked: Arc::default(), authority, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// Answers each request of a connection with its path, `times` times.
    pub(crate) fn answers(
        &self,
        times: usize,
    ) -> impl Fn(tokio::net::TcpStream) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static
    {
        let (acceptor, asked) = (self.acceptor.clone(), Arc::clone(&self.asked));
        move |connection| {
            let (acceptor, asked) = (acceptor.clone(), Arc::clone(&asked));
            Box::pin(async move {
                let Ok(mut tls) = acceptor.accept(connection).await else { return };
                for _ in 0..times {
                    let Some(head) = head(&mut tls).await else { return };
                    let body = format!("you asked for {}", head.split(' ').nth(1).unwrap());
                    asked.lock().unwrap().push(head);
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nSet-Cookie: a=b\r\nX-Kept: yes\r\n\r\n{body}",
                        body.len()
                    );
                    tls.write_all(answer.as_bytes()).await.unwrap();
                }
                drop(tls.shutdown().await);
            })
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

pub(crate) fn lent(below: &str) -> Lent {
    let authorization = SecretString::from(SECRET);
    Lent { host: HOST.parse().unwrap(), below: Below::parse(below).unwrap(), authorization }
}

/// A world in which the credential for `/npm/` is lent.
async fn world(times: usize) -> (World, Registry) {
    let mut world = World::new(&[HOST]);
    let registry = Registry::new();
    world.serve(HOST, registry.answers(times)).await;
    world.config.lent = vec![lent("/npm/")];
    world.config.trust = [registry.authority.clone()].into_iter().collect();
    (world, registry)
}

/// As a program inside: trusts what the policy says, and greets through the proxy.
async fn greet(open: &Open) -> TlsStream<UnixStream> {
    let policy = open.0.granted_to(&Policy::default());
    let (_, bundle) = policy.environment.iter().find(|(name, _)| name == "SSL_CERT_FILE").unwrap();
    let file = policy.home.iter().find(|file| format!("/home/agent/{}", file.path) == *bundle).unwrap();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&file.content) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let [Relay { socket, .. }] = &policy.relays[..] else { panic!() };
    let mut client = UnixStream::connect(socket).await.unwrap();
    client.write_all(connect(HOST).as_bytes()).await.unwrap();
    expect(&mut client, CONNECTED).await;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from(HOST).unwrap(), client).await.unwrap()
}

/// Sends a request and gives the head and the body of the answer.
async fn ask(inside: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> (String, String) {
    inside.write_all(request.as_bytes()).await.unwrap();
    let head = head(inside).await.unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    inside.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_download_has_the_credential_and_whoever_asks_never_sees_it() {
    let (mut world, registry) = world(5).await;
    let open = world.open();
    let mut inside = greet(&open).await;
    let request = "GET /npm/@a%2fb?x=1 HTTP/1.1\r\nHost: other.example\r\nAuthorization: Bearer mine\r\nCookie: c=d\r\n\
                   Accept: text/html\r\nConnection: npm-hop\r\nNpm-Hop: 1\r\n\r\n";
    let (head, body) = ask(&mut inside, request).await;
    assert_eq!(body, "you asked for /npm/@a%2fb?x=1");
    assert!(head.starts_with("http/1.1 200 ok\r\n") && head.contains("x-kept: yes"), "{head}");
    assert!(!head.contains("set-cookie") && !head.contains("canary"), "{head}");
    let asked = registry.asked();
    let expected = format!(
        "GET /npm/@a%2fb?x=1 HTTP/1.1\r\nhost: {HOST}\r\nauthorization: {SECRET}\r\naccept: text/html\r\n\r\n"
    );
    let sorted = |head: &str| {
        let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(asked.len(), 1);
    assert_eq!(sorted(&asked[0]), sorted(&expected));
    // On the same connection, and without a body.
    inside.write_all(b"HEAD /npm/x HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(super::lending::head(&mut inside).await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(registry.asked()[0].starts_with("HEAD /npm/x HTTP/1.1\r\n"));
    drop(inside);
    let decided = open.decided();
    assert!(decided.len() == 1 && decided[0].starts_with("registry.example allowed ×1 "), "{decided:?}");
    assert!(decided[0].ends_with(&format!("/{}", body.len())), "{decided:?}");
    open.close().await;
}

/// By each of the others some server or proxy serves another path, another host or another method.
#[tokio::test]
async fn only_headers_that_downloads_need_reach_the_registry() {
    let (mut world, registry) = world(1).await;
    let open = world.open();
    let passed = [
        "accept: application/vnd.npm.install-v1+json; q=1.0, */*",
        "accept-encoding: gzip",
        "cache-control: max-age=0",
        "cargo-protocol: version=1",
        "if-modified-since: Thu, 26 Nov 2026 00:00:00 GMT",
        "if-none-match: \"etag\"",
        "npm-command: ci",
        "pacote-req-type: packument",
        "range: bytes=0-1",
        "user-agent: pip/23.0.1",
    ];
    let kept_back = [
        "x-original-url: /admin",
        "x-rewrite-url: /admin",
        "x-http-method-override: DELETE",
        "x-http-method: DELETE",
        "x-method-override: PUT",
        "x-forwarded-host: other.example",
        "x-forwarded-prefix: /admin",
        "x-forwarded-for: 127.0.0.1",
        "forwarded: host=other.example",
        "x-real-ip: 127.0.0.1",
        "x-jfrog-art-api: mine",
        "private-token: mine",
        "referer: https://other.example/",
        "origin: https://other.example",
        "expect: 100-continue",
    ];
    let lines = passed.iter().chain(&kept_back).map(|line| format!("{line}\r\n")).collect::<String>();
    ask(&mut greet(&open).await, &format!("GET /npm/a HTTP/1.1\r\nHost: x\r\n{lines}\r\n")).await;
    let asked = registry.asked();
    let mut lines: Vec<&str> = asked[0].lines().skip(1).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let (own, secret) = (format!("host: {HOST}"), format!("authorization: {SECRET}"));
    let mut expected: Vec<&str> = passed.iter().copied().chain([own.as_str(), secret.as_str()]).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    open.close().await;
}

#[tokio::test]
async fn whatever_is_no_download_from_there_is_refused_without_it() {
    let (mut world, registry) = world(5).await;
    let open = world.open();
    let mut times = 0;
    for request in [
        "POST /npm/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "PUT /npm/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "DELETE /npm/x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /npm/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        "GET /npm/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /npm/../admin HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /npm/%2e%2e/admin HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /npm/..%2fadmin HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET https://registry.example/npm/x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://other.example/npm/x HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let (head, body) = ask(&mut greet(&open).await, request).await;
        assert!(head.starts_with("http/1.1 403 "), "{request}: {head}");
        assert!(body.contains("only downloads (GET, HEAD)"), "{request}: {body}");
        times += 1;
    }
    assert_eq!(registry.asked(), [""; 0]);
    let decided = open.decided();
    assert!(decided.contains(&format!("registry.example not_a_download ×{times} 0/0")), "{decided:?}");
    open.close().await;
}

#[tokio::test]
async fn a_registry_that_hangs_up_after_each_answer_is_dialled_again() {
    let (mut world, registry) = world(1).await;
    let open = world.open();
    let mut inside = greet(&open).await;
    for path in ["/npm/a", "/npm/b", "/npm/c"] {
        let (_, body) = ask(&mut inside, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(body, format!("you asked for {path}"));
    }
    assert_eq!(registry.asked().len(), 3);
    open.close().await;
}

#[tokio::test]
async fn a_registry_that_this_machine_does_not_trust_is_not_given_it() {
    let (mut world, registry) = world(1).await;
    world.config.trust = Trust::default();
    let open = world.open();
    let (head, body) = ask(&mut greet(&open).await, "GET /npm/a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 502 ") && body.contains("does not trust"), "{head}{body}");
    assert_eq!(registry.asked(), [""; 0]);
    assert!(open.decided().contains(&"registry.example not_trusted ×1 0/0".to_owned()));
    open.close().await;
}

#[tokio::test]
async fn without_a_credential_the_registry_itself_is_spoken_to() {
    let (mut world, registry) = world(1).await;
    world.config.lent = Vec::new();
    let open = world.open();
    let mut inside = greet(&open).await;
    let (_, session) = inside.get_ref();
    let certificate = session.peer_certificates().unwrap()[0].clone();
    let (_, body) = ask(&mut inside, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(body, "you asked for /other");
    assert!(!registry.asked()[0].contains("uthorization"));
    open.close().await;
    let (mut world, _) = super::lending::world(1).await;
    let open = world.open();
    let inside = greet(&open).await;
    assert_ne!(inside.get_ref().1.peer_certificates().unwrap()[0], certificate);
    open.close().await;
}

#[tokio::test]
async fn what_a_registry_may_send_is_bounded() {
    let (mut world, _registry) = world(5).await;
    world.config.caps.received_bytes_max = 19;
    let open = world.open();
    let mut inside = greet(&open).await;
    inside.write_all(b"GET /npm/a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    drop(inside.read_to_end(&mut heard).await);
    assert!(!String::from_utf8(heard).unwrap().contains("you asked"));
    let told = open.decided().into_iter().chain(open.close().await).collect::<Vec<_>>();
    assert!(told.contains(&"registry.example spent ×1 0/0".to_owned()), "{told:?}");
}
