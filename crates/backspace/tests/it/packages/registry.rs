//! An npm registry that wants a token, behind a proxy that knows no other host.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(super) const HOST: &str = "registry.example";
pub(super) const TOKEN: &str = "npm_canary0123456789abcdefghijklmnopqrst";

/// A registry with one package.
pub(super) struct Registry {
    /// Where its proxy listens.
    pub(super) proxy: SocketAddr,
    denied: Arc<AtomicUsize>,
}

/// What it serves.
struct Shop {
    acceptor: TlsAcceptor,
    packument: Vec<u8>,
    tarball: Vec<u8>,
    denied: Arc<AtomicUsize>,
}

impl Registry {
    /// Starts one; its authority's certificate goes to `home/authority.pem`.
    pub(super) async fn start(home: &Path) -> Self {
        let tarball = tarball(home);
        let integrity = Command::new("sh")
            .args(["-c", "openssl dgst -sha512 -binary padded.tgz | base64 -w0"])
            .current_dir(home)
            .output()
            .unwrap();
        let integrity = format!("sha512-{}", String::from_utf8(integrity.stdout).unwrap());
        let dist = json!({ "tarball": format!("https://{HOST}/npm/padded/-/padded-1.0.0.tgz"), "integrity": integrity });
        let version = json!({ "name": "padded", "version": "1.0.0", "main": "index.js", "dist": dist });
        let packument =
            json!({ "name": "padded", "dist-tags": { "latest": "1.0.0" }, "versions": { "1.0.0": version } });
        let denied = Arc::new(AtomicUsize::new(0));
        let (acceptor, packument) = (acceptor(home), packument.to_string().into_bytes());
        let shop = Arc::new(Shop { acceptor, packument, tarball, denied: Arc::clone(&denied) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shop = Arc::clone(&shop);
                tokio::spawn(async move { shop.serve(connection).await });
            }
        });
        Self { proxy, denied }
    }

    /// How often somebody came without the token.
    pub(super) fn denied(&self) -> usize {
        self.denied.load(Ordering::Relaxed)
    }
}

impl Shop {
    async fn serve(&self, mut connection: TcpStream) {
        let asked = head(&mut connection).await.unwrap();
        if !asked.starts_with(&format!("CONNECT {HOST}:443 HTTP/1.1\r\n")) {
            connection.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
            return;
        }
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let Ok(mut tls) = self.acceptor.accept(connection).await else { return };
        while let Some(asked) = head(&mut tls).await {
            let (status, body) = self.answer(&asked);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            tls.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        }
    }

    fn answer(&self, asked: &str) -> (&'static str, &[u8]) {
        let has_token =
            asked.lines().any(|line| line.eq_ignore_ascii_case(&format!("authorization: Bearer {TOKEN}")));
        if !has_token {
            self.denied.fetch_add(1, Ordering::Relaxed);
            return ("401 Unauthorized", b"{}");
        }
        match asked.split(' ').nth(1) {
            Some("/npm/padded") => ("200 OK", &self.packument),
            Some("/npm/padded/-/padded-1.0.0.tgz") => ("200 OK", &self.tarball),
            _ => ("404 Not Found", b"{}"),
        }
    }
}

fn acceptor(home: &Path) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority of tests");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let text = STANDARD.encode(issuer.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(home.join("authority.pem"), pem).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// The package, as `npm pack` would make it.
fn tarball(home: &Path) -> Vec<u8> {
    let package = home.join("package");
    std::fs::create_dir(&package).unwrap();
    let manifest = "{\"name\":\"padded\",\"version\":\"1.0.0\",\"main\":\"index.js\"}\n";
    std::fs::write(package.join("package.json"), manifest).unwrap();
    std::fs::write(package.join("index.js"), "module.exports = n => String(n).padStart(3, '0');\n").unwrap();
    let packed =
        Command::new("tar").args(["-czf", "padded.tgz", "package"]).current_dir(home).status().unwrap();
    assert!(packed.success());
    std::fs::read(home.join("padded.tgz")).unwrap()
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}
