//! What there is to find of models: who would be asked, in which order, at which price, and who is half configured.

use model::{Called, Config, Facts, Served, Unready};

use super::{Verdict, missing};
use crate::assemble;
use crate::config::Settings;

/// The providers that a session would ask, in order, then those that lack something.
pub(super) fn all(settings: &Settings) -> Vec<Verdict> {
    let providers = match assemble::providers(settings, None) {
        Ok(providers) => providers,
        Err(error) => return vec![missing(format!("{error:#}"), "Mend the setting that it names")],
    };
    let mut found: Vec<Verdict> = providers.0.iter().map(|provider| provider_of(&provider.config)).collect();
    if found.is_empty() {
        let mend = "Set ANTHROPIC_API_KEY or OPENAI_API_KEY (`backspace demo` needs neither), or another vendor's: docs/models.md";
        found.push(missing("no provider is configured", mend));
    }
    found.extend(settings.vendors().iter().filter_map(|vendor| {
        let unready = vendor.served(|name| settings.text(name).map(str::to_owned), Called::Unnamed).err()?;
        let weak = |what: String, setting: &str| Verdict::Weak { what, mend: format!("Set {setting}") };
        match unready {
            Unready::Untouched => None,
            Unready::Wrong(why) => {
                Some(Verdict::Weak { what: format!("{} is not used", vendor.name()), mend: why })
            }
            Unready::Needs(setting) => {
                Some(weak(format!("{} is configured only in part", vendor.name()), &setting))
            }
            Unready::NeedsModel(setting) => Some(weak(format!("{} has no model", vendor.name()), &setting)),
        }
    }));
    found
}

fn provider_of(config: &Config) -> Verdict {
    match config {
        Config::Scripted(config) => Verdict::Fine(format!("the recording {}", config.name)),
        Config::Played(_) => Verdict::Fine("a recording".to_owned()),
        Config::Served(served) => served_of(served),
        Config::Offline(_) => {
            Verdict::Fine("offline: an agent with fixed rules and no model, as the last resort".to_owned())
        }
    }
}

fn served_of(served: &Served) -> Verdict {
    let facts = served.facts();
    let what = format!(
        "{}: {} over {} at {}; {}; no key was tried",
        served.provider(),
        served.model(),
        served.protocol().as_str(),
        served.host(),
        told(&facts)
    );
    if served.exposes_key() {
        let mend = format!("Reach {} over https: whoever is between can read the key", served.host());
        return Verdict::Weak { what: format!("{what}, over plain http"), mend };
    }
    match facts.price {
        Some(_) => Verdict::Fine(what),
        None => Verdict::Weak {
            what,
            mend: format!(
                "A budget in dollars needs a price: give {} one in BACKSPACE_VENDORS",
                served.model()
            ),
        },
    }
}

/// What is known of a model, in a few words.
fn told(facts: &Facts) -> String {
    let context = facts.context_tokens / 1000;
    let price = match &facts.price {
        None => "price not known".to_owned(),
        Some(price) if price.usual.output == 0.0 => "asks no price".to_owned(),
        Some(price) => format!(
            "${} in, ${} out for a million tokens as of {}",
            price.usual.input, price.usual.output, price.as_of
        ),
    };
    format!("{context}k tokens of context, {price}")
}
