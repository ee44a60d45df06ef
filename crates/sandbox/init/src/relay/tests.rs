use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;

use super::*;

/// More than all buffers on the way hold.
const MUCH: usize = 8 << 20;

/// A relay to a socket of a host that treats every connection as `host` says.
struct World {
    port: u16,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(host: impl Fn(UnixStream) + Clone + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, host) = (connection.unwrap(), host.clone());
                thread::spawn(move || host(connection));
            }
        });
        Self::to(socket, folder)
    }

    fn to(socket: PathBuf, folder: tempfile::TempDir) -> Self {
        let listener = listen((0, socket)).unwrap();
        let port = listener.socket.local_addr().unwrap().port();
        let relay = Relay::new(vec![listener]).unwrap();
        thread::spawn(move || relay.serve());
        Self { port, _folder: folder }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap()
    }
}

fn echo(mut host: UnixStream) {
    let mut from = host.try_clone().unwrap();
    io::copy(&mut from, &mut host).unwrap();
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number * 7 + number / 251) as u8).collect()
}

fn all_of(mut from: impl io::Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn bytes_arrive_as_they_were_sent_and_each_half_closes_alone() {
    let world = World::new(echo);
    let mut inside = world.connect();
    let sent = bytes(MUCH);
    let writer = {
        let (mut inside, sent) = (inside.try_clone().unwrap(), sent.clone());
        thread::spawn(move || {
            inside.write_all(&sent).unwrap();
            inside.shutdown(Shutdown::Write).unwrap();
        })
    };
    // The host goes on after it has heard of the end.
    assert!(all_of(&mut inside) == sent);
    writer.join().unwrap();
}

#[test]
fn the_host_may_be_the_first_to_end() {
    let (heard, hears) = mpsc::channel();
    let world = World::new(move |mut host| {
        host.write_all(b"hello").unwrap();
        host.shutdown(Shutdown::Write).unwrap();
        heard.send(all_of(host)).unwrap();
    });
    let mut inside = world.connect();
    assert_eq!(all_of(&mut inside), b"hello");
    inside.write_all(b"still here").unwrap();
    inside.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hears.recv().unwrap(), b"still here");
}

#[test]
fn what_the_host_said_before_it_hung_up_arrives() {
    let world = World::new(|mut host| {
        let mut asked = [0; 4];
        host.read_exact(&mut asked).unwrap();
        host.write_all(b"refused").unwrap();
    });
    let mut inside = world.connect();
    inside.write_all(b"may?").unwrap();
    assert_eq!(all_of(&mut inside), b"refused");
}

#[test]
fn somebody_who_does_not_read_holds_up_nobody_else() {
    let world = World::new(|mut host| drop(host.write_all(&bytes(MUCH))));
    let mut slow = world.connect();
    for _ in 0..3 {
        assert_eq!(all_of(world.connect()).len(), MUCH);
    }
    assert!(all_of(&mut slow) == bytes(MUCH));
}

#[test]
fn more_than_there_is_room_for_wait_and_are_served_later() {
    let world = World::new(echo);
    let mut crowd: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| world.connect()).collect();
    for inside in &mut crowd {
        inside.write_all(b"x").unwrap();
        inside.read_exact(&mut [0]).unwrap();
    }
    let mut late = world.connect();
    late.write_all(b"y").unwrap();
    late.set_nonblocking(true).unwrap();
    // All others went through the same thread after it had asked.
    crowd[0].write_all(b"x").unwrap();
    crowd[0].read_exact(&mut [0]).unwrap();
    assert_eq!(late.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    late.set_nonblocking(false).unwrap();
    crowd.pop();
    late.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_host_that_is_gone_hangs_up() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::to(folder.path().join("nothing"), folder);
    assert!(matches!(world.connect().read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_host_that_ends_frees_the_place_of_one_who_stays() {
    let world = World::new(|mut host| drop(host.write_all(b"bye")));
    let crowd: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| world.connect()).collect();
    // Nobody of the crowd closes.
    assert_eq!(all_of(world.connect()), b"bye");
    drop(crowd);
}
