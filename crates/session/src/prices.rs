//! A budget in dollars needs prices: which models may be asked under one.

use model::{Config, ModelName};

use crate::Providers;

/// A model was to be asked under a budget in dollars, and nobody knows what it costs.
#[derive(Debug, thiserror::Error)]
#[error("the price of {} ({}) is not known", .0.model, .0.provider)]
pub(crate) struct Unpriced(pub(crate) ModelName);

impl Unpriced {
    /// What the operator can do.
    pub(crate) fn mend(&self) -> String {
        let ModelName { provider, model } = &self.0;
        format!(
            "Its price can be given in the file that BACKSPACE_VENDORS names: [{provider}.models.\"{model}\"] price = \
             {{ input = USD, output = USD }}, for a million tokens. Tokens, turns and minutes can be bounded without it."
        )
    }
}

/// The models of `chain` whose price is known, and the names of those that are passed over.
///
/// # Errors
/// [`Unpriced`] when the first one is not among them: it was chosen, and another in its place would surprise.
pub(crate) fn priced(chain: Vec<Config>) -> Result<(Vec<Config>, Vec<ModelName>), Unpriced> {
    let is_priced = |config: &Config| config.facts().price.is_some();
    if let Some(chosen) = chain.first().filter(|config| !is_priced(config)) {
        return Err(Unpriced(chosen.name()));
    }
    let (priced, unpriced): (Vec<Config>, Vec<Config>) = chain.into_iter().partition(is_priced);
    Ok((priced, unpriced.iter().map(Config::name).collect()))
}

impl Providers {
    /// What would be asked for a request that names `provider` and `model`, if its price is not known.
    pub(crate) fn unpriced(&self, provider: Option<&str>, model: Option<&str>) -> Option<Unpriced> {
        // Without any provider there is more to mend than a price.
        priced(self.chain(provider, model).ok()?).err()
    }
}

#[cfg(test)]
mod tests {
    use model::{ScriptedConfig, Served, Vendors};
    use secrecy::SecretString;

    use super::*;
    use crate::Provider;

    fn served(vendor: &str, model: &str) -> Config {
        let vendor = Vendors::built_in().get(vendor).unwrap();
        Config::Served(Served::new(vendor, SecretString::from(""), model))
    }

    fn names(configs: &[Config]) -> Vec<String> {
        configs.iter().map(|config| config.name().model).collect()
    }

    #[test]
    fn a_model_without_a_price_is_passed_over_as_a_fallback_and_refused_as_a_choice() {
        let (known, unknown) = (|| served("anthropic", "claude-opus-5-5"), || served("openai", "gpt-none"));
        let (asked, passed_over) = priced(vec![known(), unknown(), known()]).unwrap();
        assert_eq!(names(&asked), ["claude-opus-5-5", "claude-opus-5-5"]);
        assert_eq!(passed_over, [ModelName { provider: "openai".into(), model: "gpt-none".into() }]);
        let refused = priced(vec![unknown(), known()]).unwrap_err();
        assert_eq!(refused.to_string(), "the price of gpt-none (openai) is not known");
        assert!(
            refused.mend().contains(r#"[openai.models."gpt-none"] price = { input = USD"#),
            "{}",
            refused.mend()
        );
    }

    #[test]
    fn what_a_request_would_ask_is_looked_at() {
        let named = |(name, config): (&str, Config)| Provider { name: name.to_owned(), config };
        let openai = served("openai", "gpt-none");
        let providers = Providers(
            [("openai", openai), ("anthropic", served("anthropic", "claude-opus-5-5"))].map(named).into(),
        );
        assert!(providers.unpriced(None, None).is_some());
        assert!(providers.unpriced(Some("anthropic"), None).is_none());
        assert!(providers.unpriced(Some("anthropic"), Some("claude-none")).is_some());
        assert!(providers.unpriced(Some("abacus"), None).is_none(), "that is told otherwise");
        assert!(Providers::default().unpriced(None, None).is_none());
        // Playing a recording costs what its lines say.
        let played = Config::Scripted(ScriptedConfig { name: "tape".into(), text: String::new() });
        assert!(Providers(vec![named(("scripted", played))]).unpriced(None, None).is_none());
    }
}
