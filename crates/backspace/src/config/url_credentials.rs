//! The credentials that stand in addresses, in every form in which they may turn up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What of the addresses in `text` opens something: the password as it stands there and as it is, or the name where there
/// is no password; and the two as a header has them, since short ones are not looked for by themselves.
pub(super) fn in_text(text: &str) -> Vec<String> {
    text.split([',', ' ', '\n', '\t']).filter_map(userinfo).flat_map(forms).collect()
}

/// What stands between `://` and the last `@` before the host's end.
fn userinfo(word: &str) -> Option<&str> {
    let (_, rest) = word.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password with a slash in it that is not encoded, and no port: whoever wrote it means it so.
    let is_cut = authority.split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err());
    let end = authority.rfind('@').or_else(|| rest.rfind('@').filter(|_| is_cut))?;
    rest.get(..end).filter(|userinfo| !userinfo.is_empty())
}

fn forms(userinfo: &str) -> Vec<String> {
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let secret = if password.is_empty() { name } else { password };
    let pair = STANDARD.encode(format!("{}:{}", plain(name), plain(password)));
    vec![secret.to_owned(), plain(secret), pair]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_its_credentials_and_other_text_none() {
        let pair = |pair: &str| STANDARD.encode(pair);
        let cases: [(&str, Vec<String>); 6] = [
            ("http://u:p%40ss@h:1/", vec!["p%40ss".into(), "p@ss".into(), pair("u:p@ss")]),
            ("x https://token@h", vec!["token".into(), "token".into(), pair("token:")]),
            ("postgres://u:a/b@h/d", vec!["a/b".into(), "a/b".into(), pair("u:a/b")]),
            ("https://h/@scope", vec![]),
            ("https://h:443/@scope", vec![]),
            ("me@example.org sqlite:/x@y", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(in_text(text), expected, "{text}");
        }
    }
}
