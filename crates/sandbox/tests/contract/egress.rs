//! What the way out lets through and what not, asked at its socket.

mod inside;
pub(crate) mod lending;
pub(crate) mod world;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sandbox::Policy;
use sandbox::egress::{self, Caps, Host, Resolve, Route, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use world::{CONNECTED, Names, Open, World, connect, counting, echo, expect, hello, rest_of};

#[tokio::test]
async fn a_host_on_the_list_is_reached_byte_for_byte() {
    let mut world = World::new(&["a.example"]);
    world.serve("a.example", echo).await;
    let open = world.open();
    let mut client = open.greet("A.example.", "a.example").await;
    let greeting = hello("a.example");
    let much: Vec<u8> = (0..3 << 20).map(|number: u32| (number / 3) as u8).collect();
    let mut back = vec![0; greeting.len() + much.len()];
    let (mut from, mut to) = client.split();
    let ((), read) = tokio::join!(
        async {
            to.write_all(&much).await.unwrap();
            to.shutdown().await.unwrap();
        },
        from.read_exact(&mut back)
    );
    read.unwrap();
    assert!(back[..greeting.len()] == greeting && back[greeting.len()..] == much);
    assert_eq!(rest_of(&mut client).await, "");
    let bytes = back.len();
    assert_eq!(open.decided(), [format!("a.example allowed ×1 {bytes}/{bytes}")]);
    assert_eq!(open.close().await, [""; 0]);
}

#[tokio::test]
async fn a_greeting_may_follow_the_request_at_once_and_in_pieces() {
    let mut world = World::new(&["a.example"]);
    world.serve("a.example", echo).await;
    let open = world.open();
    let whole = [connect("a.example").into_bytes(), hello("a.example")].concat();
    for size in [1, 10, whole.len()] {
        let mut client = open.connect().await;
        for piece in whole.chunks(size) {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        expect(&mut client, CONNECTED).await;
        client.read_exact(&mut vec![0; hello("a.example").len()]).await.unwrap();
    }
    open.close().await;
}

#[tokio::test]
async fn what_is_not_on_the_list_is_refused_before_anybody_is_asked() {
    struct Nobody;
    #[async_trait]
    impl Resolve for Nobody {
        async fn addresses(&self, host: &Host) -> io::Result<Vec<SocketAddr>> {
            panic!("{host} was looked up");
        }
    }
    let mut world = World::new(&["a.example"]);
    world.config.route = Route::Direct { resolver: Arc::new(Nobody), private: BTreeSet::new() };
    let open = Open(egress::open(&world.config).unwrap());
    for host in ["b.example", "www.a.example", "a.example.b.example", "xa.example", "localhost"] {
        let answer = open.ask(connect(host).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
        assert!(
            answer.ends_with("this host is not on the list of what sandboxes may reach (BACKSPACE_EGRESS)\n")
        );
    }
    assert_eq!(open.decided().len(), 5);
    open.close().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_word() {
    let mut world = World::new(&["a.example"]);
    let (count, answer) = counting();
    world.serve("a.example", answer).await;
    let open = world.open();
    for (bytes, status, words) in [
        (
            "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "405 Method Not Allowed",
            "use https://",
        ),
        ("CONNECT a.example:80 HTTP/1.1\r\n\r\n", "403 Forbidden", "only port 443"),
        ("CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n", "403 Forbidden", "an address, not a host's name"),
        ("CONNECT evil.example\0.a.example:443 HTTP/1.1\r\n\r\n", "403 Forbidden", "ASCII letters"),
        ("\x05\x01\0", "400 Bad Request", "SOCKS"),
        ("hello\r\n\r\n", "400 Bad Request", "no HTTP/1.1 request"),
        ("CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "400 Bad Request", "no body"),
    ] {
        let answer = open.ask(bytes.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{bytes:?}: {answer}");
        assert!(answer.contains(words), "{bytes:?}: {answer}");
    }
    assert_eq!(open.ask(b"").await, "");
    let decided = open.decided();
    assert_eq!(decided.len(), 7, "{decided:?}");
    assert!(decided.contains(&"GET http://a.example/ HTTP/1.1 request ×1 0/0".to_owned()), "{decided:?}");
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 0);
    open.close().await;
}

#[tokio::test]
async fn the_greeting_must_be_to_the_host_that_was_asked_for() {
    let mut world = World::new(&["a.example", "b.example"]);
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    world
        .serve("a.example", move |mut connection| {
            let heard = heard.clone();
            async move {
                let mut all = Vec::new();
                drop(connection.read_to_end(&mut all).await);
                heard.send(all).unwrap();
            }
        })
        .await;
    let open = world.open();
    let no_name = [22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3]
        .into_iter()
        .chain([7; 32])
        .chain([0, 0, 2, 0x13, 1, 1, 0])
        .collect::<Vec<u8>>();
    let greetings = [hello("b.example"), hello("xa.example"), no_name, b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    for greeting in greetings {
        let mut client = open.connect().await;
        client.write_all(connect("a.example").as_bytes()).await.unwrap();
        expect(&mut client, CONNECTED).await;
        client.write_all(&greeting).await.unwrap();
        // The alert `access_denied`.
        assert_eq!(rest_of(&mut client).await.as_bytes(), [21, 3, 3, 0, 2, 2, 49]);
        // Not a byte of it left.
        assert_eq!(hears.recv().await.unwrap(), b"");
    }
    assert_eq!(
        open.decided(),
        ["a.example hello ×1 0/0", "a.example hello ×1 0/0", "a.example other_host ×2 0/0"]
    );
    open.close().await;
}

#[tokio::test]
async fn a_name_that_leads_into_a_private_network_is_not_dialled() {
    let mut world = World::new(&["a.example", "gone.example", "mixed.example"]);
    let (count, answer) = counting();
    let own = world.serve("a.example", answer).await;
    world.names.0.insert("mixed.example".to_owned(), vec!["10.0.0.1:443".parse().unwrap(), own]);
    world.config.route = Route::Direct { resolver: Arc::new(Names::default()), private: BTreeSet::new() };
    let open = world.open();
    for host in ["a.example", "mixed.example"] {
        let answer = open.ask(connect(host).as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 403 ") && answer.contains("BACKSPACE_PRIVATE_HOSTS"),
            "{answer}"
        );
    }
    let answer = open.ask(connect("gone.example").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("not known"), "{answer}");
    let decided = ["a.example special ×1 0/0", "gone.example unknown ×1 0/0", "mixed.example special ×1 0/0"];
    assert_eq!(open.decided(), decided);
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 0);
    open.close().await;
}

#[tokio::test]
async fn even_a_private_host_does_not_lead_to_a_clouds_credentials() {
    let mut world = World::new(&["a.example"]);
    let metadata = ["169.254.169.254:443", "[fe80::1]:443", "0.0.0.0:443", "[::ffff:169.254.169.254]:443"];
    world.names.0.insert("a.example".to_owned(), metadata.map(|address| address.parse().unwrap()).to_vec());
    let open = world.open();
    assert!(open.ask(connect("a.example").as_bytes()).await.starts_with("HTTP/1.1 403 "));
    assert_eq!(open.decided(), ["a.example special ×1 0/0"]);
    open.close().await;
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_said_to_be_so() {
    let mut world = World::new(&["a.example"]);
    // A port at which nobody listens any more.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    world.names.0.insert("a.example".to_owned(), vec![free]);
    let open = world.open();
    let answer = open.ask(connect("a.example").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("does not answer"), "{answer}");
    open.close().await;
}

#[tokio::test]
async fn when_nothing_is_allowed_any_more_open_connections_are_cut() {
    let mut world = World::new(&["a.example"]);
    world.serve("a.example", echo).await;
    let open = world.open();
    let mut client = open.greet("a.example", "a.example").await;
    client.read_exact(&mut vec![0; hello("a.example").len()]).await.unwrap();
    let mut greeting = open.connect().await;
    greeting.write_all(connect("a.example").as_bytes()).await.unwrap();
    expect(&mut greeting, CONNECTED).await;
    open.0.allow_none();
    assert_eq!(rest_of(&mut client).await, "");
    assert_eq!(rest_of(&mut greeting).await, "");
    let answer = open.ask(connect("a.example").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("BACKSPACE_EGRESS_FOR"), "{answer}");
    let bytes = hello("a.example").len();
    assert_eq!(
        open.decided(),
        [format!("a.example allowed ×1 {bytes}/{bytes}"), "a.example over ×1 0/0".to_owned()]
    );
    open.close().await;
}

#[tokio::test]
async fn what_a_session_may_send_and_receive_is_bounded() {
    let greeting = hello("a.example").len() as u64;
    for (caps, moved) in [
        (Caps { sent_bytes_max: greeting + 99, ..Caps::default() }, "sent"),
        (Caps { received_bytes_max: greeting + 99, ..Caps::default() }, "received"),
    ] {
        let mut world = World::new(&["a.example"]);
        world.serve("a.example", echo).await;
        world.config.caps = caps;
        let open = world.open();
        let mut client = open.greet("a.example", "a.example").await;
        client.read_exact(&mut vec![0; hello("a.example").len()]).await.unwrap();
        client.write_all(&[1; 100]).await.unwrap();
        assert_eq!(rest_of(&mut client).await, "", "{moved}");
        let answer = open.ask(connect("a.example").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("used up"), "{answer}");
        assert_eq!(open.decided()[1], "a.example spent ×2 0/0", "{moved}");
        open.close().await;
    }
}

#[tokio::test]
async fn connections_are_bounded_in_number_and_a_crowd_waits() {
    let mut world = World::new(&["a.example"]);
    world.serve("a.example", echo).await;
    world.config.caps = Caps { at_once_max: 2, connections_max: 4, ..Caps::default() };
    let open = world.open();
    let crowd = [open.greet("a.example", "a.example").await, open.greet("a.example", "a.example").await];
    let mut third = open.connect().await;
    third.write_all(connect("a.example").as_bytes()).await.unwrap();
    drop(crowd);
    expect(&mut third, CONNECTED).await;
    drop(third);
    open.greet("a.example", "a.example").await;
    let answer = open.ask(connect("a.example").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    open.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_hung_up_on() {
    let mut world = World::new(&["a.example"]);
    world.serve("a.example", echo).await;
    let open = world.open();
    let mut silent = open.connect().await;
    silent.write_all(b"CONNECT a.exam").await.unwrap();
    assert!(rest_of(&mut silent).await.starts_with("HTTP/1.1 408 "));
    let mut idle = open.greet("a.example", "a.example").await;
    idle.read_exact(&mut vec![0; hello("a.example").len()]).await.unwrap();
    assert_eq!(rest_of(&mut idle).await, "");
    let told = open.decided().into_iter().chain(open.close().await).collect::<Vec<_>>();
    assert!(told.contains(&"a.example idle ×1 0/0".to_owned()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn who_stays_too_long_is_hung_up_on_and_that_is_told() {
    let mut world = World::new(&["a.example"]);
    world.serve("a.example", echo).await;
    world.config.caps.lifetime_max = world.config.caps.idle_max / 2;
    let open = world.open();
    let mut long = open.greet("a.example", "a.example").await;
    long.read_exact(&mut vec![0; hello("a.example").len()]).await.unwrap();
    assert_eq!(rest_of(&mut long).await, "");
    let told = open.decided().into_iter().chain(open.close().await).collect::<Vec<_>>();
    assert!(told.contains(&"a.example too_long ×1 0/0".to_owned()), "{told:?}");
}

#[tokio::test]
async fn an_operators_proxy_is_asked_by_name_with_its_password() {
    let mut world = World::new(&["a.example", "b.example"]);
    let proxy = world
        .serve("unused.example", |mut connection| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
            let expected =
                "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n";
            if head == expected.as_bytes() {
                connection.write_all(b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n").await.unwrap();
                echo(connection).await;
            } else {
                connection.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
            }
        })
        .await;
    world.config.route = Route::Upstream(Upstream::parse(&format!("http://me:pass@{proxy}")).unwrap());
    let open = world.open();
    let mut client = open.greet("a.example", "a.example").await;
    let mut back = vec![0; hello("a.example").len()];
    client.read_exact(&mut back).await.unwrap();
    assert_eq!(back, hello("a.example"));
    let answer = open.ask(connect("b.example").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("BACKSPACE_EGRESS_PROXY"), "{answer}");
    open.close().await;
}

#[tokio::test]
async fn the_socket_lies_where_nobody_else_comes_and_goes_with_the_session() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut world = World::new(&["a.example"]);
    // Longer than the address of a socket may be.
    world.config.folder = world.folder.path().join("x".repeat(120));
    let open = world.open();
    let socket = open.0.granted_to(&Policy::default()).relays[0].socket.clone();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(socket.parent().unwrap()), mode(&socket)), (0o700, 0o666));
    open.close().await;
    assert!(!socket.parent().unwrap().exists());
    let dropped = world.open();
    drop(dropped);
    let next = world.open();
    assert_eq!(std::fs::read_dir(&world.config.folder).unwrap().count(), 1, "the next one sweeps");
    next.close().await;
}

#[tokio::test]
async fn a_server_that_ends_first_is_heard_to_its_end() {
    let mut world = World::new(&["a.example"]);
    world
        .serve("a.example", |mut connection| async move {
            drop(connection.write_all(b"bye").await);
            drop(connection.shutdown().await);
            drop(connection.read_to_end(&mut Vec::new()).await);
        })
        .await;
    let open = world.open();
    let mut client = open.greet("a.example", "a.example").await;
    assert_eq!(rest_of(&mut client).await, "bye");
    open.close().await;
}
