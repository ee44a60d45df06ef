use proptest::prelude::*;

use super::*;

fn vector_u8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn vector_u16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), vector_u16(body).as_slice()].concat()
}

/// A `server_name` extension with names of these kinds.
fn names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let list: Vec<u8> =
        names.iter().flat_map(|(kind, name)| [vec![*kind], vector_u16(name)].concat()).collect();
    extension(EXTENSION_SERVER_NAME, &vector_u16(&list))
}

/// The body of a greeting with these extensions.
fn body(extensions: &[u8]) -> Vec<u8> {
    let ciphers = vector_u16(&[0x13, 0x01, 0x13, 0x02]);
    [&[3, 3], &[7; 32][..], &vector_u8(&[9; 32]), &ciphers, &vector_u8(&[0]), &vector_u16(extensions)]
        .concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[CLIENT_HELLO, length[1], length[2], length[3]], body].concat()
}

fn record(content: &[u8]) -> Vec<u8> {
    [&[KIND_HANDSHAKE, 3, 1], vector_u16(content).as_slice()].concat()
}

/// A greeting in one record.
fn hello(extensions: &[u8]) -> Vec<u8> {
    record(&message(&body(extensions)))
}

fn named(name: &[u8]) -> Vec<u8> {
    hello(&names(&[(NAME_KIND_HOST, name)]))
}

fn host(name: &str) -> Result<Option<Host>, NotAHello> {
    Ok(Some(name.parse().unwrap()))
}

#[test]
fn the_name_is_found_among_other_extensions() {
    let others =
        [extension(10, &[0, 2, 0, 29]), extension(0x0a0a, &[]), extension(0xfe0d, &[1; 200])].concat();
    let name = names(&[(NAME_KIND_HOST, b"Registry.example.com")]);
    for extensions in [[&others[..], &name].concat(), [&name[..], &others].concat()] {
        assert_eq!(server_name(&hello(&extensions)), host("registry.example.com"));
    }
    // The key share that withstands quantum computers.
    let large = [extension(51, &[5; 1300]), name].concat();
    assert_eq!(server_name(&hello(&large)), host("registry.example.com"));
}

#[test]
fn a_greeting_may_come_in_any_pieces() {
    let whole = named(b"a.example");
    for end in 0..whole.len() {
        assert_eq!(server_name(&whole[..end]), Ok(None), "{end}");
    }
    let message = message(&body(&names(&[(NAME_KIND_HOST, b"a.example")])));
    for size in [1, 3, 7, 100] {
        let records: Vec<u8> = message.chunks(size).flat_map(record).collect();
        assert_eq!(server_name(&records), host("a.example"), "records of {size}");
        assert_eq!(server_name(&records[..records.len() - 1]), Ok(None));
    }
    // What comes after it is not looked at.
    assert_eq!(server_name(&[whole, b"whatever".to_vec()].concat()), host("a.example"));
}

#[test]
fn a_greeting_must_name_one_host() {
    let name = |name: &'static [u8]| (NAME_KIND_HOST, name);
    for (extensions, what) in [
        (vec![], "no extension"),
        (extension(10, &[0, 2, 0, 29]), "another extension"),
        (names(&[]), "an empty list"),
        (names(&[name(b"a.example"), name(b"b.example")]), "two names"),
        (names(&[(1, b"a.example")]), "a name of another kind"),
        ([names(&[name(b"a.example")]), names(&[name(b"a.example")])].concat(), "two extensions"),
        (names(&[name(b"")]), "an empty name"),
        (names(&[name(b"a.example.")]), "a dot at the end"),
        (names(&[name(b"127.0.0.1")]), "an address"),
        (names(&[name(b"a.example\0.b.example")]), "a zero byte"),
        (names(&[name(b"a_b.example")]), "an underscore"),
        (names(&[name(b"\xff.example")]), "no text"),
        (extension(EXTENSION_SERVER_NAME, b"\0\x05\0\0\x09a.e"), "a list that is cut"),
    ] {
        assert_eq!(server_name(&hello(&extensions)), Err(NotAHello::NoName), "{what}");
    }
    let without_extensions = [&[3, 3], &[7; 32][..], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
    assert_eq!(server_name(&record(&message(&without_extensions))), Err(NotAHello::NoName));
}

#[test]
fn what_is_not_tls_is_refused_at_its_first_bytes() {
    for bytes in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"SSH-2.0-x\r\n",
        b"\x80\x2e\x01\x03\x01",
        b"\x15\x03\x01\0\x02\x01\0",
        b"\x16\x02",
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\x40\x01",
        b"\x16\x03\x01\0\x04\x02\0\0\0",
        b"\x17",
    ] {
        assert_eq!(server_name(bytes), Err(NotAHello::NotTls), "{bytes:?}");
    }
    let second_is_other = [record(&[CLIENT_HELLO]), b"\x17\x03\x01".to_vec()].concat();
    assert_eq!(server_name(&second_is_other), Err(NotAHello::NotTls));
    let cut = message(&body(&[])[..40]);
    assert_eq!(server_name(&record(&cut)), Err(NotAHello::NotTls));
    let longer = message(&[body(&names(&[(NAME_KIND_HOST, b"a.example")])), vec![0]].concat());
    assert_eq!(server_name(&record(&longer)), Err(NotAHello::NotTls));
}

#[test]
fn a_greeting_without_end_is_refused() {
    let claims = record(&[CLIENT_HELLO, 0, 0x40, 1]);
    assert_eq!(server_name(&claims), Err(NotAHello::TooLong));
    // The largest that is taken, one byte a record: its headers alone are more than that.
    let crumbs: Vec<u8> = message(&[0; HELLO_BYTES_MAX]).chunks(1).flat_map(record).collect();
    assert_eq!(server_name(&crumbs), Err(NotAHello::TooLong));
}

proptest! {
    #[test]
    fn no_bytes_break_it_and_more_of_them_change_no_verdict(
        seed in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..300, byte: u8, cut in 0_usize..300
    ) {
        let mut bytes = named(b"registry.example.com");
        let length = bytes.len();
        bytes[at % length] = byte;
        for bytes in [bytes, seed] {
            let cut = cut % (bytes.len() + 1);
            match server_name(&bytes[..cut]) {
                Ok(None) => {}
                certain => prop_assert_eq!(server_name(&bytes), certain),
            }
        }
    }

    #[test]
    fn a_name_is_found_however_it_is_cut_up(name in "[a-z]{1,20}(\\.[a-z]{2,10}){1,3}", size in 1_usize..64) {
        let message = message(&body(&names(&[(NAME_KIND_HOST, name.as_bytes())])));
        let records: Vec<u8> = message.chunks(size).flat_map(record).collect();
        prop_assert_eq!(server_name(&records), host(&name));
    }
}
