//! The name of a host, read by one strict rule wherever one is written: in a setting, a request, a TLS greeting.

use std::fmt;
use std::str::FromStr;

/// The longest name that DNS knows.
const NAME_BYTES_MAX: usize = 253;
/// The longest part of a name between two dots.
const LABEL_BYTES_MAX: usize = 63;

/// The name of a host: lower-case ASCII letters, digits and hyphens in parts between dots. Never an address, in
/// whatever notation, and never anything that two programs could read as two different names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

/// What is no name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotAHost {
    /// Empty, or too long.
    #[error(
        "a host's name has 1 to {NAME_BYTES_MAX} characters, and 1 to {LABEL_BYTES_MAX} between two dots"
    )]
    Length,
    /// Something that a host's name does not have: a port, a path, a wildcard, a letter that is not ASCII.
    #[error(
        "a host's name has ASCII letters, digits, dots and hyphens only (write international names as xn--…); no port, \
         no wildcard"
    )]
    Character,
    /// A part begins or ends with a hyphen.
    #[error("no part of a host's name begins or ends with a hyphen")]
    Hyphen,
    /// A number, that some programs would take for an address.
    #[error("this is an address, not a host's name")]
    Address,
}

impl Host {
    /// The name, lower-case and without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        // The root's dot says nothing; two of them are an empty part.
        let name = text.strip_suffix('.').unwrap_or(text);
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return Err(NotAHost::Length);
        }
        for label in name.split('.') {
            if !(1..=LABEL_BYTES_MAX).contains(&label.len()) {
                return Err(NotAHost::Length);
            }
            if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(NotAHost::Character);
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(NotAHost::Hyphen);
            }
        }
        let name = name.to_ascii_lowercase();
        if ends_in_a_number(&name) { Err(NotAHost::Address) } else { Ok(Self(name)) }
    }
}

/// Libraries read `127.1`, `2130706433`, `0x7f.1` and `017700000001` as addresses; what they have in common is that the
/// last part is a number, and no top-level domain is one.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    last.bytes().all(|byte| byte.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(hexadecimal)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_in_one_way() {
        for (text, name) in [
            ("registry.example.com", "registry.example.com"),
            ("Registry.EXAMPLE.com", "registry.example.com"),
            ("registry.example.com.", "registry.example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("a-b.1c", "a-b.1c"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("0xg.0xfg", "0xg.0xfg"),
        ] {
            assert_eq!(text.parse::<Host>().map(|host| host.0), Ok(name.to_owned()), "{text}");
        }
        let longest = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        assert_eq!(longest.parse::<Host>().unwrap().as_str(), longest);
        assert_eq!(format!("{longest}.").parse::<Host>().unwrap().as_str(), longest);
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long = "a".repeat(64);
        let longer = format!("{}a", "abc.".repeat(63) + "ab");
        for (text, why) in [
            ("", NotAHost::Length),
            (".", NotAHost::Length),
            ("..", NotAHost::Length),
            ("example.com..", NotAHost::Length),
            (".example.com", NotAHost::Length),
            ("a..b", NotAHost::Length),
            (long.as_str(), NotAHost::Length),
            (longer.as_str(), NotAHost::Length),
            ("*.example.com", NotAHost::Character),
            ("example.com:443", NotAHost::Character),
            ("example.com/x", NotAHost::Character),
            ("example.com#.allowed.com", NotAHost::Character),
            ("example.com\\.allowed.com", NotAHost::Character),
            ("evil.com\0.allowed.com", NotAHost::Character),
            ("user@example.com", NotAHost::Character),
            ("example%2ecom", NotAHost::Character),
            ("exa mple.com", NotAHost::Character),
            ("example.com\r\nX: y", NotAHost::Character),
            ("_dmarc.example.com", NotAHost::Character),
            ("b\u{fc}cher.example", NotAHost::Character),
            ("example\u{3002}com", NotAHost::Character),
            ("\u{ff45}xample.com", NotAHost::Character),
            ("\u{212a}.com", NotAHost::Character),
            ("[::1]", NotAHost::Character),
            ("::1", NotAHost::Character),
            ("[::ffff:127.0.0.1]", NotAHost::Character),
            ("-a.com", NotAHost::Hyphen),
            ("a-.com", NotAHost::Hyphen),
            ("127.0.0.1", NotAHost::Address),
            ("127.0.0.1.", NotAHost::Address),
            ("127.1", NotAHost::Address),
            ("2130706433", NotAHost::Address),
            ("017700000001", NotAHost::Address),
            ("0x7f000001", NotAHost::Address),
            ("0X7F.1", NotAHost::Address),
            ("0x7f.0x1", NotAHost::Address),
            ("1.1.1.0x", NotAHost::Address),
            ("127.0.0.08", NotAHost::Address),
            ("example.0", NotAHost::Address),
        ] {
            assert_eq!(text.parse::<Host>(), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_a_name_that_no_parser_reads_as_an_address(text in "[ -~]{1,40}|[0-9a-fx.]{1,20}|\\PC{1,12}") {
            let Ok(host) = text.parse::<Host>() else { return Ok(()) };
            let name = host.as_str();
            prop_assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')), "{}", name);
            prop_assert!(text.trim_end_matches('.').eq_ignore_ascii_case(name), "{}", name);
            prop_assert!(name.parse::<std::net::IpAddr>().is_err(), "{}", name);
            let url = url::Url::parse(&format!("https://{name}/")).unwrap();
            prop_assert!(matches!(url.host(), Some(url::Host::Domain(domain)) if domain == name), "{}", name);
            prop_assert_eq!(name.parse::<Host>(), Ok(host.clone()));
        }
    }
}
