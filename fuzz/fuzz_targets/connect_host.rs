//! A request that the proxy understands asks for one host by its plain name, however it is cut up and whatever follows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbox::egress::Host;
use sandbox::egress::connect::{HEAD_BYTES_MAX, read};

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    // What is certain of a beginning is so of the whole.
    for cut in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let part = read(&bytes[..cut]);
        if !matches!(part, Ok(None)) {
            assert_eq!(part, whole);
        }
    }
    let Ok(Some(connect)) = whole else { return };
    let head = std::str::from_utf8(&bytes[..connect.bytes]).unwrap();
    assert!(connect.bytes <= HEAD_BYTES_MAX + 4);
    assert_eq!(head.find("\r\n\r\n"), Some(head.len() - 4));
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    assert_eq!(target.strip_suffix(":443").unwrap().parse::<Host>().as_ref(), Ok(&connect.host));
    let name = connect.host.as_str();
    assert!(name.len() <= 253 && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')), "{name}");
    // Nobody reads it as an address.
    assert!(name.parse::<std::net::IpAddr>().is_err());
    match url::Url::parse(&format!("https://{name}/")) {
        Ok(url) => assert!(matches!(url.host(), Some(url::Host::Domain(domain)) if domain == name), "{name}"),
        // Who knows international names refuses one that stands for nothing; DNS does not look into it.
        Err(error) => assert!(name.contains("xn--"), "{name}: {error}"),
    }
});
