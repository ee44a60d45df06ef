//! Frames: a 32-bit little-endian length and a postcard message of that many bytes.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::FRAME_BYTES_MAX;

/// The length in front of every message.
pub const LENGTH_BYTES: usize = 4;

/// Writes `message` as a frame.
///
/// # Errors
/// When it is longer than [`FRAME_BYTES_MAX`].
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(message, vec![0; LENGTH_BYTES]).map_err(io::Error::other)?;
    let length = body_length(frame.len() - LENGTH_BYTES)?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The length that a frame begins with.
///
/// # Errors
/// When it is longer than [`FRAME_BYTES_MAX`].
pub fn length(prefix: [u8; LENGTH_BYTES]) -> io::Result<usize> {
    let length = u32::from_le_bytes(prefix) as usize;
    body_length(length)?;
    Ok(length)
}

/// Reads the message of a frame's `body`.
///
/// # Errors
/// When it is not such a message.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(io::Error::other)
}

/// Reads a frame; nothing when `from` ends before one begins.
///
/// # Errors
/// When `from` ends within a frame, or the frame is too long or not such a message.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut prefix = [0; LENGTH_BYTES];
    match from.read(&mut prefix[..1]) {
        Ok(0) => return Ok(None),
        Ok(_) => from.read_exact(&mut prefix[1..])?,
        Err(error) => return Err(error),
    }
    let mut body = vec![0; length(prefix)?];
    from.read_exact(&mut body)?;
    decode(&body).map(Some)
}

fn body_length(bytes: usize) -> io::Result<u32> {
    let too_long =
        || io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {bytes} bytes is too long"));
    if bytes > FRAME_BYTES_MAX { Err(too_long()) } else { u32::try_from(bytes).map_err(|_| too_long()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Answer, Ended, Ran, Said};

    #[test]
    fn a_frame_is_read_as_it_was_written_and_a_cut_one_is_an_error() {
        let ran =
            Ran { output: "ö\n".to_owned(), output_bytes: 3, ended: Ended::Exited(-1), duration_ms: 7 };
        let answer = Answer { id: u64::MAX, said: Said::Ran(ran) };
        let frame = encode(&answer).unwrap();
        let mut both = [frame.clone(), frame.clone()].concat();
        let mut from = &both[..];
        assert_eq!(read::<Answer>(&mut from).unwrap(), Some(answer.clone()));
        assert_eq!(read::<Answer>(&mut from).unwrap(), Some(answer));
        assert_eq!(read::<Answer>(&mut from).unwrap(), None);
        both.pop();
        let mut from = &both[frame.len()..];
        assert_eq!(read::<Answer>(&mut from).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_read() {
        let mut from = &b"\xff\xff\xff\xff"[..];
        assert_eq!(read::<Answer>(&mut from).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
