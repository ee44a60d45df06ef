//! A model that a vendor serves: the vendor, where it is reached, with which key, and which model.

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::address::{Filled, Owner, is_near};
use super::{CacheKey, Manners, Protocol, Telling, Vendor, is_model};
use crate::transport::endpoint_url;
use crate::{Facts, ModelName, Origin, Usage, Wire};

/// A model that a vendor serves.
#[derive(Debug, Clone)]
pub struct Served {
    vendor: Arc<Vendor>,
    pub(crate) manners: Manners,
    /// Where the wire begins: `https://api.anthropic.com`, `https://api.openai.com/v1`.
    pub(crate) base_url: String,
    /// Whether the vendor's own server stands there.
    owner: Owner,
    /// An empty one is not sent: servers of one's own may need none.
    pub(crate) key: SecretString,
    /// The model as the vendor names it.
    pub(crate) model: String,
    /// The model that the operator has chosen; it may be asked for whatever the table says.
    chosen: String,
    /// What requests with a beginning in common have in common.
    pub(crate) cache_key: Option<String>,
}

/// Which models a provider may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Models {
    /// Any: the server knows what it has.
    Any,
    /// These, and dated snapshots of them.
    Listed(Vec<String>),
}

/// Why a vendor cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// None of its settings is there.
    Untouched,
    /// Its key or its address is missing, which the setting of this name would give.
    Needs(String),
    /// Nobody says which model; the setting of this name would.
    NeedsModel(String),
    /// A setting is there and makes no sense.
    Wrong(String),
}

/// Who says that a vendor is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called<'a> {
    /// The operator named it.
    ByName,
    /// The operator named it, and this model of it.
    WithModel(&'a str),
    /// Nobody; its settings may be there.
    Unnamed,
}

impl Vendor {
    /// How this vendor is reached, with `setting` as the values of its settings.
    ///
    /// # Errors
    /// [`Unready`] says what is missing.
    pub fn served(
        self: &Arc<Self>,
        setting: impl Fn(&str) -> Option<String>,
        called: Called<'_>,
    ) -> Result<Served, Unready> {
        let row = &self.row;
        let key = row.key_variable.as_ref().and_then(|name| setting(name.as_str()));
        let touched = key.is_some() || self.base_url.variables().any(|name| setting(name).is_some());
        let keyless = row.keyless.unwrap_or(false);
        let asked_for = touched || (keyless && called != Called::Unnamed);
        if !asked_for {
            return Err(Unready::Untouched);
        }
        let filled = self.base_url.fill(&setting, row.port);
        let Filled { base_url, owner } = filled.map_err(|name| Unready::Needs(name.to_owned()))?;
        let wrong_address = |why| {
            let given: Vec<&str> = self.base_url.variables().filter(|name| setting(name).is_some()).collect();
            let what =
                if given.is_empty() { format!("the base URL of {}", self.name) } else { given.join(", ") };
            Unready::Wrong(format!("{what} {why}"))
        };
        endpoint_url(&base_url, "").map_err(wrong_address)?;
        if let (Some(text), Some(name)) = (&key, self.key_variable())
            && HeaderValue::from_str(text.trim()).is_err()
        {
            return Err(Unready::Wrong(format!("{name} has characters that no key has")));
        }
        // The vendor's own server refuses whoever has no key; one that the operator has named may want none.
        let refuses = owner == Owner::Vendor && !keyless && self.base_url.holds_without_settings();
        if let (None, true, Some(name)) = (&key, refuses, self.key_variable()) {
            return Err(Unready::Needs(name.to_owned()));
        }
        let variable = row.model_variable.as_ref().map(|name| name.as_str());
        let model = match called {
            Called::WithModel(model) => Some(model.to_owned()),
            Called::ByName | Called::Unnamed => variable.and_then(&setting).or_else(|| row.model.clone()),
        };
        let model = model.ok_or_else(|| Unready::NeedsModel(variable.unwrap_or("model").to_owned()))?;
        let mut served = Served::new(self, SecretString::from(key.unwrap_or_default()), model);
        if owner == Owner::Other {
            served.manners = self.elsewhere.as_ref().map_or(self.manners, |elsewhere| elsewhere.manners);
        }
        if let Some((name, word)) =
            row.wire_variable.as_ref().and_then(|name| Some((name, setting(name.as_str())?)))
        {
            let wrong = |why| Unready::Wrong(format!("{}: {why}", name.as_str()));
            served.manners.protocol = word.trim().parse().map_err(wrong)?;
        }
        Ok(Served { base_url, owner, ..served })
    }
}

impl Served {
    /// `model` of `vendor` at its own address.
    pub fn new(vendor: &Arc<Vendor>, key: SecretString, model: impl Into<String>) -> Self {
        let model = model.into();
        let key = SecretString::from(key.expose_secret().trim());
        let base_url = vendor.base_url.fill(|_| None, vendor.row.port).map(|filled| filled.base_url);
        Self {
            vendor: Arc::clone(vendor),
            manners: vendor.manners,
            base_url: base_url.unwrap_or_default(),
            owner: Owner::Vendor,
            key,
            chosen: model.clone(),
            model,
            cache_key: None,
        }
    }

    /// The same with its server at another address.
    #[must_use]
    pub fn at(self, base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), owner: Owner::Other, ..self }
    }

    /// The same, spoken to in another wire.
    #[must_use]
    pub fn speaking(mut self, protocol: Protocol) -> Self {
        self.manners.protocol = protocol;
        self
    }

    /// The same vendor with another model.
    #[must_use]
    pub fn with_model(self, model: impl Into<String>) -> Self {
        Self { model: model.into(), ..self }
    }

    /// The same for the requests that `key` stands for: vendors that take it keep those together.
    #[must_use]
    pub fn with_cache_key(self, key: impl Into<String>) -> Self {
        Self { cache_key: Some(key.into()), ..self }
    }

    /// The vendor's name.
    pub fn provider(&self) -> &str {
        self.vendor.name()
    }

    /// The model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where it is reached.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The server that is asked, for people: its host, with the port where it is not the usual one.
    pub fn host(&self) -> String {
        let url = endpoint_url(&self.base_url, "").ok();
        let host = url.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
        match host {
            Some((host, Some(port))) => format!("{host}:{port}"),
            Some((host, None)) => host.to_owned(),
            None => "an address that is none".to_owned(),
        }
    }

    /// Whether everybody on the way can read the key: over plain http, to a host that is not near.
    pub fn exposes_key(&self) -> bool {
        let url = endpoint_url(&self.base_url, "").ok();
        let far = |url: Url| url.scheme() == "http" && !url.host_str().is_some_and(is_near);
        !self.key.expose_secret().is_empty() && url.is_some_and(far)
    }

    /// The wire that is spoken.
    pub fn protocol(&self) -> Protocol {
        self.manners.protocol
    }

    /// What is known of the model.
    pub fn facts(&self) -> Facts {
        self.vendor.facts(&self.model)
    }

    /// The setting that holds the key, if the vendor knows keys.
    pub fn key_variable(&self) -> Option<&str> {
        self.vendor.key_variable()
    }

    /// The models that may be asked for here.
    pub fn models(&self) -> Models {
        let only_listed = self.vendor.row.only_listed.unwrap_or(false) && self.owner == Owner::Vendor;
        if !only_listed {
            return Models::Any;
        }
        let mut names: Vec<String> = self.vendor.models().into_iter().map(str::to_owned).collect();
        if !names.contains(&self.chosen) {
            names.insert(0, self.chosen.clone());
        }
        Models::Listed(names)
    }

    /// Who is asked.
    pub(crate) fn name(&self) -> ModelName {
        ModelName { provider: self.provider().to_owned(), model: self.model.clone() }
    }

    /// Who writes the replies.
    pub(crate) fn origin(&self) -> Origin {
        let wire = match self.manners.protocol {
            Protocol::Anthropic => Wire::Anthropic,
            Protocol::Responses => Wire::Responses,
            Protocol::ChatCompletions => Wire::ChatCompletions,
        };
        Origin { wire, provider: self.provider().to_owned(), model: self.model.clone() }
    }

    /// The key of requests that belong together, where the server takes one.
    pub(crate) fn sent_cache_key(&self) -> Option<&str> {
        match self.manners.cache_key {
            CacheKey::Sent => self.cache_key.as_deref(),
            CacheKey::Unknown => None,
        }
    }

    /// Whether the server wants a field of a reply, or of a call in it, back that the wire does not name.
    pub(crate) fn takes_back(&self, field: &str) -> bool {
        self.vendor.row.takes_back.iter().flatten().any(|name| name.as_str() == field)
    }

    /// How the model is told what it did not say itself.
    pub(crate) fn telling(&self) -> Telling {
        self.vendor.telling(&self.model, self.owner)
    }

    /// What `usage` of a reply costs that `answered` gave, in US dollars; nothing when no price is known.
    pub(crate) fn usd(&self, answered: &str, usage: &Usage) -> Option<f64> {
        let price = self.vendor.facts(answered).price.or_else(|| self.facts().price);
        price.map(|price| price.usd(usage))
    }
}

impl Models {
    /// Takes in what may be asked for elsewhere.
    pub fn add(&mut self, others: Self) {
        match (&mut *self, others) {
            (Self::Listed(names), Self::Listed(more)) => {
                let new: Vec<String> = more.into_iter().filter(|name| !names.contains(name)).collect();
                names.extend(new);
            }
            (Self::Any, _) | (Self::Listed(_), Self::Any) => *self = Self::Any,
        }
    }

    /// Whether `model` may be asked for.
    pub fn has(&self, model: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(names) => names.iter().any(|name| is_model(model, name)),
        }
    }
}
