//! Attacks on the way out by what two parsers read in two ways. The control asks a proxy that takes no care the same.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use sandbox::egress::{self, Caps, Host, PROXY_PORT, Resolve, Route, Told, Trust};

use super::stage::{Said, Stage, policy, said};
use super::{Attack, Class, How, Trial, Tried};

/// Whatever is asked of the proxy that is a sandbox's one way out.
pub(crate) const CLASS: Class = Class { name: "proxy", attacks: ATTACKS };

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "requests that name a listed host and mean another one",
        how: How::Code(|stage| ask(stage, HEADS)),
    },
    Attack {
        name: "this machine by other spellings, and by a listed name",
        how: How::Code(|stage| ask(stage, SPELLINGS)),
    },
    Attack {
        name: "tunnels that carry no TLS, or TLS to another host than was asked for",
        how: How::Code(|stage| ask(stage, TUNNELS)),
    },
];

/// The one host that may be reached.
const LISTED: &str = "listed.example";
/// A listed host as well, whose name leads to this machine.
const REBOUND: &str = "rebound.example";
/// What a server says to whoever reaches it, before all that it hears.
const REACHED: &str = "REACHED";

/// Sends each of `TRICKS` over a connection of its own, and tells which of them came to a server. A greeting that is as it
/// should be comes first: nothing was held where nobody is reached at all.
const SPEAK: &str = r#"
def said_to(*pieces):
    with socket.create_connection(("127.0.0.1", PROXY), 30) as s:
        heard = b""
        try:
            for piece in pieces:
                s.sendall(piece)
                time.sleep(0.1)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            # It has hung up; what it said before can still be heard.
            pass
        try:
            while more := s.recv(4096):
                heard += more
        except OSError:
            pass
        return heard
def greeting(name):
    name = name.encode()
    names = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack("!HH", 0, len(names)) + names if name else b""
    body = b"\x03\x03" + b"\x07" * 32 + b"\0\0\x02\x13\x01\x01\0" + struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message
def tunnel(host, *pieces):
    return (f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode(), *pieces)
def try_all(enough):
    honest = said_to(*tunnel("listed.example", greeting("listed.example")))
    if b"REACHED" not in honest:
        say("UNCLEAR", f"nobody is reached at all: {honest}")
    # Inside a connection that was made is too much already; outside it must have come to somebody.
    reached = [str(trick) for trick in TRICKS if (enough if INSIDE else b"REACHED") in said_to(*trick)]
    if not INSIDE and len(reached) < len(TRICKS):
        held(f"of {len(TRICKS)} only {reached}")
    breached("; ".join(reached)) if reached else held(f"{len(TRICKS)} refused")
"#;

const HEADS: &str = r#"
TRICKS = [(head.encode(), greeting("listed.example")) for head in [
    "CONNECT listed.example@other.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example\0.listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example#.listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example/.listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example\\.listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example?.listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT listed.example.other.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example:443 listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example:443\tlisted.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example:443:listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example:443 HTTP/1.1\r\nHost: listed.example:443\r\n\r\n",
    "CONNECT other.example:443 HTTP/1.1\nCONNECT listed.example:443 HTTP/1.1\r\n\r\n",
    "CONNECT other.example:443 HTTP/1.1\r\n CONNECT listed.example:443\r\n\r\n",
    "connect other.example:443 HTTP/1.1\r\nhost: listed.example\r\n\r\n",
    "GET http://other.example/listed.example HTTP/1.1\r\nHost: listed.example\r\n\r\n",
    "GET https://listed.example@other.example/ HTTP/1.1\r\n\r\n",
    "CONNECT listed.example:80 HTTP/1.1\r\n\r\n",
    "CONNECT listed.example:0443 HTTP/1.1\r\n\r\n",
    "CONNECT listed.example:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    "CONNECT listed.example:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]]
try_all(b"HTTP/1.1 200")
"#;

const SPELLINGS: &str = r#"
TRICKS = [tunnel(host, greeting(host)) for host in [
    "2130706433", "0x7f000001", "017700000001", "127.1", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "localhost", "rebound.example",
]]
try_all(b"HTTP/1.1 200")
"#;

const TUNNELS: &str = r#"
TRICKS = [tunnel("listed.example", piece) for piece in [
    b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", b"SSH-2.0-x\r\n", b"\x05\x01\0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT other.example:443 HTTP/1.1\r\n\r\n", greeting("other.example"), greeting("listed.example.other.example"),
    greeting("listed.example\0other.example"), greeting(""),
]]
try_all(b"REACHED")
"#;

/// Asks our proxy from inside and a careless one from outside. Behind both are the same servers.
fn ask<'a>(stage: &'a Stage, tricks: &'static str) -> Trial<'a> {
    Box::pin(async move {
        let servers = Servers { listed: server(), other: server() };
        let folder = tempfile::tempdir().unwrap();
        let hosts: BTreeSet<Host> = [LISTED, REBOUND].map(|name| name.parse().unwrap()).into();
        // That the other ones lie on this machine is not what keeps them from being reached.
        let private = [LISTED, "other.example"].map(|name| name.parse().unwrap()).into();
        let way_out = egress::open(&egress::Config {
            hosts,
            route: Route::Direct { resolver: Arc::new(servers), private },
            lent: Vec::new(),
            trust: Trust::default(),
            told: Told::default(),
            caps: Caps::default(),
            folder: folder.path().join("egress"),
        });
        let way_out = way_out.unwrap();
        let script = |port| format!("PROXY = {port}\n{SPEAK}{tricks}");
        let sandbox = stage.open(way_out.granted_to(&policy())).await.unwrap();
        let attack = match sandbox.try_to_run(&stage.shell(&script(PROXY_PORT), "inside")).await {
            Ok(ran) => said(&ran.output),
            Err(error) => Said::Unclear(error.to_string()),
        };
        sandbox.sandbox.close().await.unwrap();
        way_out.close().await.1.unwrap();
        Tried { attack, control: stage.outside(&script(careless(servers))).await }
    })
}

/// The two servers that names lead to.
#[derive(Debug, Clone, Copy)]
struct Servers {
    listed: SocketAddr,
    other: SocketAddr,
}

impl Servers {
    fn of(self, name: &str) -> SocketAddr {
        if name == LISTED { self.listed } else { self.other }
    }
}

#[async_trait]
impl Resolve for Servers {
    async fn addresses(&self, host: &Host) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.of(host.as_str())])
    }
}

/// Answers whatever it hears, as long as the tests run; who says nothing hears nothing.
fn server() -> SocketAddr {
    served(|mut client| {
        let mut heard = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut heard) {
            client.write_all(&[REACHED.as_bytes(), &heard[..length]].concat())?;
        }
        Ok(())
    })
}

/// A proxy as it is written in an evening: the list is looked for in the text, and what is connected to is what is left of
/// the target when everything is taken off that some parser takes off.
fn careless(servers: Servers) -> u16 {
    let proxy = served(move |mut client| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        if head.contains("127.0.0.1:") {
            return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
        }
        let target = head.split_whitespace().nth(1).unwrap_or_default();
        let target = target.rsplit("//").next().unwrap_or_default();
        let authority = target.split(['\0', '#', '/', '\\', '?']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let name =
            host.split(":443").next().unwrap_or_default().trim_end_matches(":80").trim_end_matches(":0443");
        let address = match name {
            name if name.ends_with(".example") && head.contains("listed.example") => servers.of(name),
            REBOUND => servers.other,
            name if name.ends_with(".example") => return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n"),
            // As every program does that asks the system's resolver.
            name => {
                let name = name.trim_matches(['[', ']']);
                let mut found = (name, servers.other.port()).to_socket_addrs()?;
                let here =
                    found.find(|it| it.ip().to_canonical().is_loopback()).ok_or(io::ErrorKind::NotFound)?;
                SocketAddr::new(here.ip().to_canonical(), here.port())
            }
        };
        let mut server = TcpStream::connect(address)?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        let mut back = server.try_clone()?;
        let mut to = client.try_clone()?;
        thread::spawn(move || io::copy(&mut back, &mut to));
        io::copy(&mut client, &mut server)?;
        server.shutdown(std::net::Shutdown::Write)
    });
    proxy.port()
}

/// Serves connections one after the other, each on a thread of its own.
fn served(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = serve.clone();
            // Whoever hangs up has been told enough.
            thread::spawn(move || drop(serve(client)));
        }
    });
    address
}
