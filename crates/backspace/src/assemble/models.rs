//! From settings to the model providers that may be asked.

use anyhow::{Result, bail};
use secrecy::SecretString;
use session::{Provider, Providers};

use super::Recording;
use crate::config::Settings;
use crate::output::Usage;

/// What Anthropic is asked for when nobody says which: its current general model, as of 2026-10.
const ANTHROPIC_MODEL: &str = "claude-sonnet-5-5";
/// What OpenAI is asked for when nobody says which, as of 2026-10.
const OPENAI_MODEL: &str = "gpt-5.5";

/// The providers that have what they need, in the operator's order; a recording stands first.
///
/// # Errors
/// A name that is no provider's.
pub(crate) fn providers(settings: &Settings, recording: Option<Recording>) -> Result<Providers> {
    let mut providers = Vec::new();
    if let Some(Recording { name, text }) = recording {
        let config = model::Config::Scripted(model::ScriptedConfig { name, text });
        providers.push(Provider { name: "scripted".to_owned(), config });
    }
    let order = match settings.list("BACKSPACE_PROVIDERS") {
        list if list.is_empty() => vec!["anthropic".to_owned(), "openai".to_owned()],
        list => list,
    };
    for name in order {
        let config = match name.as_str() {
            "anthropic" => anthropic(settings),
            "openai" => openai(settings),
            other => {
                bail!(Usage(format!("BACKSPACE_PROVIDERS names `{other}`; there are: anthropic, openai")))
            }
        };
        providers.extend(config.map(|config| Provider { name, config }));
    }
    Ok(Providers(providers))
}

fn anthropic(settings: &Settings) -> Option<model::Config> {
    let key = settings.secret("ANTHROPIC_API_KEY")?;
    let model = settings.text("ANTHROPIC_MODEL").unwrap_or(ANTHROPIC_MODEL);
    let mut config = model::AnthropicConfig::new(key, model);
    if let Some(url) = settings.text("ANTHROPIC_BASE_URL") {
        url.clone_into(&mut config.base_url);
    }
    Some(model::Config::Anthropic(config))
}

/// A server of one's own may need no key, so the base URL alone is enough.
fn openai(settings: &Settings) -> Option<model::Config> {
    let (key, url) = (settings.secret("OPENAI_API_KEY"), settings.text("OPENAI_BASE_URL"));
    if key.is_none() && url.is_none() {
        return None;
    }
    let model = settings.text("OPENAI_MODEL").unwrap_or(OPENAI_MODEL);
    let mut config = model::ChatCompletionsConfig::new(key.unwrap_or_else(|| SecretString::from("")), model);
    if let Some(url) = url {
        url.clone_into(&mut config.base_url);
    }
    Some(model::Config::ChatCompletions(config))
}
