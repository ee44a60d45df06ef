//! Attacks that try to reach somebody: this machine, its neighbours, or the kernel's own protocols.

use super::{Attack, Class, How};

/// Ways to anybody outside.
pub(crate) const CLASS: Class = Class { name: "network", attacks: ATTACKS };

#[tokio::test]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack { name: "connect to this machine, a cloud's metadata, the internet", how: How::Script(CONNECT) },
    Attack { name: "send a datagram to this machine", how: How::Script(DATAGRAM) },
    Attack { name: "an abstract socket of this machine", how: How::Script(ABSTRACT) },
    Attack { name: "a socket file that everybody may write to", how: How::Script(SOCKET_FILE) },
    Attack { name: "raw and packet sockets, ping", how: How::Script(RAW) },
    Attack {
        name: "vsock, the crypto interface, TIPC, CAN, Bluetooth and other families",
        how: How::Script(FAMILIES),
    },
    Attack { name: "netlink beyond routes", how: How::Script(NETLINK) },
    Attack { name: "SCTP, MPTCP, UDP-Lite, L2TP, DCCP", how: How::Script(TRANSPORTS) },
    Attack { name: "pairs of sockets of odd families, TLS in the kernel", how: How::Script(PAIRS) },
    Attack {
        name: "bring an interface up, give it an address",
        how: How::Harmful { attack: INTERFACE, control: INTERFACE_OF_ONES_OWN },
    },
];

const CONNECT: &str = r#"
def connect():
    for address in [("127.0.0.1", int(os.environ["PORT"])), (os.environ["HOST_ADDRESS"], int(os.environ["PORT"])),
                    ("169.254.169.254", 80), ("1.1.1.1", 443)]:
        try:
            socket.create_connection(address, 2).close()
            return address
        except OSError as error:
            last = error
    raise last
tried("connected", connect)
"#;

const DATAGRAM: &str = r#"
def ask():
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.settimeout(2)
    asked.sendto(b"anybody?", (os.environ["HOST_ADDRESS"], int(os.environ["ECHO_PORT"])))
    return asked.recv(100)
tried("answered", ask)
"#;

const ABSTRACT: &str = r#"
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("\0" + os.environ["ABSTRACT"])
    return "connected"
tried("abstract", connect)
"#;

const SOCKET_FILE: &str = r#"
def connect():
    for path in [os.environ["SOCKET"], "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"]:
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            return path
        except OSError as error:
            last = error
    raise last
tried("connected", connect)
"#;

const RAW: &str = r#"
SOCKET = 41 if os.uname().machine == "x86_64" else 198
closed(raw=(SOCKET, 2, 3, 1), raw6=(SOCKET, 10, 3, 58), packet=(SOCKET, 17, 2, 0), old_packet=(SOCKET, 2, 10, 0), ping=(SOCKET, 2, 2, 1))
"#;

const FAMILIES: &str = r#"
SOCKET = 41 if os.uname().machine == "x86_64" else 198
closed(**{f"family {n}": (SOCKET, n, 1, 0) for n in [3, 4, 5, 9, 15, 19, 21, 26, 29, 30, 31, 35, 37, 38, 39, 40, 41, 42, 43, 44, 45]})
"#;

const NETLINK: &str = r#"
SOCKET = 41 if os.uname().machine == "x86_64" else 198
closed(**{f"protocol {n}": (SOCKET, 16, 3, n) for n in [2, 4, 6, 9, 10, 11, 12, 15, 16, 18, 20, 21]})
"#;

const TRANSPORTS: &str = r#"
SOCKET = 41 if os.uname().machine == "x86_64" else 198
closed(sctp=(SOCKET, 2, 1, 132), sctp_packets=(SOCKET, 2, 5, 132), mptcp=(SOCKET, 2, 1, 262), udp_lite=(SOCKET, 10, 2, 136),
       l2tp=(SOCKET, 2, 2, 115), dccp=(SOCKET, 2, 6, 33))
"#;

const PAIRS: &str = r#"
PAIR, OPTION = (53, 54) if os.uname().machine == "x86_64" else (199, 208)
closed(tipc=(PAIR, 30, 1, 0, 0), inet=(PAIR, 2, 1, 0, 0), tls=(OPTION, -1, 6, 31, b"tls", 3))
"#;

const INTERFACE: &str = r#"
import fcntl
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR = 0x8913, 0x8914, 0x8916
def change():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(s, SIOCSIFADDR, struct.pack("16sHH4s8x", b"lo", socket.AF_INET, 0, socket.inet_aton("127.0.0.2")))
    return "an address"
tried("changed", change)
"#;

const INTERFACE_OF_ONES_OWN: &str = r#"
UNSHARE = 272 if os.uname().machine == "x86_64" else 97
# In namespaces of its own a process may do all this, and nobody is hurt.
if call(UNSHARE, 0x10000000 | 0x40000000) != 0:
    absent("this machine gives nobody namespaces")
import fcntl
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tried("changed", lambda: fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", b"lo", socket.AF_INET, 0, socket.inet_aton("127.0.0.2"))) is not None)
"#;
