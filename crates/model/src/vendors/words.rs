//! The small values of the table of vendors, each checked where it is read, so that an error knows its line.

use std::time::Duration;

use serde::Deserialize;

/// Declares a text that is checked when it is read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $holds:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub(super) struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let holds: fn(&str) -> bool = $holds;
                if holds(&text) { Ok(Self(text)) } else { Err(format!("`{text}` is not {}", $what)) }
            }
        }

        impl $name {
            pub(super) fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

checked_text! {
    /// A vendor's name, as requests and `BACKSPACE_PROVIDERS` say it.
    VendorName,
    |text| text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
    "a vendor's name: small letters, digits and `-`"
}

checked_text! {
    /// The name of a setting.
    Variable,
    is_variable,
    "the name of a setting: capitals, digits and `_`"
}

checked_text! {
    /// A model's name, or the beginning of one and `*`.
    ModelPattern,
    |text| !text.is_empty()
        && !text.trim_end_matches('*').contains('*')
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control()),
    "a model's name, which may end in one `*`"
}

checked_text! {
    /// A field of a message.
    FieldName,
    |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
    "the name of a field: letters, digits, `_` and `-`"
}

checked_text! {
    /// A day.
    Day,
    is_day,
    "a day such as 2026-11-18"
}

checked_text! {
    /// A page on the web.
    Link,
    |text| text.starts_with("https://") && text.len() > "https://".len(),
    "an address that begins with https://"
}

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Usd(f64);

/// Fields of a JSON object, as they are put behind its others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(crate) struct Fields(String);

/// What a message or a call has by itself; twice the same field would be anybody's guess.
const OWN_FIELDS: [&str; 8] =
    ["role", "content", "tool_calls", "tool_call_id", "name", "id", "type", "function"];

/// A number of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct AtLeastOne(u32);

/// A number of seconds for which a server may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Idle(u64);

/// Shorter silences are those of servers that work: a model that thinks sends nothing for a while.
const IDLE_SECONDS_MIN: u64 = 10;
/// Longer ones are those of servers that are dead: an hour loads any model from any disk.
const IDLE_SECONDS_MAX: u64 = 3600;

/// Whether `text` could be the name of a setting.
pub(super) fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_day(text: &str) -> bool {
    let shape = |(n, b): (usize, u8)| if matches!(n, 4 | 7) { b == b'-' } else { b.is_ascii_digit() };
    text.len() == "2026-11-18".len() && text.bytes().enumerate().all(shape)
}

impl TryFrom<f64> for Usd {
    type Error = String;

    fn try_from(usd: f64) -> Result<Self, String> {
        if usd.is_finite() && usd >= 0.0 { Ok(Self(usd)) } else { Err(format!("{usd} is no price")) }
    }
}

impl Usd {
    pub(super) fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<toml::Table> for Fields {
    type Error = String;

    fn try_from(table: toml::Table) -> Result<Self, String> {
        if let Some(own) = table.keys().find(|key| OWN_FIELDS.contains(&key.as_str())) {
            return Err(format!("`{own}` is a field that is there by itself"));
        }
        let json = serde_json::to_string(&table).map_err(|error| format!("is no JSON: {error}"))?;
        let inner = json.trim_start_matches('{').strip_suffix('}').unwrap_or_default();
        Ok(Self(if table.is_empty() { String::new() } else { format!(",{inner}") }))
    }
}

impl Fields {
    /// What is written behind the last field of an object.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<u64> for Idle {
    type Error = String;

    fn try_from(seconds: u64) -> Result<Self, String> {
        if (IDLE_SECONDS_MIN..=IDLE_SECONDS_MAX).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(format!(
            "a server may be silent for {IDLE_SECONDS_MIN} to {IDLE_SECONDS_MAX} seconds, not for {seconds}"
        ))
    }
}

impl Idle {
    pub(super) fn get(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl TryFrom<u32> for AtLeastOne {
    type Error = String;

    fn try_from(tokens: u32) -> Result<Self, String> {
        if tokens > 0 { Ok(Self(tokens)) } else { Err("0 is no number of tokens".to_owned()) }
    }
}

impl AtLeastOne {
    pub(super) fn get(self) -> u32 {
        self.0
    }
}
