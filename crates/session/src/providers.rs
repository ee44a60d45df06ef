//! Who may be asked to think, and in which order for a request.

use std::fmt;

use model::{Config, Models};

/// The models that are configured, in the order in which they are preferred. A provider may stand in it more than once,
/// with other models.
#[derive(Debug, Clone, Default)]
pub struct Providers(pub Vec<Provider>);

/// A model of a provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// `anthropic`, `openai`, `scripted`.
    pub name: String,
    /// How it is reached, and its default model.
    pub config: Config,
}

/// A provider that may be asked for, and its models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The provider.
    pub provider: String,
    /// The models that may be asked of it.
    pub models: Models,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.models {
            Models::Any => write!(f, "{}: any", self.provider),
            Models::Listed(names) => write!(f, "{}: {}", self.provider, names.join(", ")),
        }
    }
}

/// No provider fits the request.
#[derive(Debug, thiserror::Error)]
pub enum UnknownProvider {
    /// None is configured at all.
    #[error("no model provider is configured")]
    None,
    /// The one that was asked for is not configured.
    #[error("provider `{0}` is not configured")]
    Named(String),
}

impl Providers {
    /// What may be asked for: each provider once.
    pub fn offers(&self) -> Vec<Offer> {
        let mut offers: Vec<Offer> = Vec::new();
        for Provider { name, config } in &self.0 {
            match offers.iter_mut().find(|offer| offer.provider == *name) {
                Some(offer) => offer.models.add(config.models()),
                None => offers.push(Offer { provider: name.clone(), models: config.models() }),
            }
        }
        offers
    }

    /// The models for a request: the one that it names (the first one that has `model`, when it names none) with `model` in
    /// it, then the operator's others in their order, which take over when it does not answer.
    ///
    /// What a request names is a preference: whoever must not see a repository is no provider of this operator. But who
    /// asks for a recording or for the offline agent asks for nothing else, and a recording takes over from nobody.
    pub(crate) fn chain(
        &self,
        name: Option<&str>,
        model: Option<&str>,
    ) -> Result<Vec<Config>, UnknownProvider> {
        let first = match name {
            None if self.0.is_empty() => return Err(UnknownProvider::None),
            None => {
                let has = |provider: &Provider| model.is_none_or(|model| provider.config.models().has(model));
                self.0.iter().position(has).unwrap_or(0)
            }
            Some(name) => self
                .0
                .iter()
                .position(|provider| provider.name == name)
                .ok_or_else(|| UnknownProvider::Named(name.to_owned()))?,
        };
        let preferred = self.0[first].config.clone();
        let mut chain = vec![match model {
            None => preferred,
            Some(model) => preferred.with_model(model),
        }];
        if matches!(chain[0], Config::Served(_)) {
            let others =
                self.0.iter().enumerate().filter(|(n, _)| *n != first).map(|(_, other)| &other.config);
            chain.extend(others.filter(|config| takes_over(config)).cloned());
        }
        Ok(chain)
    }
}

/// Whether it goes on with what another one has begun.
fn takes_over(config: &Config) -> bool {
    match config {
        Config::Served(_) | Config::Offline(_) => true,
        Config::Scripted(_) | Config::Played(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use model::{OfflineConfig, ScriptedConfig, Served, Vendors};
    use secrecy::SecretString;

    use super::*;

    fn providers() -> Providers {
        let served = |vendor: &str, model: &str| {
            let vendors = Vendors::built_in();
            Config::Served(Served::new(vendors.get(vendor).unwrap(), SecretString::from(""), model))
        };
        let played = Config::Scripted(ScriptedConfig { name: "tape".to_owned(), text: String::new() });
        let named = |(name, config): (&str, Config)| Provider { name: name.to_owned(), config };
        let all = [
            ("scripted", played),
            ("anthropic", served("anthropic", "a")),
            ("openai", served("openai", "g")),
            ("anthropic", served("anthropic", "b")),
            ("offline", Config::Offline(OfflineConfig::default())),
        ];
        Providers(all.map(named).into())
    }

    /// The models that are asked, in order.
    fn chain(name: Option<&str>, model: Option<&str>) -> Vec<String> {
        let told = |config: &Config| match config {
            Config::Served(served) => served.model().to_owned(),
            Config::Scripted(config) => config.name.clone(),
            Config::Played(_) => "played".to_owned(),
            Config::Offline(_) => "offline".to_owned(),
        };
        providers().chain(name, model).unwrap().iter().map(told).collect()
    }

    #[test]
    fn what_is_named_comes_first_and_the_others_keep_their_order() {
        assert_eq!(chain(Some("anthropic"), None), ["a", "g", "b", "offline"]);
        assert_eq!(chain(Some("openai"), Some("x")), ["x", "a", "b", "offline"]);
        let unknown = providers().chain(Some("other"), None).unwrap_err();
        assert_eq!(unknown.to_string(), "provider `other` is not configured");
        assert!(matches!(Providers::default().chain(None, None), Err(UnknownProvider::None)));
    }

    #[test]
    fn a_model_leads_to_the_first_provider_that_has_it() {
        let mut providers = providers();
        providers.0.remove(0);
        let first = |model: &str| match providers.chain(None, Some(model)).unwrap().remove(0) {
            Config::Served(served) => format!("{}/{}", served.provider(), served.model()),
            Config::Scripted(config) => config.name,
            Config::Played(_) => "played".to_owned(),
            Config::Offline(_) => "offline".to_owned(),
        };
        assert_eq!(first("gpt-5"), "openai/gpt-5");
        assert_eq!(first("claude-opus-5"), "anthropic/claude-opus-5");
        assert_eq!(first("a"), "anthropic/a");
    }

    #[test]
    fn each_provider_is_offered_once_with_all_its_models() {
        let offers = providers().offers();
        let names: Vec<&str> = offers.iter().map(|offer| offer.provider.as_str()).collect();
        assert_eq!(names, ["scripted", "anthropic", "openai", "offline"]);
        assert_eq!(offers[0].models, Models::Any);
        for (model, known) in [("a", true), ("b", true), ("claude-opus-5-5", true), ("gpt-5", false)] {
            assert_eq!(offers[1].models.has(model), known, "{model}");
        }
    }

    #[test]
    fn a_recording_and_the_offline_agent_stand_alone_when_they_are_asked_for() {
        assert_eq!(chain(None, None), ["tape"]);
        assert_eq!(chain(Some("scripted"), None), ["tape"]);
        assert_eq!(chain(Some("offline"), Some("x")), ["offline"]);
    }
}
