//! What looks like a secret by the published form of a token or key.
//!
//! Only forms that hardly anything else has: a mask in the wrong place hides what people want to see. Each is looked for
//! where one of its fixed beginnings stands, so that text without any costs one pass.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;
use regex::Regex;

/// How a private key begins.
const KEY_BEGINS: &str = "-----BEGIN ";
/// A text that grows is not held back for a longer key: what is written at last is redacted as a whole.
const KEY_BYTES_MAX: usize = 8 * 1024;
/// The longest tokens are a few hundred bytes.
const WORD_BYTES_MAX: usize = 1024;

/// The form of a secret.
struct Pattern {
    /// What stands in its mask.
    kind: &'static str,
    /// One of these stands in every one of them.
    anchors: &'static [&'static str],
    /// All of it. In JSON text a line break is a backslash and a letter; nothing here may take a quote with it.
    expression: &'static str,
}

const fn token(kind: &'static str, anchors: &'static [&'static str], expression: &'static str) -> Pattern {
    Pattern { kind, anchors, expression }
}

/// All of them, with where the form is published.
const PATTERNS: &[Pattern] = &[
    // docs.github.com, "About authentication to GitHub": the prefixes of its tokens.
    token("GitHub token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"gh[pousr]_[A-Za-z0-9_]{36,}"),
    token("GitHub token", &["github_pat_"], r"github_pat_[A-Za-z0-9_]{36,}"),
    // docs.gitlab.com, "Token overview": the prefixes of its tokens.
    token(
        "GitLab token",
        &["glpat-", "gloas-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glimt-", "glagent-", "glsoat-"],
        r"gl(?:pat|oas|dt|rt|ptt|cbt|ft|imt|agent|soat)-[A-Za-z0-9_\-]{20,}",
    ),
    // Keys of Anthropic and OpenAI as their consoles give them (platform.claude.com, platform.openai.com).
    token("Anthropic key", &["sk-ant-"], r"sk-ant-[a-z0-9]+-[A-Za-z0-9_\-]{20,}"),
    token(
        "OpenAI key",
        &["sk-proj-", "sk-svcacct-", "sk-admin-"],
        r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_\-]{20,}",
    ),
    token("OpenAI key", &["T3BlbkFJ"], r"sk-[A-Za-z0-9_\-]{20,}T3BlbkFJ[A-Za-z0-9_\-]{20,}"),
    token("OpenRouter key", &["sk-or-v1-"], r"sk-or-v1-[0-9a-f]{64}"),
    // docs.aws.amazon.com, "IAM identifiers": the prefixes of key ids; the secret by its name in AWS's own files.
    token("AWS key id", &["AKIA", "ASIA", "ABIA", "ACCA"], r"A(?:KI|SI|BI|CC)A[A-Z2-7]{16}\b"),
    token(
        "AWS secret key",
        &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey"],
        r#"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY|SecretAccessKey)(?:\\*["'])?\s*[=:]\s*(?:\\*["'])?[A-Za-z0-9/+]{40}\b"#,
    ),
    // cloud.google.com, "Manage API keys"; OAuth access tokens begin with ya29.
    token("Google API key", &["AIza"], r"AIza[0-9A-Za-z_\-]{35}\b"),
    token("Google access token", &["ya29."], r"ya29\.[0-9A-Za-z_\-]{30,}"),
    // learn.microsoft.com, "Configure Azure Storage connection strings".
    token("Azure storage key", &["AccountKey="], r"AccountKey=[A-Za-z0-9+/]{86}=="),
    // docs.slack.dev, "Tokens" and "Incoming webhooks".
    token(
        "Slack token",
        &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxe."],
        r"xox[abeprs][\-.][0-9A-Za-z\-.]{10,}",
    ),
    token("Slack token", &["xapp-"], r"xapp-[0-9]-[A-Z0-9]+-[0-9]+-[0-9a-f]+"),
    token(
        "Slack webhook",
        &["hooks.slack.com/services/"],
        r"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}",
    ),
    // docs.stripe.com, "API keys".
    token(
        "Stripe key",
        &["sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"],
        r"(?:[sr]k_(?:live|test)_|whsec_)[0-9A-Za-z]{24,}",
    ),
    // docs.npmjs.com, "About access tokens"; pypi.org/help, "API tokens"; guides.rubygems.org, "API key scopes".
    token("npm token", &["npm_"], r"npm_[A-Za-z0-9]{36}\b"),
    token("PyPI token", &["pypi-AgE"], r"pypi-AgE[A-Za-z0-9_\-]{50,}"),
    token("RubyGems key", &["rubygems_"], r"rubygems_[0-9a-f]{48}\b"),
    // docs.docker.com, "Personal access tokens"; huggingface.co/docs, "User access tokens".
    token("Docker token", &["dckr_pat_", "dckr_oat_"], r"dckr_[po]at_[A-Za-z0-9_\-]{27,}"),
    token("Hugging Face token", &["hf_"], r"hf_[A-Za-z]{34}\b"),
    // docs.digitalocean.com, "Create a personal access token"; developer.hashicorp.com, "Tokens".
    token("DigitalOcean token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"do[por]_v1_[0-9a-f]{64}"),
    token("Vault token", &["hvs.", "hvb.", "hvr."], r"hv[sbr]\.[A-Za-z0-9_\-]{24,}"),
    token("Terraform token", &[".atlasv1."], r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-]{60,}"),
    // Twilio SendGrid, "API keys"; docs.databricks.com, "Personal access tokens"; shopify.dev, "Access tokens".
    token("SendGrid key", &["SG."], r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}"),
    token("Databricks token", &["dapi"], r"dapi[0-9a-f]{32}\b"),
    token("Shopify token", &["shpat_", "shpca_", "shppa_", "shpss_"], r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    // grafana.com/docs, "Service accounts"; docs.sentry.io, "Auth tokens"; linear.app/developers; newrelic.com.
    token(
        "Grafana token",
        &["glsa_", "glc_"],
        r"(?:glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/]{32,})",
    ),
    token("Sentry token", &["sntrys_", "sntryu_"], r"sntry[su]_[A-Za-z0-9+/=_]{40,}"),
    token("Linear key", &["lin_api_"], r"lin_api_[A-Za-z0-9]{40}"),
    token("New Relic key", &["NRAK-"], r"NRAK-[A-Z0-9]{27}"),
    // e2b.dev/docs, "API key"; id.atlassian.com, "API tokens"; core.telegram.org/bots.
    token("E2B key", &["e2b_"], r"e2b_[0-9a-f]{40}\b"),
    token("Atlassian token", &["ATATT3"], r"ATATT3[A-Za-z0-9_\-=]{180,}"),
    token("Telegram token", &[":AA"], r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}\b"),
    // age(1): identities.
    token("age key", &["AGE-SECRET-KEY-1"], r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    // RFC 7468 and RFC 9580: private keys in text. Whole, or as far as it goes where the output was cut.
    token(
        "private key",
        &["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"],
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?:\\+[nrt]|[\sA-Za-z0-9+/=:,.()\-])*?-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|(?:(?:\\+[nr]|\s)+[A-Za-z0-9+/=]{20,})+)",
    ),
    // RFC 7519: three parts, the first two of which are JSON objects.
    token("JSON web token", &["eyJ"], r"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{20,}"),
];

/// All kinds.
#[cfg(test)]
pub(super) fn kinds() -> std::collections::BTreeSet<&'static str> {
    PATTERNS.iter().map(|pattern| pattern.kind).collect()
}

/// Finds the anchors, and tells whose each is.
static ANCHORS: LazyLock<(Option<AhoCorasick>, Vec<usize>)> = LazyLock::new(|| {
    let anchors =
        PATTERNS.iter().enumerate().flat_map(|(at, it)| it.anchors.iter().map(move |anchor| (anchor, at)));
    let (anchors, owners): (Vec<&&str>, Vec<usize>) = anchors.unzip();
    (AhoCorasick::new(anchors).ok(), owners)
});

/// Their expressions, made when first wanted: most processes never see one.
static EXPRESSIONS: [OnceLock<Option<Regex>>; PATTERNS.len()] = [const { OnceLock::new() }; PATTERNS.len()];

/// `text` with the kind of every such secret in its place; borrowed when there was none.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    for (pattern, expression) in wanted(text).into_iter().zip(&EXPRESSIONS) {
        let Some(pattern) = pattern else { continue };
        let expression = expression.get_or_init(|| Regex::new(pattern.expression).ok());
        if let Some(masked) = expression.as_ref().and_then(|it| masked(&out, pattern.kind, it)) {
            out = Cow::Owned(masked);
        }
    }
    out
}

/// Where the part of `text` begins that more text may turn into such a secret: its last word, when an anchor stands in it or
/// begins at its end, or a private key that has no end yet. Its length when there is none.
///
/// Of tokens whose anchor is in their middle, what stands before it may have been told already.
pub(super) fn open_end(text: &str) -> usize {
    let key = text.rfind(KEY_BEGINS).filter(|at| is_open_key(&text[*at..]));
    let word = text.rfind(char::is_whitespace).map_or(0, |at| text.ceil_char_boundary(at + 1));
    let anchors = || PATTERNS.iter().flat_map(|pattern| pattern.anchors);
    // A longer one is no token, and would be held back without end.
    let is_token = |word: &str| {
        word.len() <= WORD_BYTES_MAX
            && anchors().any(|anchor| word.contains(anchor) || begins_in(word, anchor))
    };
    let word = Some(word).filter(|at| is_token(&text[*at..]));
    key.into_iter().chain(word).min().unwrap_or(text.len())
}

/// Whether `anchor` has begun at the end of `word`, where a word of its own can begin.
fn begins_in(word: &str, anchor: &str) -> bool {
    let lengths = 1..anchor.len().min(word.len() + 1);
    lengths.filter_map(|length| anchor.get(..length)).any(|begun| {
        word.ends_with(begun)
            && begun.starts_with(char::is_alphanumeric)
            && begins_there(word, word.len() - begun.len())
    })
}

fn is_open_key(text: &str) -> bool {
    let named = text.lines().next().is_some_and(|line| line.contains("PRIVATE KEY")) || !text.contains('\n');
    named && text.len() <= KEY_BYTES_MAX && !text.contains("-----END ")
}

/// The patterns of which an anchor stands in `text`, each at its place.
fn wanted(text: &str) -> Vec<Option<&'static Pattern>> {
    let (anchors, owners) = &*ANCHORS;
    let mut wanted = vec![None; PATTERNS.len()];
    for found in anchors.iter().flat_map(|anchors| anchors.find_overlapping_iter(text)) {
        let owner = owners[found.pattern().as_usize()];
        wanted[owner] = Some(&PATTERNS[owner]);
    }
    wanted
}

fn masked(text: &str, kind: &str, expression: &Regex) -> Option<String> {
    let mut out = String::new();
    let (mut copied, mut from) = (0, 0);
    while let Some(found) = expression.find_at(text, from) {
        if begins_there(text, found.start()) {
            out.push_str(&text[copied..found.start()]);
            out.push_str(&format!("[redacted: {kind}]"));
            copied = found.end();
            from = found.end();
        } else {
            from = found.start() + 1;
        }
    }
    (copied > 0).then(|| out + &text[copied..])
}

/// Whether a word can begin at `at`. In the middle of one it is chance: what providers sign and encrypt is long, of the
/// same characters as tokens, and must come back as it was.
fn begins_there(text: &str, at: usize) -> bool {
    let before = &text.as_bytes()[..at];
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
    let escaped = matches!(before, [.., b'\\', b'n' | b'r' | b't'])
        || matches!(before, [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()));
    escaped || !before.last().is_some_and(is_of_word)
}
