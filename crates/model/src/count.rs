//! Counts of tokens as servers write them: some write fractions or nonsense, and no reply is lost for that.

use serde::{Deserialize, Deserializer};

/// No request and no reply has so many tokens; what is beyond counts nothing.
const TOKENS_MAX: u64 = 1_000_000_000;

/// Reads a count; what is none is as good as untold.
pub(crate) fn tokens<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(source)?;
    let rounded = || value.as_f64().filter(|count| *count >= 0.0).map(|count| count.ceil() as u64);
    Ok(value.as_u64().or_else(rounded).filter(|count| *count <= TOKENS_MAX))
}

/// Reads what a server tells of its counting; what is nothing of the kind is as good as untold.
pub(crate) fn told<'de, T, D>(source: D) -> Result<Option<T>, D::Error>
where
    T: serde::de::DeserializeOwned,
    D: Deserializer<'de>,
{
    let value = serde_json::Value::deserialize(source)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Counted {
        #[serde(default, deserialize_with = "tokens")]
        n: Option<u64>,
    }

    #[derive(Deserialize)]
    struct Told {
        #[serde(default, deserialize_with = "told")]
        usage: Option<Counted>,
    }

    #[test]
    fn what_is_no_count_is_not_told() {
        for (usage, expected) in [
            (r#"{"n":7}"#, Some(7)),
            (r#"{"n":6.2}"#, Some(7)),
            (r#"{"n":1000000000}"#, Some(1_000_000_000)),
            (r#"{"n":1000000001}"#, None),
            (r#"{"n":18446744073709551615}"#, None),
            (r#"{"n":1e300}"#, None),
            (r#"{"n":-1}"#, None),
            (r#"{"n":"many"}"#, None),
            (r#"{"n":null}"#, None),
            ("{}", None),
            ("7", None),
            ("null", None),
        ] {
            let told: Told = serde_json::from_str(&format!(r#"{{"usage":{usage}}}"#)).unwrap();
            assert_eq!(told.usage.and_then(|usage| usage.n), expected, "{usage}");
        }
    }
}
