//! From settings to the model providers that may be asked.

use std::sync::Arc;

use anyhow::{Result, bail};
use model::{Called, Unready, Vendor};
use session::{Provider, Providers};

use super::Recording;
use crate::config::Settings;
use crate::output::Usage;

/// The providers that have what they need, in the operator's order; a recording stands first.
///
/// # Errors
/// A name that is no provider's, one that was named and has no model, a setting that makes no sense.
pub(crate) fn providers(settings: &Settings, recording: Option<Recording>) -> Result<Providers> {
    let mut providers = Vec::new();
    if let Some(Recording { name, text }) = recording {
        let config = model::Config::Scripted(model::ScriptedConfig { name, text });
        providers.push(Provider { name: "scripted".to_owned(), config });
    }
    for (vendor, called) in in_order(settings)? {
        let served = vendor.served(|name| settings.text(name).map(str::to_owned), called);
        match (served, called) {
            (Ok(served), _) => {
                let (name, config) = (vendor.name().to_owned(), model::Config::Served(served));
                providers.push(Provider { name, config });
            }
            (Err(Unready::Wrong(why)), _) => bail!(Usage(why)),
            (Err(Unready::NeedsModel(setting)), Called::ByName) => {
                bail!(Usage(format!(
                    "BACKSPACE_PROVIDERS names {}, which needs a model: set {setting}",
                    vendor.name()
                )))
            }
            (Err(Unready::Untouched | Unready::Needs(_) | Unready::NeedsModel(_)), _) => {}
        }
    }
    Ok(Providers(providers))
}

/// The vendors to look at: those that the operator names, else all.
fn in_order(settings: &Settings) -> Result<Vec<(&Arc<Vendor>, Called)>> {
    let named = settings.list("BACKSPACE_PROVIDERS");
    if named.is_empty() {
        return Ok(settings.vendors().iter().map(|vendor| (vendor, Called::Unnamed)).collect());
    }
    let vendor = |name: &String| match settings.vendors().get(name) {
        Some(vendor) => Ok((vendor, Called::ByName)),
        None => {
            let known: Vec<&str> = settings.vendors().iter().map(|vendor| vendor.name()).collect();
            bail!(Usage(format!("BACKSPACE_PROVIDERS names `{name}`; there are: {}", known.join(", "))))
        }
    };
    named.iter().map(vendor).collect()
}
