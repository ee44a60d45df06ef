//! Where a vendor is reached: an address with places for settings.

use std::net::IpAddr;

use serde::Deserialize;

use super::words::is_variable;

/// An address such as `{OLLAMA_HOST|127.0.0.1:11434}/v1`: `{NAME}` is the value of a setting, `{NAME|else}` has a value
/// without it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Fixed(String),
    Place { variable: String, otherwise: Option<String> },
}

/// An address, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) base_url: String,
    pub(super) owner: Owner,
}

/// Whose server stands at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The vendor's.
    Vendor,
    /// Somebody else's: a setting has put another server in the place of the vendor's.
    Other,
}

impl Template {
    /// The settings that have a place in it.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Place { variable, .. } => Some(variable.as_str()),
            Piece::Fixed(_) => None,
        })
    }

    /// Whether it is an address without any setting.
    pub(super) fn holds_without_settings(&self) -> bool {
        self.fill(|_| None, None).is_ok()
    }

    /// What holds without the setting `name`.
    pub(super) fn otherwise(&self, name: &str) -> Option<String> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Place { variable, otherwise } if variable == name => otherwise.clone(),
            Piece::Place { .. } | Piece::Fixed(_) => None,
        })
    }

    /// The address, with `setting` as the values; `port` is that of a value without scheme and port.
    ///
    /// # Errors
    /// The first setting that is needed and is not there.
    pub(super) fn fill(
        &self,
        setting: impl Fn(&str) -> Option<String>,
        port: Option<u16>,
    ) -> Result<Filled, &str> {
        let mut filled = Filled { base_url: String::new(), owner: Owner::Vendor };
        for piece in &self.pieces {
            match piece {
                Piece::Fixed(text) => filled.base_url.push_str(text),
                Piece::Place { variable, otherwise } => {
                    let given = setting(variable);
                    if let (Some(given), Some(otherwise)) = (&given, otherwise)
                        && !is_below(host(given), host(otherwise))
                    {
                        filled.owner = Owner::Other;
                    }
                    let value = given.as_ref().or(otherwise.as_ref()).ok_or(variable.as_str())?;
                    filled.base_url.push_str(without_slash(value.trim()));
                }
            }
        }
        if !filled.base_url.contains("://") {
            filled.base_url = with_scheme(&filled.base_url, port);
        }
        Ok(filled)
    }
}

/// What is put before a path; a scheme alone stays what it is, to be refused.
fn without_slash(address: &str) -> &str {
    let shorter = address.trim_end_matches('/');
    if shorter.ends_with(':') { address } else { shorter }
}

/// Whether `host` is `of` or below it: eu.api.openai.com is OpenAI's as well.
fn is_below(host: &str, of: &str) -> bool {
    host.eq_ignore_ascii_case(of)
        || host
            .to_ascii_lowercase()
            .strip_suffix(&of.to_ascii_lowercase())
            .is_some_and(|rest| rest.ends_with('.'))
}

/// The host and port of an address.
fn host(address: &str) -> &str {
    let address = address.trim();
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Names that only a network of one's own has.
const NEAR_DOMAINS: [&str; 5] = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];

/// Whether `host`, as a URL has it, is this machine or one in its own network, as far as its name or address tells.
pub(super) fn is_near(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => !host.contains('.') || NEAR_DOMAINS.iter().any(|domain| host.ends_with(domain)),
    }
}

fn with_scheme(address: &str, port: Option<u16>) -> String {
    let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match port.filter(|_| !has_port) {
        Some(port) => format!("http://{host}:{port}{path}"),
        None => format!("http://{address}"),
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, after)) = after.split_once('}') else {
                return Err(format!("`{text}` has a `{{` without its `}}`"));
            };
            let (variable, otherwise) = match place.split_once('|') {
                Some((variable, otherwise)) => (variable, Some(otherwise.to_owned())),
                None => (place, None),
            };
            if !is_variable(variable) {
                return Err(format!(
                    "`{variable}` in `{text}` is not the name of a setting: capitals, digits and `_`"
                ));
            }
            if !before.is_empty() {
                pieces.push(Piece::Fixed(before.to_owned()));
            }
            pieces.push(Piece::Place { variable: variable.to_owned(), otherwise });
            rest = after;
        }
        if rest.contains('}') {
            return Err(format!("`{text}` has a `}}` without its `{{`"));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Fixed(rest.to_owned()));
        }
        if pieces.is_empty() {
            return Err("an address is needed".to_owned());
        }
        Ok(Self { pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, value: Option<&str>) -> Result<(String, Owner), String> {
        let template = Template::try_from(template.to_owned())?;
        let filled = template.fill(|_| value.map(str::to_owned), Some(11434));
        filled.map(|filled| (filled.base_url, filled.owner)).map_err(str::to_owned)
    }

    #[test]
    fn a_setting_takes_its_place() {
        let openai = "{OPENAI_BASE_URL|https://api.openai.com/v1}";
        let ours = |url: &str| Ok((url.to_owned(), Owner::Vendor));
        let others = |url: &str| Ok((url.to_owned(), Owner::Other));
        assert_eq!(filled(openai, None), ours("https://api.openai.com/v1"));
        assert_eq!(
            filled(openai, Some("https://eu.api.openai.com/v1/")),
            ours("https://eu.api.openai.com/v1")
        );
        assert_eq!(filled(openai, Some("https://API.OpenAI.com/v1")), ours("https://API.OpenAI.com/v1"));
        assert_eq!(
            filled(openai, Some("https://evilapi.openai.com/v1")),
            others("https://evilapi.openai.com/v1")
        );
        assert_eq!(filled(openai, Some(" http://127.0.0.1:1/v1 ")), others("http://127.0.0.1:1/v1"));
        let azure = "{AZURE_OPENAI_ENDPOINT}/openai/v1";
        assert_eq!(
            filled(azure, Some("https://r.openai.azure.com/")),
            ours("https://r.openai.azure.com/openai/v1")
        );
        assert_eq!(filled(azure, None), Err("AZURE_OPENAI_ENDPOINT".to_owned()));
    }

    #[test]
    fn a_host_alone_gets_scheme_and_port() {
        let ollama = "{OLLAMA_HOST|127.0.0.1:11434}/v1";
        for (given, expected) in [
            (None, "http://127.0.0.1:11434/v1"),
            (Some("box"), "http://box:11434/v1"),
            (Some("box:80"), "http://box:80/v1"),
            (Some("https://box"), "https://box/v1"),
            (Some("[::1]"), "http://[::1]:11434/v1"),
            (Some("[::1]:9"), "http://[::1]:9/v1"),
        ] {
            assert_eq!(filled(ollama, given).unwrap().0, expected);
        }
    }

    #[test]
    fn hosts_are_near_or_not() {
        for host in ["localhost", "litellm", "box.lan", "127.0.0.1", "10.1.2.3", "[::1]", "[fd00::1]"] {
            assert!(is_near(host), "{host}");
        }
        for host in ["api.openai.com", "lan.example", "local.", "8.8.8.8", "172.32.0.1", "[2606:4700::1]"] {
            assert!(!is_near(host), "{host}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, why) in [
            ("", "an address is needed"),
            ("{OPEN", "without its `}`"),
            ("https://x/}", "without its `{`"),
            ("{lower}/v1", "`lower` in `{lower}/v1` is not the name of a setting"),
        ] {
            let error = Template::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
