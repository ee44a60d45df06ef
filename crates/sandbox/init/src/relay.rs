//! Pipes connections to loopback ports of a sandbox to sockets of the host that stand inside.
//!
//! One thread serves all of them: threads count as processes, which are the commands' to use. Bytes go from socket to
//! socket through a pipe inside the kernel, so that this process neither holds nor copies them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use flow::{Flow, Way};

mod flow;

/// Connections at once. A package manager opens tens; each takes six descriptors of the usual 1,024.
const CONNECTIONS_MAX: usize = 128;
/// Events taken at once.
const EVENTS_MAX: usize = 64;
/// Numbers below are listeners', numbers from here on connections'.
const FIRST_CONNECTION: u64 = 1 << 16;

/// Listens at each of `ports` and pipes what connects there to the socket of the same place, from a thread of its own
/// that lives as long as this process.
///
/// # Errors
/// When a port cannot be listened at.
pub fn start(relays: impl IntoIterator<Item = (u16, PathBuf)>) -> io::Result<()> {
    let listeners = relays.into_iter().map(listen).collect::<io::Result<Vec<_>>>()?;
    if listeners.is_empty() {
        return Ok(());
    }
    let relay = Relay::new(listeners)?;
    thread::Builder::new().name("relay".to_owned()).spawn(move || relay.serve())?;
    Ok(())
}

struct Listener {
    socket: TcpListener,
    to: PathBuf,
}

fn listen((port, to): (u16, PathBuf)) -> io::Result<Listener> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nonblocking(true)?;
    Ok(Listener { socket, to })
}

/// All that the thread knows.
struct Relay {
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    connections: HashMap<u64, Connection>,
    next: u64,
    /// Connections that could go on at once but had their turn.
    unfinished: VecDeque<u64>,
}

/// A connection from inside, and the one to the host that it is piped to.
struct Connection {
    inside: TcpStream,
    host: OwnedFd,
    out: Flow,
    back: Flow,
}

impl Relay {
    fn new(listeners: Vec<Listener>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (listener, number) in listeners.iter().zip(0..) {
            let readable = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&epoll, &listener.socket, epoll::EventData::new_u64(number), readable)?;
        }
        Ok(Self {
            epoll,
            listeners,
            connections: HashMap::new(),
            next: FIRST_CONNECTION,
            unfinished: VecDeque::new(),
        })
    }

    /// Serves until the process ends.
    fn serve(mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let now = Timespec::default();
            let patience = if self.unfinished.is_empty() { None } else { Some(&now) };
            events.clear();
            // An interruption, the only error there is, gives no events.
            let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), patience);
            for id in std::mem::take(&mut self.unfinished) {
                self.go_on(id);
            }
            for event in &events {
                self.hear(event.data.u64(), event.flags);
            }
        }
    }

    fn hear(&mut self, number: u64, flags: epoll::EventFlags) {
        if number < FIRST_CONNECTION {
            self.accept_all();
            return;
        }
        let (id, side) = (number & !1, number & 1);
        if flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR)
            && let Some(connection) = self.connections.get_mut(&id)
        {
            // Nobody is there any more to write to; what it wrote before is still read.
            if side == 0 { connection.back.give_up() } else { connection.out.give_up() }
        }
        self.go_on(id);
    }

    /// Moves what can be moved; a connection that is over goes, and makes room for one that waits.
    fn go_on(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.go_on() {
            Way::Waits => {}
            Way::Goes => self.unfinished.push_back(id),
            Way::Over => {
                self.connections.remove(&id);
                self.accept_all();
            }
        }
    }

    /// Takes in what waits at all listeners, as far as there is room.
    fn accept_all(&mut self) {
        for number in 0..self.listeners.len() {
            while self.connections.len() < CONNECTIONS_MAX {
                let Listener { socket, to } = &self.listeners[number];
                let Ok((inside, _)) = socket.accept() else { break };
                // When the host's side does not take it, the one inside is hung up on.
                if let Ok(connection) = Connection::new(inside, to) {
                    let id = self.next;
                    self.next += 2;
                    if connection.register(&self.epoll, id).is_ok() {
                        self.connections.insert(id, connection);
                    }
                }
            }
        }
    }
}

impl Connection {
    fn new(inside: TcpStream, to: &Path) -> io::Result<Self> {
        inside.set_nonblocking(true)?;
        inside.set_nodelay(true)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let host = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Refused, not waited for, when too many wait there already.
        rustix::net::connect(&host, &SocketAddrUnix::new(to)?)?;
        Ok(Self { inside, host, out: Flow::new()?, back: Flow::new()? })
    }

    /// Both sides are asked for everything; the lowest bit of the number tells which one it was.
    fn register(&self, epoll: impl AsFd, id: u64) -> io::Result<()> {
        let all =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&epoll, &self.inside, epoll::EventData::new_u64(id), all)?;
        epoll::add(&epoll, &self.host, epoll::EventData::new_u64(id + 1), all)?;
        Ok(())
    }

    fn go_on(&mut self) -> Way {
        let out = self.out.go_on(&self.inside, &self.host);
        let back = self.back.go_on(&self.host, &self.inside);
        match (out, back) {
            (Way::Over, Way::Over) => Way::Over,
            (Way::Goes, _) | (_, Way::Goes) => Way::Goes,
            (Way::Waits, _) | (_, Way::Waits) => Way::Waits,
        }
    }
}

#[cfg(test)]
mod tests;
