//! The one request that is understood: `CONNECT host:443`.

use super::{Host, NotAHost};

/// A request of any tool has a few hundred bytes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The only port: what is to be had there speaks TLS, and TLS says whom it speaks to.
pub const PORT: u16 = 443;

/// A request head that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Whom it asks for.
    pub host: Host,
    /// How many bytes it has; what follows them is for the host.
    pub bytes: usize,
}

/// Why a request is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotConnect {
    /// Not a request head of HTTP/1, or longer than any.
    #[error("this is no HTTP/1.1 request; SOCKS and other protocols are not spoken here")]
    Malformed,
    /// Another method: plain HTTP through a proxy.
    #[error("only CONNECT is answered: use https:// instead of http://")]
    Method,
    /// Another port.
    #[error("only port {PORT} is let through")]
    Port,
    /// A host that is none.
    #[error("{0}")]
    Host(NotAHost),
    /// It announces a body.
    #[error("a CONNECT request has no body")]
    Body,
}

/// Reads a request head; nothing when more of it is to come.
///
/// Python's HTTP client said `HTTP/1.0` until 3.12, so both versions are taken. Every line must end in CR LF, no header
/// may be folded: what two programs could read in two ways is refused.
///
/// # Errors
/// [`NotConnect`], as soon as it is certain.
pub fn read(bytes: &[u8]) -> Result<Option<Connect>, NotConnect> {
    // A client of another protocol waits for an answer to much less than a head.
    if bytes.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        return Err(NotConnect::Malformed);
    }
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() < HEAD_BYTES_MAX { Ok(None) } else { Err(NotConnect::Malformed) };
    };
    if end > HEAD_BYTES_MAX {
        return Err(NotConnect::Malformed);
    }
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| NotConnect::Malformed)?;
    let mut lines = head.split("\r\n");
    let host = request_line(lines.next().unwrap_or_default())?;
    lines.try_for_each(header)?;
    Ok(Some(Connect { host, bytes: end + b"\r\n\r\n".len() }))
}

/// `CONNECT host:443 HTTP/1.1`, with single spaces.
fn request_line(line: &str) -> Result<Host, NotConnect> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(NotConnect::Malformed);
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(NotConnect::Malformed);
    }
    if method != "CONNECT" {
        let is_token = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        return Err(if is_token { NotConnect::Method } else { NotConnect::Malformed });
    }
    // Whatever else the target holds, a second colon among it, is no host's name.
    let (host, port) = target.rsplit_once(':').ok_or(NotConnect::Port)?;
    let host = host.parse().map_err(NotConnect::Host)?;
    // Not parsed: `0443` and `+443` are other ways to say it.
    if port == "443" { Ok(host) } else { Err(NotConnect::Port) }
}

/// Nothing of it is used; it must only be beyond doubt where it ends.
fn header(line: &str) -> Result<(), NotConnect> {
    let (name, value) = line.split_once(':').ok_or(NotConnect::Malformed)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty()
        || !name.bytes().all(token)
        || value.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control())
    {
        return Err(NotConnect::Malformed);
    }
    let announces = name.eq_ignore_ascii_case("transfer-encoding")
        || (name.eq_ignore_ascii_case("content-length") && value.trim() != "0");
    if announces { Err(NotConnect::Body) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(name: &str) -> Host {
        name.parse().unwrap()
    }

    #[test]
    fn requests_of_real_tools_are_understood() {
        for head in [
            // npm 11, pip 23 on Python 3.11, cargo 1.95, curl 7.88, Go 1.24, OpenJDK 17.
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nConnection: close\r\n\r\n",
            "CONNECT a.example:443 HTTP/1.0\r\n\r\n",
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: cargo/1.95.0\r\nProxy-Connection: Keep-Alive\r\n\r\n",
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Basic Og==\r\nContent-Length: 0\r\n\r\n",
            "CONNECT A.Example.:443 HTTP/1.1\r\nX:\r\nY: \tz\r\n\r\n",
        ] {
            let read = read(head.as_bytes());
            assert_eq!(read, Ok(Some(Connect { host: host("a.example"), bytes: head.len() })), "{head}");
        }
    }

    #[test]
    fn what_follows_the_head_is_not_part_of_it() {
        let read = read(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n\x16\x03\x01GET / HTTP/1.1\r\n\r\n");
        assert_eq!(read, Ok(Some(Connect { host: host("a.example"), bytes: 34 })));
    }

    #[test]
    fn a_head_may_come_in_pieces() {
        let head = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(read(&head[..end]), Ok(None), "{end}");
        }
        assert!(read(head).unwrap().is_some());
        let endless = [b"CONNECT a.example:443 HTTP/1.1\r\n".as_slice(), &[b'x'; HEAD_BYTES_MAX]].concat();
        assert_eq!(read(&endless), Err(NotConnect::Malformed));
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        use NotConnect::{Body, Malformed, Method, Port};
        let address = NotConnect::Host(NotAHost::Address);
        let character = NotConnect::Host(NotAHost::Character);
        for (head, why) in [
            ("GET http://a.example/ HTTP/1.1\r\n\r\n", Method),
            ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", Method),
            ("OPTIONS * HTTP/1.1\r\n\r\n", Method),
            ("POST http://a.example:443/ HTTP/1.1\r\n\r\n", Method),
            ("CONNECTS a.example:443 HTTP/1.1\r\n\r\n", Method),
            ("PRI * HTTP/2.0\r\n\r\n", Malformed),
            ("connect a.example:443 HTTP/1.1\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.2\r\n\r\n", Malformed),
            ("CONNECT a.example:443 http/1.1\r\n\r\n", Malformed),
            ("CONNECT a.example:443\r\n\r\n", Malformed),
            ("CONNECT  a.example:443 HTTP/1.1\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1 \r\n\r\n", Malformed),
            ("CONNECT a.example:443 b.example:443 HTTP/1.1\r\n\r\n", Malformed),
            ("CONNECT\ta.example:443 HTTP/1.1\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\nHost: a\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\r\n folded: x\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\r\nX : y\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\r\nno colon\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\r\nX: a\rb\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\r\nX: a\nb: c\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\r\nX: a\0\r\n\r\n", Malformed),
            ("CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", Body),
            ("CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 00\r\n\r\n", Body),
            ("CONNECT a.example:443 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", Body),
            ("CONNECT a.example HTTP/1.1\r\n\r\n", Port),
            ("CONNECT a.example: HTTP/1.1\r\n\r\n", Port),
            ("CONNECT a.example:80 HTTP/1.1\r\n\r\n", Port),
            ("CONNECT a.example:0443 HTTP/1.1\r\n\r\n", Port),
            ("CONNECT a.example:+443 HTTP/1.1\r\n\r\n", Port),
            ("CONNECT a.example:65979 HTTP/1.1\r\n\r\n", Port),
            ("CONNECT a.example:443/ HTTP/1.1\r\n\r\n", Port),
            ("CONNECT :443 HTTP/1.1\r\n\r\n", NotConnect::Host(NotAHost::Length)),
            ("CONNECT http://a.example:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT user@a.example:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT evil.example\0.a.example:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT evil.example%00.a.example:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT evil.example#.a.example:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT evil.example:443:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT [::1]:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT ::1:443 HTTP/1.1\r\n\r\n", character),
            ("CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n", address),
            ("CONNECT 0x7f.1:443 HTTP/1.1\r\n\r\n", address),
            ("CONNECT 2130706433:443 HTTP/1.1\r\n\r\n", address),
        ] {
            assert_eq!(read(head.as_bytes()), Err(why), "{head:?}");
        }
        for bytes in [b"\x05\x01\x00".as_slice(), b"\x04\x01\x01\xbb", b"\x16\x03\x01", b"\r\n", b"\0"] {
            assert_eq!(read(bytes), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(read(b"CONNECT \xff.example:443 HTTP/1.1\r\n\r\n"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_understood_asks_for_what_it_says(
            before in "[A-Z]{0,8} ?", target in "[ -~]{0,30}|[a-z0-9.-]{1,20}:443", after in " ?[ -~\r\n]{0,30}"
        ) {
            let head = format!("{before}{target}{after}\r\n\r\n");
            if let Ok(Some(connect)) = read(head.as_bytes()) {
                prop_assert!(head.starts_with("CONNECT "), "{head:?}");
                let asked = head["CONNECT ".len()..].split(":443 HTTP/1.").next().unwrap();
                prop_assert_eq!(asked.parse::<Host>(), Ok(connect.host));
                prop_assert!(head[..connect.bytes].ends_with("\r\n\r\n"));
                prop_assert_eq!(head.find("\r\n\r\n"), Some(connect.bytes - 4));
            }
        }
    }
}
