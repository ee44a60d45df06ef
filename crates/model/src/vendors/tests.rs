//! The table: that ours is in order, how another one goes over it, and what its errors say.

use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::{Caches, Usage};

/// `model` of a vendor of our own table.
pub(crate) fn ours(name: &str, model: &str) -> Served {
    Served::new(&vendor(name), SecretString::from("sk-secret"), model)
}

fn vendor(name: &str) -> Arc<Vendor> {
    Arc::clone(Vendors::built_in().get(name).unwrap())
}

fn error(text: &str) -> String {
    Vendors::built_in().with(text).unwrap_err().to_string()
}

/// The vendor's state with these settings.
fn served(name: &str, settings: &[(&str, &str)], called: Called<'_>) -> Result<Served, Unready> {
    let value =
        |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    vendor(name).served(value, called)
}

#[test]
fn our_own_table_is_in_order() {
    let vendors = Vendors::built_in();
    let names: Vec<&str> = vendors.iter().map(|vendor| vendor.name()).collect();
    assert_eq!(
        names,
        [
            "anthropic",
            "openai",
            "openrouter",
            "azure",
            "gemini",
            "mistral",
            "litellm",
            "openai-compatible",
            "ollama",
            "vllm",
            "lmstudio"
        ]
    );
    for vendor in vendors.iter() {
        assert!(vendor.key_variable().is_some(), "{}", vendor.name());
        for model in vendor.models().into_iter().chain(vendor.row.model.as_deref()) {
            let facts = vendor.facts(model);
            assert!(facts.output_tokens_max < facts.context_tokens, "{model}: {facts:?}");
            assert!(facts.caches != Caches::No, "{model}: {facts:?}");
            let Some(price) = facts.price else { continue };
            for rates in [Some(price.usual), price.long.map(|(_, rates)| rates)].into_iter().flatten() {
                assert!(rates.cache_read <= rates.input && rates.input <= rates.output, "{model}: {rates:?}");
                assert!(rates.cache_write >= rates.input, "{model}: {rates:?}");
            }
            assert!(price.long.is_none_or(|(_, long)| long.input > price.usual.input), "{model}: {price:?}");
        }
    }
}

#[test]
fn a_model_has_what_its_families_have_and_its_own_line_changes() {
    let anthropic = vendor("anthropic");
    let facts = anthropic.facts("claude-sonnet-4-5-20250929");
    assert_eq!((facts.context_tokens, facts.output_tokens_max), (200_000, 64_000));
    assert_eq!((facts.thinking, facts.caches), (Thinking::Budget(10_000), Caches::Marks));
    let new = anthropic.facts("claude-next-9");
    assert_eq!((new.context_tokens, new.thinking, new.price), (1_000_000, Thinking::Adaptive, None));
    let foreign = anthropic.facts("some-model");
    assert_eq!((foreign.thinking, foreign.caches), (Thinking::Unsaid, Caches::Marks));
    assert_eq!(foreign.context_tokens, Facts::UNKNOWN.context_tokens);
    let openai = vendor("openai");
    assert_eq!(openai.facts("gpt-4o").thinking, Thinking::Unsaid);
    assert_eq!(openai.facts("gpt-6.2-sol").thinking, Thinking::Summarized);
}

#[test]
fn each_kind_of_token_has_its_price() {
    let usage = Usage { input: 1000, output: 100, cache_read: 10_000, cache_write: 2000, usd: None };
    let usd =
        |vendor: &Vendor, model: &str, usage: &Usage| vendor.facts(model).price.map(|price| price.usd(usage));
    let anthropic = vendor("anthropic");
    let paid = usd(&anthropic, "claude-sonnet-4-5-20250929", &usage).unwrap();
    assert!((paid - 0.015).abs() < 1e-12, "{paid}");
    let short = Usage { input: 100_000, ..Usage::default() };
    let long = Usage { cache_read: 1, ..short };
    assert!((usd(&anthropic, "claude-haiku-5-5", &short).unwrap() - 0.01).abs() < 1e-12);
    assert!((usd(&anthropic, "claude-haiku-5-5", &long).unwrap() - 0.050_000_05).abs() < 1e-12);
    for unknown in ["", "claude-opus-5-5-fast", "claude-opus-4", "claude-opus-4-1"] {
        assert_eq!(usd(&anthropic, unknown, &usage), None, "{unknown}");
    }
    let openai = vendor("openai");
    assert_eq!(usd(&openai, "gpt-5-pro", &usage), None);
    assert!(usd(&openai, "gpt-4o-2024-08-06", &usage).is_some());
    // Without a price of its own a cached token costs what any other one does.
    let mistral = usd(&vendor("mistral"), "mistral-medium-3.5", &usage).unwrap();
    assert!((mistral - (13_000.0 * 1.5 + 100.0 * 7.5) / 1e6).abs() < 1e-12, "{mistral}");
    assert_eq!(usd(&vendor("ollama"), "anything", &usage), Some(0.0));
}

#[test]
fn another_table_adds_and_changes() {
    let text = r#"
[anthropic.models."claude-opus-5-5"]
price = { input = 1.0, output = 2.0, as_of = "2027-01-02", source = "https://example.org/contract" }

[anthropic.models."claude-haiku-5-5"]
price = { input = 1.0, output = 2.0 }

[openai.models."gpt-9"]
context = 2_000_000

[groq]
wire = "chat"
base_url = "{GROQ_BASE_URL|https://api.groq.com/openai/v1}"
key_variable = "GROQ_API_KEY"
"#;
    let vendors = Vendors::built_in().with(text).unwrap();
    let opus = vendors.get("anthropic").unwrap().facts("claude-opus-5-5");
    let price = opus.price.unwrap();
    assert_eq!((price.usual.input, price.usual.cache_read), (1.0, 1.0));
    assert_eq!((price.as_of.as_str(), price.source.as_str()), ("2027-01-02", "https://example.org/contract"));
    assert_eq!(opus.thinking, Thinking::Adaptive);
    let haiku = vendors.get("anthropic").unwrap().facts("claude-haiku-5-5").price.unwrap();
    assert_eq!((haiku.long, haiku.as_of.as_str()), (None, "2026-11-12"));
    let openai = vendors.get("openai").unwrap();
    assert_eq!(openai.facts("gpt-9").context_tokens, 2_000_000);
    assert_eq!(openai.models().last(), Some(&"gpt-9"));
    let groq = vendors.iter().last().unwrap();
    assert_eq!((groq.name(), groq.manners.protocol), ("groq", Protocol::ChatCompletions));
    assert_eq!(groq.facts("x"), Facts::UNKNOWN);
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_line_and_field() {
    for (text, line, why) in [
        ("[anthropic]\nbase_ulr = \"x\"", "line 2", "unknown field `base_ulr`"),
        ("[anthropic]\n\nwire = \"morse\"", "line 3", "unknown variant `morse`"),
        ("[openai.models]\n\"x\" = { contxt = 1 }", "line 2", "unknown field `contxt`"),
        ("[openai.models]\n\"x\" = { context = 0 }", "line 2", "0 is no number of tokens"),
        ("[openai.models]\n\"x\" = { price = { input = -1.0, output = 1.0 } }", "line 2", "-1 is no price"),
        ("[openai.models]\n\"x\" = { price = { input = nan, output = 1.0 } }", "line 2", "NaN is no price"),
        ("[openai.models]\n\"x\" = { price = { input = 1.0 } }", "line 2", "missing field `output`"),
        ("[ollama]\nidle_seconds = 9", "line 2", "10 to 3600 seconds, not for 9"),
        ("[ollama]\nidle_seconds = 3601", "line 2", "10 to 3600 seconds, not for 3601"),
        ("[ollama]\nidle_seconds = -1", "line 2", "invalid value: integer `-1`"),
        ("[ollama]\nidle_seconds = \"long\"", "line 2", "invalid type: string"),
        ("[openai.models]\n\"a*b\" = {}", "line 2", "may end in one `*`"),
        (
            "[openai.models]\n\"x\" = { long = { above = 1, input = 1.0, output = 1.0 } }",
            "line 1",
            "`long` without `price`",
        ),
        ("\n\n[new]\nwire = \"chat\"", "line 3", "[new] needs `base_url`"),
        ("[new]\nbase_url = \"https://x\"", "line 1", "[new] needs `wire`"),
        ("[new]\nwire = \"chat\"\nbase_url = \"{lower}\"", "line 3", "is not the name of a setting"),
        (
            "[new]\nwire = \"chat\"\nbase_url = \"https://x\"\nelsewhere = \"nobody\"",
            "line 1",
            "names `nobody`",
        ),
        (
            "[new]\nwire = \"chat\"\nbase_url = \"https://x\"\nmodels = { x = { price = { input = 1.0, output = 1.0 } } }",
            "line 1",
            "prices without `as_of` and `source`",
        ),
        (
            "[new]\nprices = { as_of = \"yesterday\", source = \"https://x\" }",
            "line 2",
            "`yesterday` is not a day",
        ),
        ("[new]\nprices = { as_of = \"2026-11-18\", source = \"x\" }", "line 2", "begins with https://"),
        ("[new]\nkey_variable = \"lower\"", "line 2", "is not the name of a setting"),
        ("[new.models.x]\nturns = \"odd\"", "line 2", "expected `free` or `alternating`"),
        ("[new.models.x]\nrewritten_call = { id = 1 }", "line 2", "`id` is a field that is there by itself"),
        ("[New]\nwire = \"chat\"", "line 1", "is not a vendor's name"),
        ("[new]\nwire = \"chat\"\nwire = \"chat\"", "line 3", "duplicate key"),
        ("nonsense", "line 1", ""),
    ] {
        let error = error(text);
        assert!(error.contains(line) && error.contains(why), "{text:?}: {error}");
    }
}

#[test]
fn a_vendor_is_ready_when_it_has_what_it_needs() {
    let ready = |name: &str, settings: &[(&str, &str)]| {
        let served = served(name, settings, Called::Unnamed).unwrap();
        assert!(served.base_url().contains(&served.host()), "{}", served.host());
        (served.base_url().to_owned(), served.protocol(), served.model().to_owned())
    };
    let key = ("OPENAI_API_KEY", "k");
    assert_eq!(
        ready("openai", &[key]),
        ("https://api.openai.com/v1".to_owned(), Protocol::Responses, "gpt-6.2-sol".to_owned())
    );
    let own = ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    let chat = ("http://127.0.0.1:1/v1".to_owned(), Protocol::ChatCompletions, "gpt-6.2-sol".to_owned());
    assert_eq!(ready("openai", &[own]), chat);
    assert_eq!(ready("openai", &[own, ("OPENAI_WIRE", "responses")]).1, Protocol::Responses);
    assert_eq!(ready("openai", &[key, ("OPENAI_WIRE", "chat")]).1, Protocol::ChatCompletions);
    let azure =
        [("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/"), ("AZURE_OPENAI_DEPLOYMENT", "mine")];
    assert_eq!(ready("azure", &azure).0, "https://r.openai.azure.com/openai/v1");
    assert_eq!(ready("ollama", &[("OLLAMA_HOST", "box"), ("OLLAMA_MODEL", "m")]).0, "http://box:11434/v1");

    let unready =
        |name: &str, settings: &[(&str, &str)]| served(name, settings, Called::Unnamed).unwrap_err();
    assert_eq!(unready("anthropic", &[]), Unready::Untouched);
    assert_eq!(unready("anthropic", &[("ANTHROPIC_MODEL", "x")]), Unready::Untouched);
    let own_address = [("ANTHROPIC_BASE_URL", "https://api.anthropic.com")];
    assert_eq!(unready("anthropic", &own_address), Unready::Needs("ANTHROPIC_API_KEY".to_owned()));
    assert_eq!(
        unready("azure", &[("AZURE_OPENAI_API_KEY", "k")]),
        Unready::Needs("AZURE_OPENAI_ENDPOINT".to_owned())
    );
    assert_eq!(unready("ollama", &[("OLLAMA_HOST", "box")]), Unready::NeedsModel("OLLAMA_MODEL".to_owned()));
    let wrong = unready("openai", &[key, ("OPENAI_WIRE", "morse")]);
    assert!(
        matches!(&wrong, Unready::Wrong(why) if why.starts_with("OPENAI_WIRE: `morse` is no wire")),
        "{wrong:?}"
    );

    for (url, why) in [
        ("https://user:sk-secret@host/v1", "OPENAI_BASE_URL holds credentials"),
        ("ftp://host/v1", "OPENAI_BASE_URL is not http:// or https://"),
        ("https://host/v1?key=sk-secret", "OPENAI_BASE_URL has a query"),
        ("https://", "OPENAI_BASE_URL is no URL"),
    ] {
        let wrong = unready("openai", &[("OPENAI_BASE_URL", url)]);
        assert!(
            matches!(&wrong, Unready::Wrong(told) if told.starts_with(why) && !told.contains("sk-")),
            "{wrong:?}"
        );
    }
    let wrong = unready("openai", &[("OPENAI_API_KEY", "sk-secret\n# a comment")]);
    assert_eq!(wrong, Unready::Wrong("OPENAI_API_KEY has characters that no key has".to_owned()));

    // Naming is enough for a server that needs no key.
    let named = served("ollama", &[("OLLAMA_MODEL", "m")], Called::ByName).unwrap();
    assert_eq!((named.base_url(), named.key.expose_secret()), ("http://127.0.0.1:11434/v1", ""));
    assert_eq!(served("anthropic", &[], Called::ByName).unwrap_err(), Unready::Untouched);
    let with_model = served("ollama", &[], Called::WithModel("qwen/x")).unwrap();
    assert_eq!(with_model.model(), "qwen/x");
}

#[test]
fn a_key_is_exposed_to_everybody_between_us_and_a_far_host() {
    let exposed = |url: &str, key: &str| {
        let settings = [("OPENAI_BASE_URL", url), ("OPENAI_API_KEY", key)];
        served("openai", &settings[..], Called::Unnamed).unwrap().exposes_key()
    };
    assert!(exposed("http://llm.example.com/v1", "k"));
    assert!(!exposed("https://llm.example.com/v1", "k"));
    assert!(!exposed("http://10.0.0.7:4000/v1", "k"));
    assert!(!exposed("http://llm.example.com/v1", " "));
}

#[test]
fn only_listed_models_may_be_asked_of_a_vendor_that_has_a_list() {
    let key = ("OPENAI_API_KEY", "k");
    let models = |settings: &[(&str, &str)]| served("openai", settings, Called::Unnamed).unwrap().models();
    let known = models(&[key]);
    for (model, expected) in
        [("gpt-5", true), ("gpt-5-2025-08-07", true), ("gpt-5-pro", false), ("gpt-", false), ("", false)]
    {
        assert_eq!(known.has(model), expected, "{model}");
    }
    let chosen = models(&[key, ("OPENAI_MODEL", "gpt-next")]);
    assert!(chosen.has("gpt-next") && chosen.has("gpt-5") && !chosen.has("gpt-other"));
    assert_eq!(models(&[("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")]), Models::Any);
    let ollama = served("ollama", &[("OLLAMA_MODEL", "m")], Called::ByName).unwrap();
    assert_eq!(ollama.models(), Models::Any);
    assert!(ours("mistral", "m").models().has("devstral-latest"));
}

#[test]
fn whoever_serves_a_model_tells_it_what_its_maker_wants() {
    let of =
        |vendors: &Vendors, name: &str, model: &str| vendors.get(name).unwrap().telling(model, Owner::Vendor);
    let own = Vendors::built_in();
    for (vendor, model) in [
        ("mistral", "mistral-medium-3.5"),
        ("mistral", "zai-glm-5-2"),
        ("openrouter", "mistralai/devstral-medium"),
        ("litellm", "mistral/mistral-large-latest"),
        ("litellm", "devstral-small"),
        ("vllm", "mistralai/Mistral-Small-4-119B-2603"),
        ("lmstudio", "mistralai/devstral-small-2-2512"),
        ("openai-compatible", "mistralai/mistral-small-4-119b-2603"),
    ] {
        assert_eq!(of(own, vendor, model).turns, Turns::Alternating, "{vendor} {model}");
    }
    let call = r#","extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}}"#;
    for (model, expected) in [("gemini-4-neon", call), ("gemini-3.5-flash", call), ("gemini-2.5-pro", "")] {
        assert_eq!(of(own, "gemini", model).call.as_str(), expected, "{model}");
    }
    for (model, expected) in
        [("kimi-k3", r#","reasoning_content":" ""#), ("deepseek-v4-pro", r#","reasoning_content":" ""#)]
    {
        assert_eq!(of(own, "openai-compatible", model).reply.as_str(), expected, "{model}");
    }
    // Somebody else's server in the place of OpenAI's.
    let openai = |vendors: &Vendors, settings: &[(&str, &str)]| {
        let value = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        vendors
            .get("openai")
            .unwrap()
            .served(value, Called::WithModel("mistralai/x"))
            .unwrap()
            .telling()
            .turns
    };
    let (key, nim) = (("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "https://integrate.api.nvidia.com/v1"));
    assert_eq!((openai(own, &[key]), openai(own, &[key, nim])), (Turns::Free, Turns::Alternating));
    let free = own.with("[openai.models.\"mistralai/*\"]\nturns = \"free\"").unwrap();
    assert_eq!(openai(&free, &[key, nim]), Turns::Free);
    let none = Telling { turns: Turns::Free, reply: Fields::default(), call: Fields::default() };
    for (vendor, model) in [("openai", "gpt-5"), ("openrouter", "openai/gpt-5"), ("vllm", "qwen3")] {
        assert_eq!(of(own, vendor, model), none, "{vendor} {model}");
    }
    // Fields stand in the order in which they are written.
    let text = "[vllm.models.\"mistralai/*\"]\nturns = \"free\"\nrewritten_reply = { z = 1, a = [\"é\"] }";
    let other = of(&own.with(text).unwrap(), "vllm", "mistralai/x");
    assert_eq!((other.turns, other.reply.as_str()), (Turns::Free, r#","z":1,"a":["é"]"#));
}

#[test]
fn a_server_that_loads_its_model_first_may_be_silent_for_longer() {
    let seconds = |vendors: &Vendors, name: &str| vendors.get(name).unwrap().manners.idle.as_secs();
    let own = Vendors::built_in();
    let told = ["anthropic", "openai", "openai-compatible", "ollama", "vllm", "lmstudio"];
    assert_eq!(told.map(|name| seconds(own, name)), [120, 120, 120, 600, 600, 600]);
    let other = own.with("[openai-compatible]\nidle_seconds = 3600\n[ollama]\nidle_seconds = 10").unwrap();
    assert_eq!(told.map(|name| seconds(&other, name)), [120, 120, 3600, 10, 600, 600]);
    let openai = Arc::clone(other.get("openai").unwrap());
    let elsewhere = |name: &str| (name == "OPENAI_BASE_URL").then(|| "http://127.0.0.1:1/v1".to_owned());
    assert_eq!(openai.served(elsewhere, Called::Unnamed).unwrap().manners.idle.as_secs(), 3600);
}

#[test]
fn settings_are_told_with_what_they_are_for() {
    let told: Vec<(String, SettingRole, Option<String>)> = vendor("openai")
        .settings()
        .into_iter()
        .map(|setting| (setting.name, setting.role, setting.default))
        .collect();
    let expected = [
        ("OPENAI_API_KEY", SettingRole::Key, None),
        ("OPENAI_BASE_URL", SettingRole::Address, Some("https://api.openai.com/v1")),
        ("OPENAI_MODEL", SettingRole::Model, Some("gpt-6.2-sol")),
        ("OPENAI_WIRE", SettingRole::Wire, Some("responses")),
    ];
    let expected = expected.map(|(name, role, default)| (name.to_owned(), role, default.map(str::to_owned)));
    assert_eq!(told, expected);
}
