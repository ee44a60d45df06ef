use model::Models;

use super::*;

fn rules() -> Rules {
    Rules {
        providers: vec![offer("anthropic", &["claude-opus-5-5"]), offer("openai", &["gpt-5", "gpt-6.2-sol"])],
        forges: vec!["github.com".into()],
        ..Rules::default()
    }
}

fn offer(provider: &str, models: &[&str]) -> Offer {
    let models = Models::Listed(models.iter().map(|name| (*name).to_owned()).collect());
    Offer { provider: provider.to_owned(), models }
}

fn fields(body: &str) -> Vec<(String, String)> {
    match parse(body.as_bytes(), &rules()) {
        Err(RequestError::Fields(errors)) => errors.into_iter().map(|e| (e.field, e.message)).collect(),
        other => panic!("{body} gave {other:?}"),
    }
}

const MINIMAL: &str = r#"{"repoUrl":"https://github.com/o/n","prompt":"Fix it"}"#;

#[test]
fn both_spellings_mean_the_same() {
    let one = r#"{"repoUrl":"https://github.com/o/n","prompt":"p","branch":"b","base":"main","title":"t","provider":"openai"}"#;
    let other = r#"{"repo_url":"https://github.com/o/n","prompt":"p","branch_name":"b","base_branch":"main","pr_title":"t","ai_provider":"openai"}"#;
    let [one, other] = [one, other].map(|body| parse(body.as_bytes(), &rules()).unwrap());
    assert_eq!(one, other);
    assert_eq!(one.branch.unwrap().as_str(), "b");
}

#[test]
fn the_smallest_request_has_the_defaults() {
    let request = parse(MINIMAL.as_bytes(), &rules()).unwrap();
    assert_eq!((request.publish, request.draft, request.budget), (Publish::Pr, false, Budget::default()));
}

#[test]
fn a_branch_is_not_called_by_a_secret() {
    let rules = Rules { redactor: Redactor::new(["held-secret-value"]), ..rules() };
    let ask = |branch: &str| {
        let body = format!(r#"{{"repoUrl":"https://github.com/o/n","prompt":"p","branch":"{branch}"}}"#);
        parse(body.as_bytes(), &rules)
    };
    let message = "holds a secret of this service, and a branch's name is public".to_owned();
    let refused = RequestError::Fields(vec![FieldError { field: "branch".to_owned(), message }]);
    assert_eq!(ask("for/held-secret-value-1"), Err(refused));
    assert_eq!(ask("held-secret").unwrap().branch.unwrap().as_str(), "held-secret");
}

#[test]
fn every_bad_field_is_named_at_once() {
    let body = r#"{"repoUrl":7,"prompt":"  ","branch":"-x","draft":"yes","checks":"ls","budget":{"turns":0,"usd":0,"eur":1},"nope":1}"#;
    let named: Vec<String> = fields(body).into_iter().map(|(field, _)| field).collect();
    assert_eq!(
        named,
        [
            "repoUrl",
            "prompt",
            "branch",
            "draft",
            "checks",
            "budget.turns",
            "budget.usd",
            "budget.eur",
            "nope"
        ]
    );
}

#[test]
fn a_budget_may_have_all_four_bounds() {
    let body = r#"{"repoUrl":"https://github.com/o/n","prompt":"p","budget":{"usd":0.5,"tokens":9,"turns":8,"minutes":7}}"#;
    let budget = parse(body.as_bytes(), &rules()).unwrap().budget;
    assert_eq!(budget, Budget { usd: Some(0.5), tokens: Some(9), turns: Some(8), minutes: Some(7) });
}

#[test]
fn dollars_are_refused_where_nobody_knows_the_price() {
    let vendor = model::Vendors::built_in().get("openai").unwrap();
    let served = model::Served::new(vendor, secrecy::SecretString::from(""), "gpt-none");
    let config = model::Config::Served(served);
    let models = Providers(vec![crate::Provider { name: "openai".into(), config }]);
    let mut rules = Rules { models, ..rules() };
    let refused = |fields: &str, rules: &Rules| {
        let body = format!(r#"{{"repoUrl":"https://github.com/o/n","prompt":"p"{fields}}}"#);
        match parse(body.as_bytes(), rules) {
            Ok(_) => None,
            Err(RequestError::Fields(errors)) => Some((errors[0].field.clone(), errors[0].message.clone())),
            Err(other) => panic!("{other:?}"),
        }
    };
    let usd = r#","budget":{"usd":2}"#;
    let (field, message) = refused(usd, &rules).unwrap();
    assert_eq!(field, "budget.usd");
    assert!(
        message.starts_with("cannot be taken: the price of gpt-none (openai) is not known. Its price"),
        "{message}"
    );
    assert_eq!(refused(&format!(r#"{usd},"model":"gpt-5""#), &rules), None);
    assert_eq!(refused("", &rules), None);
    rules.budget.usd = Some(5.0);
    let (field, message) = refused("", &rules).unwrap();
    assert_eq!(field, "model");
    assert!(message.contains("and the operator bounds each session to $5.00"), "{message}");
}

#[test]
fn a_setup_is_a_script_or_none() {
    let setup = |setup: serde_json::Value| {
        let body = serde_json::json!({ "repoUrl": "https://github.com/o/n", "prompt": "p", "setup": setup });
        parse(body.to_string().as_bytes(), &rules()).map(|request| request.setup)
    };
    assert_eq!(setup(serde_json::Value::Null), Ok(SetupWish::AsFound));
    assert_eq!(setup("none".into()), Ok(SetupWish::Off));
    assert_eq!(setup("npm ci\nnpm run build".into()), Ok(SetupWish::Script("npm ci\nnpm run build".into())));
    for bad in ["".into(), "a\0b".into(), "x".repeat(8_001).into(), serde_json::json!(["npm ci"])] {
        assert!(matches!(setup(bad), Err(RequestError::Fields(errors)) if errors[0].field == "setup"));
    }
}

#[test]
fn an_unknown_provider_is_answered_with_the_known_ones() {
    let body = r#"{"repoUrl":"https://github.com/o/n","prompt":"p","ai_provider":"abacus"}"#;
    let errors = fields(body);
    assert_eq!(errors[0].0, "ai_provider");
    assert!(errors[0].1.contains("anthropic, openai"), "{errors:?}");
}

#[test]
fn where_no_provider_is_configured_it_is_said_how_to_find_out() {
    let body = MINIMAL.replace('}', r#","provider":"anthropic"}"#);
    let Err(RequestError::Fields(errors)) =
        parse(body.as_bytes(), &Rules { providers: Vec::new(), ..rules() })
    else {
        panic!("it is refused")
    };
    let told =
        "is not a configured provider; configured: none (`backspace doctor` says which variable to set)";
    assert_eq!(errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(), [told]);
}

#[test]
fn an_unknown_model_is_answered_with_the_known_ones() {
    let body = |more: &str| format!(r#"{{"repoUrl":"https://github.com/o/n","prompt":"p"{more}}}"#);
    let refused = |more: &str| fields(&body(more));
    let told = |known: &str| format!("is no model of a provider asked for; known: {known}");
    let (anthropic, openai) = ("anthropic: claude-opus-5-5", "openai: gpt-5, gpt-6.2-sol");
    assert_eq!(refused(r#","model":"gpt-6","provider":"openai""#), [("model".to_owned(), told(openai))]);
    assert_eq!(
        refused(r#","model":"gpt-6""#),
        [("model".to_owned(), told(&format!("{anthropic}; {openai}")))]
    );
    // A model of another provider than the one asked for.
    assert_eq!(refused(r#","model":"gpt-5","ai_provider":"anthropic""#)[0].1, told(anthropic));
    // Where the provider is unknown, that is what has to be mended.
    let only: Vec<String> =
        refused(r#","model":"x","provider":"abacus""#).into_iter().map(|(field, _)| field).collect();
    assert_eq!(only, ["provider"]);
    for taken in [r#","model":"gpt-5","provider":"openai""#, r#","model":"claude-opus-5-5-20261001""#] {
        parse(body(taken).as_bytes(), &rules()).unwrap();
    }
    // A server of one's own knows what it has.
    let any = Rules { providers: vec![Offer { provider: "ollama".into(), models: Models::Any }], ..rules() };
    let request = parse(body(r#","model":"qwen3:8b""#).as_bytes(), &any).unwrap();
    assert_eq!(request.model.as_deref(), Some("qwen3:8b"));
}

#[test]
fn a_request_names_no_address_of_a_model() {
    for field in ["base_url", "baseUrl", "api_base", "endpoint", "ANTHROPIC_BASE_URL", "api_key", "headers"] {
        let body = format!(
            r#"{{"repoUrl":"https://github.com/o/n","prompt":"p","{field}":"http://169.254.169.254/v1"}}"#
        );
        assert_eq!(fields(&body), [(field.to_owned(), "is not a known field".to_owned())]);
    }
    for provider in ["http://127.0.0.1:1/v1", "openai@http://10.0.0.1/v1"] {
        let body = format!(r#"{{"repoUrl":"https://github.com/o/n","prompt":"p","provider":"{provider}"}}"#);
        assert_eq!(fields(&body)[0].0, "provider");
    }
}

#[test]
fn two_spellings_of_one_field_are_one_too_many() {
    let body = r#"{"repoUrl":"https://github.com/o/n","repo_url":"https://github.com/o/n","prompt":"p"}"#;
    assert_eq!(fields(body)[0].0, "repo_url");
}

#[test]
fn prompts_are_bounded_in_characters() {
    let body = |prompt: String| {
        serde_json::json!({ "repoUrl": "https://github.com/o/n", "prompt": prompt }).to_string()
    };
    assert!(parse(body("é".repeat(32_000)).as_bytes(), &rules()).is_ok());
    assert_eq!(fields(&body("é".repeat(32_001)))[0].0, "prompt");
    assert_eq!(fields(&body("a\0b".into()))[0].0, "prompt");
}

#[test]
fn what_is_no_request_at_all_is_said_to_be_so() {
    for body in ["", "[]", "\"x\"", "{", "nul"] {
        assert!(matches!(parse(body.as_bytes(), &rules()), Err(RequestError::Json(_))), "{body:?}");
    }
    let body = r#"{"repoUrl":"not a url at all","prompt":"p"}"#;
    assert!(matches!(
        parse(body.as_bytes(), &rules()),
        Err(RequestError::Fields(_) | RequestError::Address(_))
    ));
}

#[test]
fn paths_are_the_operator_s_to_allow() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("repo");
    assert!(std::process::Command::new("git").args(["init", "-q"]).arg(&inside).status().unwrap().success());
    let text = inside.to_str().unwrap();
    let below = Rules { local: LocalRepositories::Below(vec![folder.path().into()]), ..rules() };
    assert!(rules().address(text).unwrap_err().contains("BACKSPACE_LOCAL_REPOS"));
    assert!(below.address(text).is_ok());
    assert!(below.address("/").is_err());
    assert!(below.address(&format!("{text}/../..")).is_err());
    std::fs::remove_dir_all(inside.join(".git/refs")).unwrap();
    assert_eq!(below.address(text).unwrap_err(), "is no repository that can be read");
    std::fs::remove_dir_all(inside.join(".git")).unwrap();
    std::fs::write(inside.join(".git"), "gitdir: /\n").unwrap();
    assert_eq!(below.address(text).unwrap_err(), "is no repository that can be read");
}

#[test]
fn the_operator_may_name_the_repositories() {
    let rules = Rules { repositories: vec!["github.com/o/*".into()], ..rules() };
    assert!(rules.address("https://github.com/O/n").is_ok());
    assert!(rules.address("https://github.com/other/n").unwrap_err().contains("BACKSPACE_REPOS"));
}

#[test]
fn other_hosts_are_refused_before_anything_is_asked_of_them() {
    let error = rules().address("https://gitlab.example.com/o/n").unwrap_err();
    assert!(error.contains("configured: github.com"), "{error}");
}

#[test]
fn what_is_told_of_a_bad_request_is_bounded() {
    let fields: serde_json::Map<String, serde_json::Value> =
        (0..1000).map(|n| (format!("{n}{}", "x".repeat(1000)), serde_json::json!(1))).collect();
    let Err(RequestError::Fields(errors)) =
        parse(serde_json::to_string(&fields).unwrap().as_bytes(), &rules())
    else {
        panic!("it was taken")
    };
    assert_eq!(errors.len(), ERRORS_MAX);
    assert!(errors.iter().all(|error| error.field.len() <= FIELD_CHARS_MAX));
}
