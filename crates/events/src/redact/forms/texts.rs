//! A secret as it stands in texts: plain, and escaped as common tools do it.
//!
//! Tools differ in what they leave as it is. A value of letters and digits has one writing in all of them.

use std::fmt::Write as _;

/// Signs that are left in an address: by RFC 3986 and most libraries, by Python's `quote`, by JavaScript's
/// `encodeURIComponent` and `encodeURI`, by Go's `PathEscape`, in a path of the URL standard, by PHP's `urlencode`, and in a
/// form of the URL standard.
const LEFT_IN_ADDRESSES: &[&str] = &[
    "-._~",
    "-._~/",
    "-._~!'()*",
    "-._~!'()*;,/?:@&=+$#",
    "-._~$&+=:@",
    "-._~!$&'()*+,;=:@/[]|^\\",
    "-._",
    "*-._",
];

/// How a single and a double quote are written in HTML, beside `&amp;`, `&lt;` and `&gt;`.
const SINGLE_QUOTES: &[&str] = &["'", "&#39;", "&#x27;", "&#039;", "&apos;"];
const DOUBLE_QUOTES: &[&str] = &["\"", "&quot;", "&#34;"];
/// Signs that template engines escape as well: most none, Handlebars, Mustache.
const MORE_IN_HTML: &[&str] = &["", "`=", "`=/"];

/// Signs that are written by their number in JSON: by Go and Rails, by Gson, by .NET, by PHP when asked to.
const NUMBERED_IN_JSON: &[&str] = &["<>&", "<>&='", "<>&'\"+`", "<>&'\""];

/// Signs before which a backslash is set: by bash's `%q`, where `#` and `~` may be meant or not; within double quotes of a
/// shell; by Python's `re.escape`.
const ESCAPED_IN_SHELLS: &[&str] = &[
    " '\"\\|&;()<>!{}*[]?^$`,",
    " '\"\\|&;()<>!{}*[]?^$`,~",
    " '\"\\|&;()<>!{}*[]?^$`,#",
    " '\"\\|&;()<>!{}*[]?^$`,#~",
    "\"\\$`",
    "\"\\$`!",
    " ()[]{}?*+-|^$\\.&~#",
];
/// How a single quote is written within single quotes of a shell.
const QUOTES_IN_QUOTES: &[&str] = &["'\\''", "'\"'\"'", "\\'"];

/// The digits of a number in base 16.
#[derive(Clone, Copy)]
enum Digits {
    Upper,
    Lower,
}

const DIGITS: [Digits; 2] = [Digits::Upper, Digits::Lower];

/// Every writing of `secret`, many of them more than once.
pub(super) fn of(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    forms.extend(in_json(secret));
    for left in LEFT_IN_ADDRESSES {
        for digits in DIGITS {
            forms.extend(["%20", "+"].map(|space| percent_encoded(secret, left, space, digits)));
        }
    }
    forms.extend(in_html(secret));
    forms.extend(in_shells(secret));
    forms
}

fn in_json(secret: &str) -> Vec<String> {
    let json = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let escaped = json(secret);
    // JSON in JSON, and with the escape of a slash that some writers use.
    let mut forms = vec![json(&escaped), escaped.replace('/', "\\/"), escaped];
    let numbered = |is_numbered: &dyn Fn(char) -> bool, digits| {
        let parts =
            secret.chars().map(|c| if is_numbered(c) { number(c, digits) } else { json(&c.to_string()) });
        parts.collect::<String>()
    };
    for digits in DIGITS {
        forms.extend(NUMBERED_IN_JSON.iter().map(|signs| numbered(&|c| signs.contains(c), digits)));
        // Python writes no other signs than those of ASCII.
        forms.push(numbered(&|c| !c.is_ascii(), digits));
        // .NET and Gson can do both at once.
        forms.extend(
            NUMBERED_IN_JSON.iter().map(|signs| numbered(&|c| !c.is_ascii() || signs.contains(c), digits)),
        );
    }
    forms
}

/// `c` as JSON has it, by the numbers of its UTF-16.
fn number(c: char, digits: Digits) -> String {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter().map(|unit| match digits {
        Digits::Upper => format!("\\u{unit:04X}"),
        Digits::Lower => format!("\\u{unit:04x}"),
    });
    units.collect()
}

/// Every byte that is neither a letter, a digit nor among `left`, by its number.
fn percent_encoded(secret: &str, left: &str, space: &str, digits: Digits) -> String {
    let mut text = String::new();
    for byte in secret.bytes() {
        let c = char::from(byte);
        let _ = match (c, digits) {
            (' ', _) => text.write_str(space),
            (c, _) if c.is_ascii_alphanumeric() || (c.is_ascii() && left.contains(c)) => text.write_char(c),
            (_, Digits::Upper) => write!(text, "%{byte:02X}"),
            (_, Digits::Lower) => write!(text, "%{byte:02x}"),
        };
    }
    text
}

fn in_html(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for single in SINGLE_QUOTES {
        for double in DOUBLE_QUOTES {
            for more in MORE_IN_HTML {
                let parts = secret.chars().map(|c| match c {
                    '&' => "&amp;".to_owned(),
                    '<' => "&lt;".to_owned(),
                    '>' => "&gt;".to_owned(),
                    '\'' => (*single).to_owned(),
                    '"' => (*double).to_owned(),
                    c if more.contains(c) => format!("&#x{:X};", u32::from(c)),
                    c => c.to_string(),
                });
                forms.push(parts.collect());
            }
        }
    }
    forms
}

fn in_shells(secret: &str) -> Vec<String> {
    let with = |is_escaped: &dyn Fn(char) -> bool| {
        let parts = secret.chars().map(|c| if is_escaped(c) { format!("\\{c}") } else { c.to_string() });
        parts.collect::<String>()
    };
    let mut forms: Vec<String> = ESCAPED_IN_SHELLS.iter().map(|signs| with(&|c| signs.contains(c))).collect();
    // Perl's `quotemeta`.
    forms.push(with(&|c| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_'));
    forms.extend(QUOTES_IN_QUOTES.iter().map(|quote| secret.replace('\'', quote)));
    forms
}
