use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;

#[test]
fn every_form_of_a_secret_goes() {
    let secret = "ghp_s3cret+/=value%with\"odd";
    let redactor = Redactor::new([secret]);
    for user in ["", "x", "xy", "x-access-token"] {
        for alphabet in [STANDARD, URL_SAFE] {
            for after in ["", "\n", "@host/path"] {
                let basic = alphabet.encode(format!("{user}:{secret}{after}"));
                assert!(redactor.redact(&basic).contains(MASK), "base64 after {user:?}, before {after:?}");
            }
        }
    }
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::json!({ "a": secret }).to_string();
    let texts = [
        secret.to_owned(),
        format!("https://u:{form}@h/"),
        format!("https://u:{}@h/", form.to_ascii_lowercase()),
        "ghp_s3cret%2B%2F%3Dvalue%25with%22odd".to_owned(),
        json.replace('/', "\\/"),
        serde_json::json!({ "inner": json }).to_string(),
        json,
        secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
    ];
    for text in texts {
        let out = redactor.redact(&text);
        assert!(out.contains(MASK) && !out.contains("s3cret"), "{text} became {out}");
    }
    assert!(matches!(redactor.redact("nothing here"), Cow::Borrowed(_)));
}

/// Written by Python 3.11, Node.js 20, bash 5.2, Go's `encoding/json` and `html`; what is no secret to begin with stays.
#[test]
fn a_secret_goes_as_common_tools_write_it() {
    let redactor = Redactor::new(["Zq3x+Lm9/Ab7~Tt5#Hh1_c&val(9)=='<s>\" é"]);
    for (tool, text) in [
        ("urllib.parse.quote", "Zq3x%2BLm9/Ab7~Tt5%23Hh1_c%26val%289%29%3D%3D%27%3Cs%3E%22%20%C3%A9"),
        ("quote(safe='')", "Zq3x%2BLm9%2FAb7~Tt5%23Hh1_c%26val%289%29%3D%3D%27%3Cs%3E%22%20%C3%A9"),
        ("quote_plus", "Zq3x%2BLm9%2FAb7~Tt5%23Hh1_c%26val%289%29%3D%3D%27%3Cs%3E%22+%C3%A9"),
        ("encodeURIComponent", "Zq3x%2BLm9%2FAb7~Tt5%23Hh1_c%26val(9)%3D%3D'%3Cs%3E%22%20%C3%A9"),
        ("encodeURI", "Zq3x+Lm9/Ab7~Tt5#Hh1_c&val(9)=='%3Cs%3E%22%20%C3%A9"),
        ("html.escape", "Zq3x+Lm9/Ab7~Tt5#Hh1_c&amp;val(9)==&#x27;&lt;s&gt;&quot; é"),
        ("html.escape(quote=False)", "Zq3x+Lm9/Ab7~Tt5#Hh1_c&amp;val(9)=='&lt;s&gt;\" é"),
        ("html.EscapeString", "Zq3x+Lm9/Ab7~Tt5#Hh1_c&amp;val(9)==&#39;&lt;s&gt;&#34; é"),
        ("json.Marshal", r#"Zq3x+Lm9/Ab7~Tt5#Hh1_c\u0026val(9)=='\u003cs\u003e\" é"#),
        ("json.dumps", r#"Zq3x+Lm9/Ab7~Tt5#Hh1_c&val(9)=='<s>\" \u00e9"#),
        (
            "JsonSerializer.Serialize",
            r#"Zq3x\u002BLm9/Ab7~Tt5#Hh1_c\u0026val(9)==\u0027\u003Cs\u003E\u0022 \u00E9"#,
        ),
        ("printf %q", r#"Zq3x+Lm9/Ab7~Tt5#Hh1_c\&val\(9\)==\'\<s\>\"\ é"#),
        ("shlex.quote", r#"'Zq3x+Lm9/Ab7~Tt5#Hh1_c&val(9)=='"'"'<s>" é'"#),
        ("re.escape", r#"Zq3x\+Lm9/Ab7\~Tt5\#Hh1_c\&val\(9\)=='<s>"\ é"#),
    ] {
        let out = redactor.redact(text);
        assert!(out.contains(MASK) && !out.contains("Zq3x"), "{tool}: {text} became {out}");
    }
    assert!(matches!(redactor.redact("Zq3x%2BLm9"), Cow::Borrowed(_)));
}

#[test]
fn a_secret_is_found_in_what_is_no_text() {
    let redactor = Redactor::new(["ghp_0123456789"]);
    assert!(redactor.finds(b"\xff\0ghp_0123456789\xfe"));
    assert!(!redactor.finds(b"\xff\0ghp_012345678\xfe"));
    assert!(!Redactor::default().finds(b"ghp_0123456789"));
}

#[test]
fn a_secret_that_holds_another_goes_as_a_whole() {
    let redactor = Redactor::new(["password", "password-and-more"]);
    assert_eq!(redactor.redact("a password-and-more, a password"), "a [redacted], a [redacted]");
}

#[test]
fn every_line_of_a_key_is_a_secret() {
    let lines = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "QmFzZTY0IG9mIGEga2V5IHRoYXQgaXM="];
    let key =
        format!("-----BEGIN PRIVATE KEY-----\n{}\nshort\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let redactor = Redactor::new([key.as_str()]);
    assert_eq!(redactor.mask_held(&format!("12: {}", lines[1])), "12: [redacted]");
    assert_eq!(redactor.mask_held("short -----BEGIN PRIVATE KEY-----"), "short -----BEGIN PRIVATE KEY-----");
    let json = serde_json::json!({ "key": key.trim() }).to_string();
    assert_eq!(redactor.mask_held(&json), r#"{"key":"[redacted]"}"#);
}

#[test]
fn short_values_and_numbers_are_no_secrets() {
    assert_eq!(Redactor::new(["abc"]).redact("abc"), "abc");
    assert_eq!(Redactor::new(["1234567890"]).redact(r#"{"at":1234567890}"#), r#"{"at":1234567890}"#);
    assert_eq!(format!("{:?}", Redactor::new(["abc"])), "Redactor(0 forms)");
}

/// Examples of each kind, put together here so that no scanner takes this file for a leak.
fn examples() -> Vec<(&'static str, String)> {
    let letters = "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKl";
    let digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let of = |prefix: &str, rest: &str, length: usize| format!("{prefix}{}", &rest[..length]);
    let key = format!("{}\n{}\n", letters, &letters[..30]);
    vec![
        ("GitHub token", of("ghp_", letters, 36)),
        ("GitHub token", of("github_pat_11", letters, 50)),
        ("GitLab token", of("glpat-", letters, 20)),
        ("Anthropic key", of("sk-ant-api03-", letters, 50)),
        ("OpenAI key", of("sk-proj-", letters, 48)),
        ("OpenAI key", format!("sk-{}T3BlbkFJ{}", &letters[..20], &letters[..20])),
        ("OpenRouter key", of("sk-or-v1-", digits, 64)),
        ("AWS key id", of("AKIA", "ABCDEFGHIJKLMNOP", 16)),
        ("AWS secret key", format!("aws_secret_access_key = {}", &letters[..40])),
        ("AWS secret key", format!("\"SecretAccessKey\": \"{}\"", &letters[..40])),
        ("Google API key", of("AIza", letters, 35)),
        ("Google access token", of("ya29.", letters, 40)),
        ("Azure storage key", format!("AccountKey={}{}==", letters, &letters[..22])),
        ("Slack token", of("xoxb-", digits, 40)),
        ("Slack webhook", format!("hooks.slack.com/services/T0000/B0000/{}", &letters[..24])),
        ("Stripe key", of("sk_live_", letters, 24)),
        ("npm token", of("npm_", letters, 36)),
        ("PyPI token", of("pypi-AgE", letters, 60)),
        ("RubyGems key", of("rubygems_", digits, 48)),
        ("Docker token", of("dckr_pat_", letters, 27)),
        ("Hugging Face token", of("hf_", letters, 34)),
        ("DigitalOcean token", of("dop_v1_", digits, 64)),
        ("Vault token", of("hvs.", letters, 30)),
        ("Terraform token", format!("{}.atlasv1.{letters}", &letters[..14])),
        ("SendGrid key", format!("SG.{}.{}", &letters[..22], &letters[..43])),
        ("Databricks token", of("dapi", digits, 32)),
        ("Shopify token", of("shpat_", digits, 32)),
        ("Grafana token", format!("glsa_{}_{}", &letters[..32], &digits[..8])),
        ("Sentry token", of("sntrys_", letters, 60)),
        ("Linear key", of("lin_api_", letters, 40)),
        ("New Relic key", of("NRAK-", &letters.to_ascii_uppercase(), 27)),
        ("E2B key", of("e2b_", digits, 40)),
        ("Atlassian token", format!("ATATT3{letters}{letters}{letters}")),
        ("Telegram token", of("123456789:AA", letters, 33)),
        ("age key", of("AGE-SECRET-KEY-1", &letters.to_ascii_uppercase(), 58)),
        ("private key", format!("-----BEGIN RSA PRIVATE KEY-----\n{key}-----END RSA PRIVATE KEY-----")),
        (
            "private key",
            format!(
                "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1 (x)\n\n{key}-----END PGP PRIVATE KEY BLOCK-----"
            ),
        ),
        ("private key", format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}", key.trim())),
        ("JSON web token", format!("eyJ{}.eyJ{}.{}", &letters[..20], &letters[..20], &letters[..43])),
    ]
}

#[test]
fn what_looks_like_a_secret_is_masked_by_its_kind_in_text_and_in_json() {
    let redactor = Redactor::default();
    let (before, after) = ("first line\n", "\nlast line");
    let mut kinds = std::collections::BTreeSet::new();
    for (kind, example) in examples() {
        let masked = redactor.redact(&example).into_owned();
        assert!(masked.contains(&format!("[redacted: {kind}]")), "{kind}: {masked}");
        assert!(!masked.contains("AbCdEfGhIj") && !masked.contains("0123456789abcdef"), "{kind}: {masked}");
        let text = format!("{before}{example}{after}");
        let json = serde_json::json!({ "output": text, "next": 1 }).to_string();
        let masked = redactor.redact(&json);
        let value: serde_json::Value = serde_json::from_str(&masked).unwrap();
        let output = value["output"].as_str().unwrap();
        assert!(output.starts_with(before) && output.ends_with(after), "{kind}: {output}");
        assert!(output.contains(&format!("[redacted: {kind}]")) && value["next"] == 1, "{kind}: {output}");
        kinds.insert(kind);
    }
    assert_eq!(kinds, patterns::kinds(), "every kind has an example");
}

#[test]
fn what_only_resembles_a_secret_stays() {
    let letters = "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWxYz";
    let texts = [
        "ghp_short, sk-proj-x, AKIAlower, npm_install_everything_that_is_there_at_once".to_owned(),
        "see -----BEGIN PRIVATE KEY----- in RFC 7468, and hf_transfer".to_owned(),
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----".to_owned(),
        "a snippet: eyJhbGciOiJIUzI1NiJ9.payload.signature".to_owned(),
        // In the middle of a signature that a provider wants back as it was.
        format!("EqQBCkgIARABGAIiQ{letters}AIza{letters}ghp_{letters}+AKIAABCDEFGHIJKLMNOP=="),
        format!("gAAAAABo_{letters}-npm_{letters}_hf_{letters}"),
        "git commit 0123456789abcdef0123456789abcdef01234567".to_owned(),
        "the test key is sk_test_x".to_owned(),
    ];
    let redactor = Redactor::default();
    for text in texts {
        assert_eq!(redactor.redact(&text), text);
    }
}

#[test]
fn a_model_is_told_what_only_looks_like_a_secret() {
    let held = "held-secret-value";
    let other = format!("ghp_{}", "Ab1".repeat(12));
    let redactor = Redactor::new([held]);
    let text = format!("{held} {other}");
    assert_eq!(redactor.mask_held(&text), format!("[redacted] {other}"));
    assert_eq!(redactor.redact(&text), "[redacted] [redacted: GitHub token]");
}

#[test]
fn what_may_become_a_secret_is_the_end() {
    let redactor = Redactor::new(["bcqbcqbc"]);
    for (text, open) in [
        ("", 0),
        ("z", 1),
        ("zb", 1),
        ("zbc", 1),
        ("z bcqbc", 2),
        ("é bcqbcqb", 3),
        ("bcz", 3),
        // Whole, and the end of it is a beginning again: not to be cut.
        ("z bcqbcqbc", 2),
        ("bcqbcqbc!", 9),
        // What only looks like a secret, or may come to do so.
        ("the ghp_01", 4),
        ("the =gh", 4),
        ("the tough", 9),
        ("the ghp_01 and ", 15),
        ("the -----BEGIN RSA ", 4),
        ("the -----BEGIN RSA PRIVATE KEY-----\nMIIB\n", 4),
        ("-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----\n", 59),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n", 33),
    ] {
        assert_eq!(redactor.open_end(text), open, "{text:?}");
    }
    assert_eq!(Redactor::default().open_end("everything "), 11);
}

/// A value whose base64 fills more than one line of what `base64` prints.
const LONG: &str = "held-AbCdEfGhIjKlMnOpQrStUvWxYz-0123456789-AbCdEfGhIjKlMnOpQrStUvWxYz-secret";

/// As programs wrap what they encode.
fn wrapped(text: &str, columns: usize, line_break: &str) -> String {
    let lines = text.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap());
    lines.collect::<Vec<_>>().join(line_break)
}

/// `bytes` as `xxd`, `hexdump -C`, `od -A x -t x1` and `od -t x1` show them.
fn dumps(bytes: &[u8]) -> [String; 4] {
    let lines = || bytes.chunks(16).enumerate().map(|(number, line)| (number * 16, line));
    let hex = |line: &[u8], group: usize| {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.chunks(group).map(<[String]>::concat).collect::<Vec<_>>().join(" ")
    };
    let text = |line: &[u8]| -> String {
        line.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect()
    };
    [
        lines().map(|(at, line)| format!("{at:08x}: {:39}  {}\n", hex(line, 2), text(line))).collect(),
        lines()
            .map(|(at, line)| {
                let (first, second) = line.split_at(line.len().min(8));
                let halves = format!("{}  {}", hex(first, 1), hex(second, 1));
                format!("{at:08x}  {halves:48}  |{}|\n", text(line))
            })
            .collect(),
        lines().map(|(at, line)| format!("{at:06x} {}\n", hex(line, 1))).collect(),
        lines().map(|(at, line)| format!("{at:07o} {}\n", hex(line, 1))).collect(),
    ]
}

/// The redacted form of a text that comes in pieces of one character.
fn redacted_live(redactor: &Redactor, text: &str) -> String {
    let (mut held, mut told) = (String::new(), String::new());
    for c in text.chars() {
        held.push(c);
        let rest = held.split_off(redactor.open_end(&held));
        told.push_str(&redactor.redact(&held));
        held = rest;
    }
    told + &redactor.redact(&held)
}

#[test]
fn an_encoded_secret_is_found_however_it_is_wrapped_and_nothing_else_goes() {
    let redactor = Redactor::new([LONG]);
    let hex: String = LONG.bytes().map(|byte| format!("{byte:02x}")).collect();
    let spaced = hex.as_bytes().chunks(2).map(|byte| std::str::from_utf8(byte).unwrap()).collect::<Vec<_>>();
    let encoded = STANDARD.encode(LONG);
    let texts = [
        wrapped(&encoded, 76, "\n"),
        wrapped(&encoded, 64, "\r\n"),
        wrapped(&encoded, 60, "\n    "),
        wrapped(&encoded, 70, "\\n"),
        wrapped(&hex, 60, "\n"),
        wrapped(&hex.to_ascii_uppercase(), 4, " "),
        spaced.join(" "),
        wrapped(&spaced.join(" "), 48, "\n "),
        wrapped(LONG, 30, "\n"),
    ];
    for text in texts {
        let about = format!("before: {text} :after, the end");
        let masked = redactor.redact(&about);
        // The last character of base64 may be of what follows as well.
        assert!(masked.starts_with("before: [redacted]") && masked.ends_with(" :after, the end"), "{masked}");
        assert!(masked.len() < 50, "{masked}");
        assert!(redactor.finds(about.as_bytes()), "{about}");
        assert_eq!(redactor.mask_held_bytes(about.as_bytes()), masked.as_bytes());
        assert_eq!(redacted_live(&redactor, &about), masked);
        let json = serde_json::json!({ "output": about, "next": 1 }).to_string();
        let value: serde_json::Value = serde_json::from_str(&redactor.redact_json(&json)).unwrap();
        assert_eq!((value["output"].as_str(), value["next"].as_i64()), (Some(&*masked), Some(1)));
    }
    for user in ["", "x", "xy", "x-access-token"] {
        let text = wrapped(&STANDARD.encode(format!("{user}:{LONG}@host")), 76, "\n");
        assert!(redactor.redact(&text).contains(MASK) && redactor.finds(text.as_bytes()), "{text}");
    }
}

#[test]
fn a_dump_shows_a_secret_in_neither_of_its_columns() {
    let redactor = Redactor::new([LONG]);
    for before in ["", "\"token\": \"", "{\n  \"a\\n\": \"b\",\n  \"the token\": \""] {
        for dump in dumps(format!("{before}{LONG}\", and after it").as_bytes()) {
            let text = format!("$ xxd file\n{dump}$ ");
            let json = serde_json::json!({ "output": text, "next": [text, 1] }).to_string();
            let value: serde_json::Value = serde_json::from_str(&redactor.redact_json(&json)).unwrap();
            let masked = [
                redactor.redact(&text).into_owned(),
                value["output"].as_str().unwrap().to_owned(),
                value["next"][0].as_str().unwrap().to_owned(),
                redacted_live(&redactor, &text),
            ];
            for masked in masked {
                assert!(masked.starts_with("$ xxd file\n0") && masked.ends_with("\n$ "), "{masked}");
                assert_eq!(masked.lines().count(), text.lines().count(), "{masked}");
                let digits: String = masked.chars().filter(|c| !c.is_whitespace()).collect();
                for part in LONG.as_bytes().windows(4) {
                    let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
                    let plain = std::str::from_utf8(part).unwrap();
                    assert!(!digits.contains(&hex) && !masked.contains(plain), "{plain} in {masked}");
                }
            }
            assert!(redactor.finds(text.as_bytes()), "{text}");
        }
    }
}

#[test]
fn documents_stay_documents_and_what_they_part_is_not_joined() {
    let redactor = Redactor::new([LONG]);
    let [dump, ..] = dumps(LONG.as_bytes());
    let (first, second) = dump.split_at(dump.find("00000020").unwrap());
    let json = serde_json::json!([first, second, "x\n00000000: 6161  aa"]).to_string();
    assert_eq!(redactor.redact_json(&json), json);
    let (first, second) = LONG.split_at(40);
    let json = serde_json::json!([STANDARD.encode(first), STANDARD.encode(second)]).to_string();
    assert_eq!(redactor.redact_json(&json), json);
    // A document that is quoted in another one.
    let json = serde_json::json!({ "a": serde_json::json!({ "b": dump }).to_string() }).to_string();
    let masked = redactor.redact_json(&json);
    let value: serde_json::Value = serde_json::from_str(&masked).unwrap();
    let inner = value["a"].as_str().unwrap();
    assert!(inner.contains(MASK) && !inner.contains("6865 6c64"), "{masked}");
}

#[test]
fn what_is_laid_out_like_a_secret_stays() {
    let redactor = Redactor::new([LONG, "a-short-one"]);
    let far = STANDARD.encode(LONG).split_at(40).0.to_owned()
        + &" ".repeat(100)
        + STANDARD.encode(LONG).split_at(40).1;
    for text in [
        "a-short -one, held-AbCdEfGhIjKlMnOpQrStUvWxYz".to_owned(),
        far,
        "00000000: 6865 6c64 2d41  held-A\n00000010: 0000 0000  ....\n".to_owned(),
        "deadbeef add a line\n0123456789ab cafe \\\\ \\n \"\n".to_owned(),
        "\\".repeat(1000),
    ] {
        assert_eq!(redactor.redact(&text), text);
        assert_eq!(redacted_live(&redactor, &text), text);
        assert!(!redactor.finds(text.as_bytes()));
    }
    let spaces = format!("x {} ", &STANDARD.encode(LONG)[..20]) + &" ".repeat(100);
    assert_eq!(redactor.open_end(&spaces), spaces.len(), "it is not held back without end");
}
