//! Who may be asked to think, and in which order for a request.

use model::Config;

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
    /// The names, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for provider in &self.0 {
            if !names.contains(&provider.name) {
                names.push(provider.name.clone());
            }
        }
        names
    }

    /// The models for a request: the one that it names (the first one, when it names none) with `model` in it, then the
    /// operator's others in their order, which take over when it does not answer.
    ///
    /// What a request names is a preference: whoever must not see a repository is no provider of this operator. But who
    /// asks for a recording asks for nothing else, and a recording takes over from nobody.
    pub(crate) fn chain(
        &self,
        name: Option<&str>,
        model: Option<&str>,
    ) -> Result<Vec<Config>, UnknownProvider> {
        let first = match name {
            None if self.0.is_empty() => return Err(UnknownProvider::None),
            None => 0,
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
        if !stands_alone(&chain[0]) {
            let others =
                self.0.iter().enumerate().filter(|(n, _)| *n != first).map(|(_, other)| &other.config);
            chain.extend(others.filter(|config| !stands_alone(config)).cloned());
        }
        Ok(chain)
    }
}

fn stands_alone(config: &Config) -> bool {
    match config {
        Config::Scripted(_) => true,
        Config::Served(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use model::{ScriptedConfig, Served, Vendors};
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
        ];
        Providers(all.map(named).into())
    }

    /// The models that are asked, in order.
    fn chain(name: Option<&str>, model: Option<&str>) -> Vec<String> {
        let told = |config: &Config| match config {
            Config::Served(served) => served.model().to_owned(),
            Config::Scripted(config) => config.name.clone(),
        };
        providers().chain(name, model).unwrap().iter().map(told).collect()
    }

    #[test]
    fn what_is_named_comes_first_and_the_others_keep_their_order() {
        assert_eq!(chain(Some("anthropic"), None), ["a", "g", "b"]);
        assert_eq!(chain(Some("openai"), Some("x")), ["x", "a", "b"]);
        assert_eq!(providers().names(), ["scripted", "anthropic", "openai"]);
        let unknown = providers().chain(Some("other"), None).unwrap_err();
        assert_eq!(unknown.to_string(), "provider `other` is not configured");
        assert!(matches!(Providers::default().chain(None, None), Err(UnknownProvider::None)));
    }

    #[test]
    fn a_recording_stands_alone() {
        assert_eq!(chain(None, None), ["tape"]);
        assert_eq!(chain(Some("scripted"), None), ["tape"]);
    }
}
