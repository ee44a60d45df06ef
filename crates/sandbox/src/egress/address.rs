//! Which addresses lie on the internet: nothing else is dialled for a sandbox, whatever a name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the internet, by the registries of IANA.
    Internet,
    /// On this machine, in somebody's own network, or reserved: dialled only for hosts that the operator said lie there.
    Special,
    /// Where no server of a name can lie, or where clouds answer whoever asks with the machine's own credentials: never
    /// dialled.
    Never,
}

/// Blocks of <https://www.iana.org/assignments/iana-ipv4-special-registry>, multicast and what is reserved. Some of
/// them can be reached from the internet; none holds a server that anybody installs from.
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved and broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Of IPv6 only `2000::/3` is given out; these blocks of it are special. Everything outside is: mapped, NAT64,
/// link-local, unique local, multicast …
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    // Protocols, Teredo, benchmarks, ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4: an IPv4 address of any kind is inside.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

const NEVER_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Link-local: 169.254.169.254 is where the large clouds keep a machine's credentials.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
    // Alibaba Cloud's, and the one of Oracle's and others' older machines.
    (Ipv4Addr::new(100, 100, 100, 200), 32),
    (Ipv4Addr::new(192, 0, 0, 192), 32),
];
const NEVER_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    // The credentials of machines at AWS, and at Google.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
];

/// Where `address` lies. An IPv4 address inside an IPv6 one is dialled as neither.
pub(super) fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) if NEVER_V4.iter().any(|block| holds_v4(*block, address)) => Place::Never,
        IpAddr::V4(address) if SPECIAL_V4.iter().any(|block| holds_v4(*block, address)) => Place::Special,
        IpAddr::V4(_) => Place::Internet,
        IpAddr::V6(address) if embedded(address).is_some_and(|inner| place(inner.into()) == Place::Never) => {
            Place::Never
        }
        IpAddr::V6(address) if NEVER_V6.iter().any(|block| holds_v6(*block, address)) => Place::Never,
        IpAddr::V6(address) if !holds_v6(GLOBAL_V6, address) => Place::Special,
        IpAddr::V6(address) if SPECIAL_V6.iter().any(|block| holds_v6(*block, address)) => Place::Special,
        IpAddr::V6(_) => Place::Internet,
    }
}

/// The IPv4 address that systems would really dial: mapped, compatible, translated by NAT64, or through 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let joined = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        // `::` and `::1` are their own.
        (0, 0, 0, 0, 0, 0) if g == 0 && h <= 1 => None,
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            Some(joined(g, h))
        }
        (0x64, 0xff9b, 1, ..) => Some(joined(g, h)),
        (0x2002, high, low, ..) => Some(joined(high, low)),
        _ => None,
    }
}

fn holds_v4((block, bits): (Ipv4Addr, u32), address: Ipv4Addr) -> bool {
    (u32::from(block) ^ u32::from(address)).leading_zeros() >= bits
}

fn holds_v6((block, bits): (Ipv6Addr, u32), address: Ipv6Addr) -> bool {
    (u128::from(block) ^ u128::from(address)).leading_zeros() >= bits
}

#[cfg(test)]
mod tests;
