//! An address that is taken means one repository on a public host, and is written so that it is taken again.
#![no_main]

use events::{Address, Hosts, Remote};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let hosts = Hosts::default();
    let Ok(address) = Address::parse(text, &hosts) else { return };
    let written = address.remote.to_text();
    let again = Address::parse(&written, &hosts);
    assert_eq!(again.map(|address| address.remote), Ok(address.remote.clone()), "{written}");
    let Remote::Hosted(hosted) = &address.remote else { panic!("{written} is a folder") };
    assert_eq!(hosted.scheme, "https");
    assert!(hosted.host.contains('.') && !hosted.host.contains([':', '@', '/', '%', '\\']), "{written}");
    for part in hosted.owner.split('/').chain([&hosted.name[..]]) {
        assert!(!part.is_empty() && !part.starts_with(['-', '.']), "{written}");
    }
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
});
