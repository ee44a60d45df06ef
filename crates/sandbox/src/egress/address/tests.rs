use super::*;

/// All blocks of the two registries of special addresses as of 2025-10, `first last`, and multicast and reserved ones.
const REGISTRIES: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.31.196.0", "192.31.196.255"),
    ("192.52.193.0", "192.52.193.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("192.175.48.0", "192.175.48.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    ("::", "::"),
    ("::1", "::1"),
    ("::ffff:0:0", "::ffff:ffff:ffff"),
    ("64:ff9b::", "64:ff9b::ffff:ffff"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

fn of(text: &str) -> Place {
    place(text.parse().unwrap())
}

/// The address before or after; nothing at the ends of the space.
fn beside(address: IpAddr, step: i128) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let moved = i128::from(u32::from(address)) + step;
            u32::try_from(moved).ok().map(|number| IpAddr::V4(number.into()))
        }
        IpAddr::V6(address) => {
            u128::from(address).checked_add_signed(step).map(|number| IpAddr::V6(number.into()))
        }
    }
}

#[test]
fn no_block_of_the_registries_lies_on_the_internet() {
    for (first, last) in REGISTRIES {
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        for address in [first, last, beside(first, 1).unwrap_or(first).min(last)] {
            assert_ne!(place(address), Place::Internet, "{address}");
        }
    }
}

#[test]
fn what_lies_just_outside_of_them_does() {
    let inside = |address: IpAddr| {
        REGISTRIES.iter().any(|(first, last)| {
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            first.is_ipv4() == address.is_ipv4() && (first..=last).contains(&address)
        })
    };
    let given_out = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.segments()[0] & 0xe000 == 0x2000,
    };
    let mut tried = 0;
    for (first, last) in REGISTRIES {
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        let outside = beside(first, -1).into_iter().chain(beside(last, 1));
        for address in outside.filter(|address| !inside(*address)).filter(given_out) {
            assert_eq!(place(address), Place::Internet, "{address}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried} addresses were tried");
    for address in ["1.1.1.1", "8.8.8.8", "185.199.108.133", "2606:4700::6810:1", "2a00:1450:4001::200e"] {
        assert_eq!(of(address), Place::Internet, "{address}");
    }
}

#[test]
fn an_address_in_disguise_is_what_it_hides() {
    for hidden in ["127.0.0.1", "10.0.0.1", "192.168.1.1"] {
        let [a, b, c, d] = hidden.parse::<Ipv4Addr>().unwrap().octets();
        for disguise in [
            format!("::ffff:{hidden}"),
            format!("::{hidden}"),
            format!("::ffff:0:{hidden}"),
            format!("64:ff9b::{hidden}"),
            format!("64:ff9b:1::{hidden}"),
            format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
        ] {
            assert_eq!(of(&disguise), Place::Special, "{disguise}");
        }
    }
    // A public one in disguise is dialled as itself or not at all.
    for disguise in ["::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1"] {
        assert_eq!(of(disguise), Place::Special, "{disguise}");
    }
}

#[test]
fn where_clouds_keep_credentials_is_never_dialled() {
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "2002:a9fe:a9fe::",
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
    ] {
        assert_eq!(of(address), Place::Never, "{address}");
    }
    for address in ["127.0.0.1", "::1", "10.1.2.3", "fd12::1", "203.0.113.80", "100.64.0.1"] {
        assert_eq!(of(address), Place::Special, "{address}");
    }
}
