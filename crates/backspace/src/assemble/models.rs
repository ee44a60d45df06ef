//! From settings to the model providers that may be asked.

use std::sync::Arc;

use anyhow::{Result, bail};
use model::{Called, Unready, Vendor};
use session::{Provider, Providers};

use crate::config::Settings;
use crate::output::Usage;

/// The providers that have what they need, in the operator's order, after `first`.
///
/// # Errors
/// A name that is no provider's, one that was named and has no model, a setting that makes no sense.
pub(crate) fn providers(settings: &Settings, first: Option<Provider>) -> Result<Providers> {
    let mut providers: Vec<Provider> = first.into_iter().collect();
    let named = settings.list("BACKSPACE_PROVIDERS");
    for entry in entries(settings, &named)? {
        let (vendor, called) = match entry {
            Entry::Vendor(vendor, called) => (vendor, called),
            Entry::Offline => {
                providers.push(offline());
                continue;
            }
        };
        let served = vendor.served(|name| settings.text(name).map(str::to_owned), called);
        match (served, called) {
            (Ok(served), _) => {
                let (name, config) = (vendor.name().to_owned(), model::Config::Served(served));
                providers.push(Provider { name, config });
            }
            (Err(Unready::Wrong(why)), _) => bail!(Usage(why)),
            (Err(Unready::NeedsModel(setting)), Called::ByName) => {
                let name = vendor.name();
                bail!(Usage(format!(
                    "BACKSPACE_PROVIDERS names {name}, which needs a model: set {setting}, or write {name}/MODEL"
                )))
            }
            (Err(Unready::Untouched | Unready::Needs(_) | Unready::NeedsModel(_)), _) => {}
        }
    }
    Ok(Providers(providers))
}

/// The offline agent, which needs nothing.
pub(super) fn offline() -> Provider {
    let config = model::Config::Offline(model::OfflineConfig::default());
    Provider { name: model::OFFLINE.to_owned(), config }
}

/// Who is to be looked at.
enum Entry<'a> {
    Vendor(&'a Arc<Vendor>, Called<'a>),
    Offline,
}

/// Those that the operator has `named`, each as `PROVIDER` or `PROVIDER/MODEL`, else all vendors. The offline agent is a
/// last resort, and only where somebody names it.
fn entries<'a>(settings: &'a Settings, named: &'a [String]) -> Result<Vec<Entry<'a>>> {
    if named.is_empty() {
        let all = settings.vendors().iter().map(|vendor| Entry::Vendor(vendor, Called::Unnamed));
        return Ok(all.collect());
    }
    let entry = |(n, text): (usize, &'a String)| {
        // Models have slashes in their names as well; vendors have none.
        let (name, called) = match text.split_once('/') {
            Some((name, model)) if !model.is_empty() => (name, Called::WithModel(model)),
            Some(_) | None => (text.as_str(), Called::ByName),
        };
        match settings.vendors().get(name) {
            Some(vendor) => Ok(Entry::Vendor(vendor, called)),
            None if text == model::OFFLINE && n + 1 == named.len() => Ok(Entry::Offline),
            None if text == model::OFFLINE => {
                bail!(Usage("BACKSPACE_PROVIDERS: `offline` can only be the last".to_owned()))
            }
            None => {
                let mut known: Vec<&str> = settings.vendors().iter().map(|vendor| vendor.name()).collect();
                known.push(model::OFFLINE);
                bail!(Usage(format!("BACKSPACE_PROVIDERS names `{text}`; there are: {}", known.join(", "))))
            }
        }
    };
    named.iter().enumerate().map(entry).collect()
}
