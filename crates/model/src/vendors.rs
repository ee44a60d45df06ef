//! Vendors as data: how each is reached, what its server is particular about, and what is known of its models.

mod address;
mod row;
mod served;
mod words;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use indexmap::IndexMap;

use crate::{Caches, Facts, Price, Rates, Thinking};
use address::{Owner, Template};
pub use row::Protocol;
pub(crate) use row::{KeyHeader, OutputLimit, Turns};
use row::{LongRow, ModelRow, PriceRow, Row, Rows, Told};
pub use served::{Called, Models, Served, Unready};
pub(crate) use words::Fields;
use words::{Idle, ModelPattern, Usd, VendorName};

/// Our own table.
const BUILT_IN: &str = include_str!("vendors.toml");
/// Providers send a heartbeat every few seconds; a line this silent is dead, or the server behind it is.
const IDLE_USUAL: Duration = Duration::from_secs(120);

/// All vendors, in the order in which they are asked when nobody says otherwise.
#[derive(Debug, Clone)]
pub struct Vendors {
    rows: IndexMap<VendorName, Row>,
    vendors: Vec<Arc<Vendor>>,
}

/// A vendor.
#[derive(Debug)]
pub struct Vendor {
    name: String,
    manners: Manners,
    /// What holds of somebody else's server in this vendor's place.
    elsewhere: Option<Elsewhere>,
    row: Row,
    base_url: Template,
}

/// Another vendor, as far as it holds of somebody else's server in a vendor's place.
#[derive(Debug)]
struct Elsewhere {
    manners: Manners,
    models: IndexMap<ModelPattern, ModelRow>,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manners {
    pub(crate) protocol: Protocol,
    pub(crate) key_header: KeyHeader,
    pub(crate) output_limit: OutputLimit,
    pub(crate) usage: UsageTold,
    pub(crate) cache_key: CacheKey,
    /// How long it may be silent before it is given up: until its answer begins, and within the answer.
    pub(crate) idle: Duration,
}

/// How a model of Chat Completions is told what it did not say itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Telling {
    pub(crate) turns: Turns,
    /// What a reply needs that another model wrote, or that stands elsewhere than where the model wrote it.
    pub(crate) reply: Fields,
    /// What the first call in such a reply needs.
    pub(crate) call: Fields,
}

/// When a server of Chat Completions tells the usage of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageTold {
    /// When the request asks for it.
    OnRequest,
    /// In any case; it refuses to be asked.
    Unasked,
}

/// Whether a server takes a key that says which requests have a beginning in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheKey {
    /// It does.
    Sent,
    /// It does not know the field, and may refuse it.
    Unknown,
}

/// A setting that a vendor hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorSetting {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: SettingRole,
    /// What holds without it.
    pub default: Option<String>,
}

/// What a vendor's setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingRole {
    /// A secret.
    Key,
    /// Where the vendor is reached, or a part of that.
    Address,
    /// The model that is asked when a request names none.
    Model,
    /// Which wire is spoken.
    Wire,
}

/// A table of vendors that cannot be used, with the line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct VendorsError(String);

impl Vendors {
    /// Our own table, read once in a process.
    #[expect(clippy::expect_used, reason = "a test reads the table that is built in")]
    pub fn built_in() -> &'static Self {
        static VENDORS: LazyLock<Vendors> = LazyLock::new(|| {
            let none = Vendors { rows: IndexMap::new(), vendors: Vec::new() };
            none.with(BUILT_IN).expect("our own table is in order")
        });
        &VENDORS
    }

    /// This table with the one in `text` over it: new vendors and models come after ours, known ones are changed in the
    /// fields that are given.
    ///
    /// # Errors
    /// Names the line, and the field where it is one.
    pub fn with(&self, text: &str) -> Result<Self, VendorsError> {
        let given: Rows = toml::from_str(text).map_err(|error| VendorsError(error.to_string()))?;
        let lines: IndexMap<VendorName, usize> =
            given.iter().map(|(name, row)| (name.clone(), line_at(text, row.span().start))).collect();
        let mut rows = self.rows.clone();
        for (name, row) in given {
            let base = rows.get(&name).cloned().unwrap_or_default();
            rows.insert(name, row.into_inner().over(base));
        }
        let vendor = |(name, row): (&VendorName, &Row)| {
            let said = |why: String| match lines.get(name) {
                Some(line) => VendorsError(format!("line {line}: [{}] {why}", name.as_str())),
                None => VendorsError(format!("[{}] {why}", name.as_str())),
            };
            Vendor::checked(name, row, &rows).map(Arc::new).map_err(said)
        };
        let vendors = rows.iter().map(vendor).collect::<Result<_, _>>()?;
        Ok(Self { rows, vendors })
    }

    /// The vendor called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Vendor>> {
        self.vendors.iter().find(|vendor| vendor.name == name)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Vendor>> {
        self.vendors.iter()
    }
}

impl Vendor {
    fn checked(name: &VendorName, row: &Row, all: &IndexMap<VendorName, Row>) -> Result<Self, String> {
        let base_url = row.base_url.clone().ok_or("needs `base_url`")?;
        let elsewhere = match &row.elsewhere {
            None => None,
            Some(other) => {
                let row = all
                    .get(other)
                    .ok_or(format!("names `{}` in `elsewhere`, which is no vendor", other.as_str()))?;
                Some(Elsewhere { manners: Manners::of(row)?, models: row.models.clone() })
            }
        };
        for (model, row) in &row.models {
            let at = |why: &str| format!("model `{}` {why}", model.as_str());
            if row.long.is_some() && row.price.is_none() {
                return Err(at("has `long` without `price`"));
            }
        }
        let untold = |row: &&PriceRow| row.as_of.is_none() || row.source.is_none();
        if row.prices.is_none()
            && row.models.values().filter_map(|row| row.price.as_ref()).any(|row| untold(&row))
        {
            return Err("has prices without `as_of` and `source`: set `prices`".to_owned());
        }
        Ok(Self {
            name: name.as_str().to_owned(),
            manners: Manners::of(row)?,
            elsewhere,
            row: row.clone(),
            base_url,
        })
    }

    /// The name, as requests say it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The setting that holds the key, if the vendor knows keys.
    pub fn key_variable(&self) -> Option<&str> {
        self.row.key_variable.as_ref().map(|variable| variable.as_str())
    }

    /// All settings that this vendor hears, the key first.
    pub fn settings(&self) -> Vec<VendorSetting> {
        let setting = |name: &str, role, default| VendorSetting { name: name.to_owned(), role, default };
        let address = self
            .base_url
            .variables()
            .map(|name| setting(name, SettingRole::Address, self.base_url.otherwise(name)));
        let row = &self.row;
        let key = row.key_variable.iter().map(|name| setting(name.as_str(), SettingRole::Key, None));
        let model = row
            .model_variable
            .iter()
            .map(|name| setting(name.as_str(), SettingRole::Model, row.model.clone()));
        let wire = self.manners.protocol.as_str().to_owned();
        let wire = row
            .wire_variable
            .iter()
            .map(|name| setting(name.as_str(), SettingRole::Wire, Some(wire.clone())));
        key.chain(address).chain(model).chain(wire).collect()
    }

    /// The models that are known by their full names, in the order of the table.
    pub fn models(&self) -> Vec<&str> {
        self.row.models.keys().map(ModelPattern::as_str).filter(|name| !name.ends_with('*')).collect()
    }

    /// What is known of `model`.
    pub fn facts(&self, model: &str) -> Facts {
        let row = row_of(&self.row.models, model);
        let unknown = Facts::UNKNOWN;
        Facts {
            context_tokens: row.context.map_or(unknown.context_tokens, |tokens| tokens.get()),
            output_tokens_max: row.output.map_or(unknown.output_tokens_max, |tokens| tokens.get()),
            thinking: row.thinking.unwrap_or(Thinking::Unsaid),
            caches: row.caches.unwrap_or(match self.manners.protocol {
                Protocol::Anthropic => Caches::Marks,
                Protocol::Responses | Protocol::ChatCompletions => unknown.caches,
            }),
            price: row.price.as_ref().and_then(|price| self.price(price, row.long.as_ref())),
        }
    }

    /// How `model` is told what it did not say itself, by whoever's server.
    fn telling(&self, model: &str, owner: Owner) -> Telling {
        let own = row_of(&self.row.models, model);
        let row = match (owner, &self.elsewhere) {
            (Owner::Other, Some(elsewhere)) => own.over(row_of(&elsewhere.models, model)),
            (Owner::Other, None) | (Owner::Vendor, _) => own,
        };
        Telling {
            turns: row.turns.unwrap_or(Turns::Free),
            reply: row.rewritten_reply.unwrap_or_default(),
            call: row.rewritten_call.unwrap_or_default(),
        }
    }

    fn price(&self, row: &PriceRow, long: Option<&LongRow>) -> Option<Price> {
        let told: Option<&Told> = self.row.prices.as_ref();
        let as_of = row.as_of.as_ref().or(told.map(|told| &told.as_of))?;
        let source = row.source.as_ref().or(told.map(|told| &told.source))?;
        let usual = rates(row.input, row.cache_write, row.cache_read, row.output);
        let long = long.map(|row| (row.above, rates(row.input, row.cache_write, row.cache_read, row.output)));
        Some(Price { as_of: as_of.as_str().to_owned(), source: source.as_str().to_owned(), usual, long })
    }
}

impl Manners {
    fn of(row: &Row) -> Result<Self, String> {
        Ok(Self {
            protocol: row.wire.ok_or("needs `wire`")?,
            key_header: row.key_header.unwrap_or(KeyHeader::Bearer),
            output_limit: row.output_limit.unwrap_or(OutputLimit::MaxTokens),
            usage: if row.usage_on_request.unwrap_or(true) {
                UsageTold::OnRequest
            } else {
                UsageTold::Unasked
            },
            cache_key: if row.cache_key.unwrap_or(false) { CacheKey::Sent } else { CacheKey::Unknown },
            idle: row.idle_seconds.map_or(IDLE_USUAL, Idle::get),
        })
    }
}

/// What a cached token costs when nobody says is what any other one does: never too little.
fn rates(input: Usd, cache_write: Option<Usd>, cache_read: Option<Usd>, output: Usd) -> Rates {
    Rates {
        input: input.get(),
        cache_write: cache_write.unwrap_or(input).get(),
        cache_read: cache_read.unwrap_or(input).get(),
        output: output.get(),
    }
}

/// What is written of `model`: its own line, and for what that leaves out the families that it belongs to.
fn row_of(models: &IndexMap<ModelPattern, ModelRow>, model: &str) -> ModelRow {
    let mut fitting: Vec<(usize, &ModelRow)> =
        models.iter().filter_map(|(name, row)| Some((fit(model, name.as_str())?, row))).collect();
    fitting.sort_by_key(|(closeness, _)| std::cmp::Reverse(*closeness));
    fitting.into_iter().fold(ModelRow::default(), |row, (_, next)| row.over(next.clone()))
}

/// How closely `pattern` fits `model`; a full name more closely than any family.
fn fit(model: &str, pattern: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        Some(family) => model.starts_with(family).then_some(family.len()),
        None => is_model(model, pattern).then_some(usize::MAX),
    }
}

/// Whether `name` is `model` or a dated snapshot of it.
fn is_model(name: &str, model: &str) -> bool {
    let Some(rest) = name.strip_prefix(model) else { return false };
    let Some(date) = rest.strip_prefix('-') else { return rest.is_empty() };
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    digits == 8 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

#[cfg(test)]
pub(crate) mod tests;
