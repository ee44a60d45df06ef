//! The door for requests: JSON from outside becomes a [`Request`] that nothing later doubts.

use std::path::{Path, PathBuf};

use events::{Address, Branch, Budget, Hosts, Publish, Redactor, Remote, Request, SetupWish};
use serde_json::{Map, Value};

use crate::{Offer, Providers};

/// The contract's bound on a prompt.
const PROMPT_CHARS_MAX: usize = 32_000;
/// Forges cut longer titles.
const TITLE_CHARS_MAX: usize = 200;
/// Longer names are no model's.
const NAME_CHARS_MAX: usize = 200;
/// More checks than this belong into a script of the repository.
pub(crate) const CHECKS_MAX: usize = 20;
/// A check is one line for a shell.
pub(crate) const CHECK_CHARS_MAX: usize = 2_000;
/// A longer script of setup belongs into the repository.
pub(crate) const SETUP_CHARS_MAX: usize = 8_000;
/// The word for no setup.
pub(crate) const NO_SETUP: &str = "none";
/// More bad fields than this are not worth telling.
const ERRORS_MAX: usize = 30;
/// A field's name is repeated to its author; a longer one is no field's.
const FIELD_CHARS_MAX: usize = 100;

/// What the operator allows to be asked for.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Hosts beyond public ones.
    pub hosts: Hosts,
    /// Which folders of this machine may be asked for.
    pub local: LocalRepositories,
    /// Patterns such as `github.com/OWNER/*`; empty for all.
    pub repositories: Vec<String>,
    /// The providers that are configured, and their models.
    pub providers: Vec<Offer>,
    /// The hosts whose forges are configured.
    pub forges: Vec<String>,
    /// How they are asked, and what that costs: a budget in dollars needs a price.
    pub models: Providers,
    /// What the operator lets any session use up.
    pub budget: Budget,
    /// Knows what no branch may be called.
    pub redactor: Redactor,
}

/// Which folders of this machine may be asked for by path.
#[derive(Debug, Clone, Default)]
pub enum LocalRepositories {
    /// None, as a service does unless its operator names some.
    #[default]
    None,
    /// Those below these folders.
    Below(Vec<PathBuf>),
    /// Any, as on the command line.
    Any,
}

/// A field that cannot be taken, and why, for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field as it was written.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// Not JSON, or not an object.
    Json(String),
    /// The repository's address, and nothing else, is refused.
    Address(FieldError),
    /// These fields.
    Fields(Vec<FieldError>),
}

/// Reads the body of `POST /code` and `POST /v1/sessions`. Reports every bad field at once, unknown ones too.
///
/// # Errors
/// [`RequestError`] tells the author what to change; nothing was started.
pub fn parse(body: &[u8], rules: &Rules) -> Result<Request, RequestError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| RequestError::Json(error.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(RequestError::Json("the body must be a JSON object".to_owned()));
    };
    Reader { fields, rules, errors: Vec::new(), address_refused: false }.request()
}

/// Takes fields out one by one; what is left at the end is unknown.
struct Reader<'a> {
    fields: Map<String, Value>,
    rules: &'a Rules,
    errors: Vec<FieldError>,
    /// The address was a string and was refused.
    address_refused: bool,
}

impl Reader<'_> {
    fn request(mut self) -> Result<Request, RequestError> {
        let (remote, address_base) = self.remote();
        let prompt = self.prompt();
        let branch = self.branch(&["branch", "branch_name"]);
        let base = self.branch(&["base", "base_branch"]).or(address_base);
        let title = self.line(&["pr_title", "title"], TITLE_CHARS_MAX);
        let draft = self.flag("draft");
        let provider = self.provider();
        let model = self.model(provider.as_deref());
        let publish = self.publish();
        let setup = self.setup();
        let checks = self.checks();
        let budget = self.budget();
        self.price(provider.as_deref(), model.as_deref(), &budget);
        for field in std::mem::take(&mut self.fields).keys() {
            self.refuse(field, "is not a known field");
        }
        match (self.errors.as_slice(), remote) {
            ([], Some(remote)) => Ok(Request {
                remote,
                prompt,
                branch,
                base,
                title,
                draft,
                provider,
                model,
                publish,
                setup,
                checks,
                budget,
            }),
            ([error], _) if self.address_refused => Err(RequestError::Address(error.clone())),
            _ => Err(RequestError::Fields(self.errors)),
        }
    }

    fn refuse(&mut self, field: &str, message: impl Into<String>) {
        if self.errors.len() < ERRORS_MAX {
            let field = field.chars().take(FIELD_CHARS_MAX).collect();
            self.errors.push(FieldError { field, message: message.into() });
        }
    }

    /// The value under one of a field's `names`, with the name that was used.
    fn take(&mut self, names: &[&'static str]) -> Option<(&'static str, Value)> {
        let mut found: Vec<(&'static str, Value)> = Vec::new();
        for name in names {
            found.extend(self.fields.remove(*name).map(|value| (*name, value)));
        }
        if let [(first, _), (second, _), ..] = found.as_slice() {
            let message = format!("is the same field as `{first}`: give one of them");
            self.refuse(second, message);
        }
        found.into_iter().next().filter(|(_, value)| !value.is_null())
    }

    fn text(&mut self, names: &[&'static str]) -> Option<(&'static str, String)> {
        let (name, value) = self.take(names)?;
        if let Value::String(text) = value {
            Some((name, text))
        } else {
            self.refuse(name, "must be a string");
            None
        }
    }

    fn remote(&mut self) -> (Option<Remote>, Option<Branch>) {
        if !["repoUrl", "repo_url"].iter().any(|name| self.fields.get(*name).is_some_and(|v| !v.is_null())) {
            self.take(&["repoUrl", "repo_url"]);
            self.refuse(
                "repoUrl",
                "is required: the repository's URL, such as https://github.com/OWNER/NAME",
            );
            return (None, None);
        }
        let Some((name, text)) = self.text(&["repoUrl", "repo_url"]) else { return (None, None) };
        match self.rules.address(&text) {
            Ok(address) => (Some(address.remote), address.base),
            Err(message) => {
                self.address_refused = true;
                self.refuse(name, message);
                (None, None)
            }
        }
    }

    fn prompt(&mut self) -> String {
        if self.fields.get("prompt").is_none_or(Value::is_null) {
            self.fields.remove("prompt");
            self.refuse("prompt", "is required: what shall be done, in 1 to 32,000 characters");
            return String::new();
        }
        let Some((_, prompt)) = self.text(&["prompt"]) else { return String::new() };
        let chars = prompt.chars().count();
        if prompt.trim().is_empty() || chars > PROMPT_CHARS_MAX {
            self.refuse(
                "prompt",
                format!("must have 1 to {PROMPT_CHARS_MAX} characters, not only spaces; it has {chars}"),
            );
        } else if prompt.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.refuse("prompt", "must not hold control characters other than line breaks and tabs");
        }
        prompt
    }

    fn branch(&mut self, names: &[&'static str]) -> Option<Branch> {
        let (name, text) = self.text(names)?;
        if self.rules.redactor.finds(text.as_bytes()) {
            self.refuse(name, "holds a secret of this service, and a branch's name is public");
            return None;
        }
        text.parse().map_err(|error: events::BranchError| self.refuse(name, error.to_string())).ok()
    }

    /// One line of text.
    fn line(&mut self, names: &[&'static str], chars_max: usize) -> Option<String> {
        let (name, text) = self.text(names)?;
        let text = text.trim().to_owned();
        if text.is_empty() || text.chars().count() > chars_max || text.chars().any(char::is_control) {
            self.refuse(name, format!("must be one line of 1 to {chars_max} characters"));
            return None;
        }
        Some(text)
    }

    fn flag(&mut self, name: &'static str) -> bool {
        match self.take(&[name]) {
            None => false,
            Some((_, Value::Bool(flag))) => flag,
            Some(_) => {
                self.refuse(name, "must be true or false");
                false
            }
        }
    }

    fn provider(&mut self) -> Option<String> {
        let names = ["provider", "ai_provider"];
        let used = names.into_iter().find(|name| self.fields.contains_key(*name)).unwrap_or("provider");
        let provider = self.line(&names, NAME_CHARS_MAX)?;
        let offers = &self.rules.providers;
        if !offers.iter().any(|offer| offer.provider == provider) {
            let known: Vec<&str> = offers.iter().map(|offer| offer.provider.as_str()).collect();
            let known = match known.is_empty() {
                true => "none (`backspace doctor` says which variable to set)".to_owned(),
                false => known.join(", "),
            };
            self.refuse(used, format!("is not a configured provider; configured: {known}"));
        }
        Some(provider)
    }

    /// A model that `provider` has, or any of the providers when none is named.
    fn model(&mut self, provider: Option<&str>) -> Option<String> {
        let model = self.line(&["model"], NAME_CHARS_MAX)?;
        let offers = self.rules.providers.iter();
        let offers: Vec<&Offer> =
            offers.filter(|offer| provider.is_none_or(|name| offer.provider == name)).collect();
        // Without an offer it is the provider that is wrong, and told.
        if !offers.is_empty() && !offers.iter().any(|offer| offer.models.has(&model)) {
            let known: Vec<String> = offers.iter().map(|offer| offer.to_string()).collect();
            self.refuse("model", format!("is no model of a provider asked for; known: {}", known.join("; ")));
        }
        Some(model)
    }

    fn publish(&mut self) -> Publish {
        match self.text(&["publish"]).as_ref().map(|(_, text)| text.as_str()) {
            None | Some("pr") => Publish::Pr,
            Some("branch") => Publish::Branch,
            Some("patch") => Publish::Patch,
            Some(_) => {
                self.refuse("publish", "must be `pr`, `branch` or `patch`");
                Publish::Pr
            }
        }
    }

    fn setup(&mut self) -> SetupWish {
        let Some((name, script)) = self.text(&["setup"]) else { return SetupWish::AsFound };
        if script.trim() == NO_SETUP {
            return SetupWish::Off;
        }
        if !is_script(&script, SETUP_CHARS_MAX) {
            self.refuse(
                name,
                format!("must be a shell script of 1 to {SETUP_CHARS_MAX} characters, or `none`"),
            );
        }
        SetupWish::Script(script)
    }

    fn checks(&mut self) -> Vec<String> {
        let Some((_, value)) = self.take(&["checks"]) else { return Vec::new() };
        let texts = match value {
            Value::Array(items) => {
                items.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
        };
        let fits = |check: &String| is_script(check, CHECK_CHARS_MAX);
        match texts {
            Some(checks) if checks.len() <= CHECKS_MAX && checks.iter().all(fits) => checks,
            _ => {
                let message = format!(
                    "must be a list of up to {CHECKS_MAX} commands of 1 to {CHECK_CHARS_MAX} characters"
                );
                self.refuse("checks", message);
                Vec::new()
            }
        }
    }

    fn budget(&mut self) -> Budget {
        let mut fields = match self.take(&["budget"]) {
            None => return Budget::default(),
            Some((_, Value::Object(fields))) => fields,
            Some(_) => {
                self.refuse("budget", "must be an object of `usd`, `tokens`, `turns`, `minutes`");
                return Budget::default();
            }
        };
        let mut whole = |reader: &mut Self, name: &str, max: u64| {
            let value = fields.remove(name)?;
            let number = value.as_u64().filter(|n| (1..=max).contains(n));
            if number.is_none() {
                reader.refuse(&format!("budget.{name}"), format!("must be a whole number from 1 to {max}"));
            }
            number
        };
        let tokens = whole(self, "tokens", Budget::TOKENS_MAX);
        let turns = whole(self, "turns", Budget::TURNS_MAX.into()).and_then(|n| u32::try_from(n).ok());
        let minutes = whole(self, "minutes", Budget::MINUTES_MAX.into()).and_then(|n| u32::try_from(n).ok());
        let usd = fields.remove("usd").and_then(|value| {
            let usd = value.as_f64().filter(|usd| Budget::takes_usd(*usd));
            if usd.is_none() {
                let message = format!("must be a number of US dollars above 0, at most {}", Budget::USD_MAX);
                self.refuse("budget.usd", message);
            }
            usd
        });
        for name in fields.keys() {
            self.refuse(&format!("budget.{name}"), "is not a known field");
        }
        Budget { usd, tokens, turns, minutes }
    }
}

impl Reader<'_> {
    /// Refuses a budget in dollars that nobody could keep.
    fn price(&mut self, provider: Option<&str>, model: Option<&str>, asked: &Budget) {
        let (field, whose) = match (asked.usd, self.rules.budget.usd) {
            (Some(_), _) => ("budget.usd", String::new()),
            (None, Some(usd)) => {
                ("model", format!(", and the operator bounds each session to {}", events::usd(usd)))
            }
            (None, None) => return,
        };
        if let Some(unpriced) = self.rules.models.unpriced(provider, model) {
            self.refuse(field, format!("cannot be taken: {unpriced}{whose}. {}", unpriced.mend()));
        }
    }
}

/// Whether a shell can be given `text`.
pub(crate) fn is_script(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= chars_max && !text.contains('\0')
}

impl Rules {
    /// The repository at `text`, a URL or (where allowed) a path.
    ///
    /// # Errors
    /// What is wrong, for whoever wrote it.
    pub fn address(&self, text: &str) -> Result<Address, String> {
        let is_path = text.starts_with(['/', '.', '~'])
            || matches!(self.local, LocalRepositories::Any) && Path::new(text).is_dir();
        let address = if is_path {
            let remote = Remote::Local(self.local_folder(text)?);
            Address { remote, base: None }
        } else {
            Address::parse(text, &self.hosts).map_err(|error| error.to_string())?
        };
        if let Remote::Hosted(hosted) = &address.remote
            && !self.forges.contains(&hosted.host)
        {
            let known = self.forges.join(", ");
            return Err(format!(
                "is on no forge that is configured; configured: {known} (GITHUB_API_URL names another)"
            ));
        }
        if self.allows(&address.remote) {
            Ok(address)
        } else {
            Err("is not among the repositories that this service works on (BACKSPACE_REPOS)".to_owned())
        }
    }

    /// The folder at `text`, if it may be asked for. Links are followed before it is compared.
    fn local_folder(&self, text: &str) -> Result<PathBuf, String> {
        const ELSEWHERE: &str =
            "is a path; this service takes only paths below the folders in BACKSPACE_LOCAL_REPOS";
        const LEADS_ELSEWHERE: &str = "is a repository whose .git, or what it shares with or borrows from others, is not \
                                       below the folders in BACKSPACE_LOCAL_REPOS";
        if matches!(self.local, LocalRepositories::None) {
            return Err(ELSEWHERE.to_owned());
        }
        let folder = Path::new(text).canonicalize();
        match &self.local {
            LocalRepositories::None => Err(ELSEWHERE.to_owned()),
            LocalRepositories::Below(roots) => {
                let roots: Vec<_> = roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
                let is_below = |path: &PathBuf| roots.iter().any(|root| path.starts_with(root));
                let folder = folder.ok().filter(is_below).ok_or_else(|| ELSEWHERE.to_owned())?;
                // Files of a repository lead git elsewhere as links do.
                let reached = repo::reached_from(&folder).map_err(|error| {
                    if error.kind() == std::io::ErrorKind::InvalidData {
                        format!("cannot be worked with: {error}")
                    } else {
                        // What the system says tells which paths there are.
                        "is no repository that can be read".to_owned()
                    }
                })?;
                if reached.iter().all(is_below) { Ok(folder) } else { Err(LEADS_ELSEWHERE.to_owned()) }
            }
            LocalRepositories::Any => folder.map_err(|error| format!("there is no folder `{text}`: {error}")),
        }
    }

    /// Whether `BACKSPACE_REPOS` lets the repository through; paths have a list of their own.
    fn allows(&self, remote: &Remote) -> bool {
        let Remote::Hosted(hosted) = remote else { return true };
        let name = format!("{}/{}/{}", hosted.host, hosted.owner, hosted.name).to_ascii_lowercase();
        self.repositories.is_empty()
            || self.repositories.iter().map(|pattern| pattern.to_ascii_lowercase()).any(|pattern| {
                pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
            })
    }
}

#[cfg(test)]
mod tests;
