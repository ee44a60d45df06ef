//! A TLS greeting that is let through names the host that a TLS server would read in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustls::server::Acceptor;
use sandbox::egress::client_hello::server_name;

fuzz_target!(|bytes: &[u8]| {
    let whole = server_name(bytes);
    for cut in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let part = server_name(&bytes[..cut]);
        if !matches!(part, Ok(None)) {
            assert_eq!(part, whole);
        }
    }
    let Ok(Some(host)) = whole else { return };
    // A server may refuse what we let through, but not read another name in it.
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        match acceptor.read_tls(&mut rest) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                if let Some(name) = hello.server_name() {
                    assert!(name.eq_ignore_ascii_case(host.as_str()), "{name} is not {host}");
                }
                return;
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
});
