//! The licences that the offline agent knows, by their SPDX ids.

/// A licence, its text filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Licence {
    id: &'static str,
    text: String,
}

/// Where the line with year and holder stands in those that have one.
const COPYRIGHT: &str = "{copyright}";

/// Ids and texts, as SPDX lists them.
const KNOWN: [(&str, &str); 7] = [
    ("MIT", include_str!("licences/MIT.txt")),
    ("ISC", include_str!("licences/ISC.txt")),
    ("0BSD", include_str!("licences/0BSD.txt")),
    ("BSD-2-Clause", include_str!("licences/BSD-2-Clause.txt")),
    ("BSD-3-Clause", include_str!("licences/BSD-3-Clause.txt")),
    ("Unlicense", include_str!("licences/Unlicense.txt")),
    ("Apache-2.0", include_str!("../../../../LICENSE-APACHE")),
];

impl Licence {
    /// The licence of this id, in any case of letters, for `holder` since `year`.
    ///
    /// # Errors
    /// What is missing or too much, for people.
    pub(super) fn new(id: &str, holder: &str, year: Option<&str>) -> Result<Self, String> {
        let Some((id, text)) = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(id)).copied() else {
            let ids: Vec<&str> = KNOWN.iter().map(|(id, _)| *id).collect();
            return Err(format!("it has no licence {id}; it has {}", ids.join(", ")));
        };
        let text = match (text.contains(COPYRIGHT), holder) {
            (true, "") => {
                return Err(format!(
                    "the licence {id} names its holder: say \u{201c}Add the {id} licence for NAME, YEAR\u{201d}"
                ));
            }
            (false, "") => text.to_owned(),
            (false, _) => return Err(format!("the licence {id} names no holder: leave it out")),
            (true, holder) => {
                let year = year.map(|year| format!("{year} ")).unwrap_or_default();
                text.replace(COPYRIGHT, &format!("Copyright (c) {year}{holder}"))
            }
        };
        // One of the texts begins with an empty line; a file does not have to.
        Ok(Self { id, text: text.trim_start_matches('\n').to_owned() })
    }

    pub(super) fn id(&self) -> &'static str {
        self.id
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}
