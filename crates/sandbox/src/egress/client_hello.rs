//! The first words of a TLS client, which say in the clear whom it wants to speak to.

use super::Host;

/// The longest greeting that is read. Post-quantum ones have two kilobytes.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

/// A TLS record's header: kind, version, length.
const RECORD_HEADER: usize = 5;
/// The longest record of plain text.
const RECORD_BYTES_MAX: usize = 1 << 14;
const KIND_HANDSHAKE: u8 = 22;
const VERSION_MAJOR: u8 = 3;
const CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_KIND_HOST: u8 = 0;

/// Why a greeting is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotAHello {
    /// Another protocol than TLS, or a broken one.
    #[error("only TLS is let through")]
    NotTls,
    /// A greeting without end.
    #[error("the TLS greeting is longer than {HELLO_BYTES_MAX} bytes")]
    TooLong,
    /// It does not say whom it is for, or says it twice, or names what is no host.
    #[error("the TLS greeting must name the host (SNI)")]
    NoName,
}

/// The host that a greeting names; nothing when more of it is to come.
///
/// A greeting may be split over several records and arrive in any pieces. With an encrypted one (ECH) inside, this is the
/// name outside, which is the one that the server is reached by.
///
/// # Errors
/// [`NotAHello`], as soon as it is certain.
pub fn server_name(bytes: &[u8]) -> Result<Option<Host>, NotAHello> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        if let Some(body) = whole_message(&message)? {
            return name_in(body).map(Some);
        }
        if bytes.len() - rest.len() > HELLO_BYTES_MAX {
            return Err(NotAHello::TooLong);
        }
        let Some(fragment) = next_record(&mut rest)? else { return Ok(None) };
        message.extend_from_slice(fragment);
    }
}

/// The content of the next record; what is there of one that is still to come must fit as well.
fn next_record<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, NotAHello> {
    let header = &bytes[..bytes.len().min(RECORD_HEADER)];
    let fits = |at: usize, byte: u8| header.get(at).is_none_or(|there| *there == byte);
    if !fits(0, KIND_HANDSHAKE) || !fits(1, VERSION_MAJOR) {
        return Err(NotAHello::NotTls);
    }
    let &[_, _, _, high, low] = header else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !(1..=RECORD_BYTES_MAX).contains(&length) {
        return Err(NotAHello::NotTls);
    }
    let Some(content) = bytes.get(RECORD_HEADER..RECORD_HEADER + length) else { return Ok(None) };
    *bytes = &bytes[RECORD_HEADER + length..];
    Ok(Some(content))
}

/// The body of the handshake message, once it is all there.
fn whole_message(message: &[u8]) -> Result<Option<&[u8]>, NotAHello> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(NotAHello::NotTls);
    }
    let &[_, a, b, c, ref rest @ ..] = message else { return Ok(None) };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > HELLO_BYTES_MAX {
        return Err(NotAHello::TooLong);
    }
    Ok(rest.get(..length))
}

/// The host in the one `server_name` extension of a greeting.
fn name_in(hello: &[u8]) -> Result<Host, NotAHello> {
    let mut hello = Reader(hello);
    hello.take(2 + 32).ok_or(NotAHello::NotTls)?;
    hello.vector_u8().ok_or(NotAHello::NotTls)?;
    hello.vector_u16().ok_or(NotAHello::NotTls)?;
    hello.vector_u8().ok_or(NotAHello::NotTls)?;
    if hello.0.is_empty() {
        // TLS 1.0 knew greetings without extensions.
        return Err(NotAHello::NoName);
    }
    let mut extensions = Reader(hello.vector_u16().ok_or(NotAHello::NotTls)?);
    if !hello.0.is_empty() {
        return Err(NotAHello::NotTls);
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.u16().ok_or(NotAHello::NotTls)?;
        let body = extensions.vector_u16().ok_or(NotAHello::NotTls)?;
        if kind == EXTENSION_SERVER_NAME && found.replace(body).is_some() {
            return Err(NotAHello::NoName);
        }
    }
    the_one_name(found.ok_or(NotAHello::NoName)?).ok_or(NotAHello::NoName)
}

/// The list has one name, and it is a host's.
fn the_one_name(list: &[u8]) -> Option<Host> {
    let mut list = Reader(list);
    let mut names = Reader(list.vector_u16()?);
    let kind = names.take(1)?;
    let name = names.vector_u16()?;
    if kind != [NAME_KIND_HOST] || !names.0.is_empty() || !list.0.is_empty() {
        return None;
    }
    // The standard has no dot at the end here, and servers differ in what they make of one.
    std::str::from_utf8(name).ok().filter(|name| !name.ends_with('.'))?.parse().ok()
}

/// What is still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector_u8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }

    fn vector_u16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests;
