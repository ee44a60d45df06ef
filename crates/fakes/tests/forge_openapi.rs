//! Every answer of the fake forge, held against GitHub's published description of its REST API.
//!
//! The description is npm's `@octokit/openapi`. It is fetched once into the target folder and never checked in.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fakes::forge::{
    self, Access, ApiVersion, Bend, Config, Exchange, FakeForge, NewCommit, NewRepository, Reach, Seed,
    Token, Visibility,
};
use reqwest::{Client, Method, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;

const DESCRIPTION: &str = "23.0.2";
const WRITER: &str = "ghp_writer_0123456789";
const READER: &str = "ghp_reader_0123456789";
const STRANGER: &str = "ghp_stranger_0123456789";
const UNSIGNED: &str = "ghp_unsigned_0123456789";

/// A call, and what must come back: status, and words of the answer.
struct Step(Method, &'static str, Option<&'static str>, Value, u16, &'static str);

#[tokio::test]
async fn every_answer_is_one_that_github_describes() {
    let (forge, _home) = world().await;
    for step in reads().into_iter().chain(refused_writes()).chain(writes()) {
        take(&forge, &step).await;
    }
    let renamed = Bend::Renamed { owner: "o".to_owned(), name: "new".to_owned() };
    forge.bend("o/n", &renamed).unwrap();
    for step in after_a_rename() {
        take(&forge, &step).await;
    }
    let exchanges = forge.exchanges();
    assert!(exchanges.len() > 50, "{} exchanges", exchanges.len());
    match description() {
        Ok(description) => {
            let wrong: Vec<String> =
                exchanges.iter().flat_map(|exchange| faults(&description, exchange)).collect();
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
        Err(why) if required() => panic!("{why}"),
        Err(why) => eprintln!("SKIPPED: the answers were not held against GitHub's description: {why}"),
    }
}

#[tokio::test]
async fn the_newer_version_lacks_what_it_dropped() {
    let (forge, _home) = world().await;
    for step in writes() {
        take(&forge, &step).await;
    }
    forge.answer_as(ApiVersion::V2026);
    let of = |path: &'static str| Step(Method::GET, path, Some(WRITER), Value::Null, 200, "");
    let pull = take(&forge, &of("/repos/o/n/pulls/1")).await;
    let limits = take(&forge, &of("/rate_limit")).await;
    assert_eq!(pull["title"], "Better");
    assert!(pull.get("assignee").is_none() && pull.get("merge_commit_sha").is_none(), "{pull}");
    assert!(limits.get("rate").is_none() && limits["resources"]["core"]["limit"] == 5000, "{limits}");
}

#[tokio::test]
async fn a_client_without_a_name_or_of_an_unknown_version_is_refused() {
    let (forge, _home) = world().await;
    let nameless = Client::builder().build().unwrap();
    let url = format!("{}/repos/o/n", forge.api_url());
    let answer = nameless.get(&url).bearer_auth(WRITER).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("User-Agent"));
    let answer = client().get(&url).header("x-github-api-version", "2021-01-01").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_page_shows_the_pull_request_and_escapes_it() {
    let (forge, _home) = world().await;
    let new =
        json!({ "title": "<script>alert(1)</script>", "head": "topic", "base": "trunk", "body": "</pre>&" });
    take(&forge, &Step(Method::POST, "/repos/o/n/pulls", Some(WRITER), new, 201, "")).await;
    let page = client().get(format!("{}/o/n/pull/1", forge.url())).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let html = page.text().await.unwrap();
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && html.contains("&lt;/pre&gt;&amp;"),
        "{html}"
    );
    assert!(html.contains("+b = 2") && !html.contains("<script>"), "{html}");
    let missing = client().get(format!("{}/o/n/pull/2", forge.url())).send().await.unwrap();
    assert_eq!(missing.status(), 404);
}

/// `o/n` with branches that differ in every way, an empty and an archived repository, and four tokens.
async fn world() -> (FakeForge, TempDir) {
    let home = TempDir::new().unwrap();
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), home: home.path().to_owned() };
    let forge = forge::start(config).await.unwrap();
    let seed = Seed::Files(vec![("a.py".to_owned(), "a = 1\n".to_owned())]);
    for (name, seed) in [("n", &seed), ("empty", &Seed::Empty), ("old", &seed)] {
        let (owner, name) = ("o".to_owned(), name.to_owned());
        let default_branch = Some("trunk".to_owned());
        let new = NewRepository { owner, name, visibility: Visibility::Private, default_branch };
        forge.create_repository(&new, seed).await.unwrap();
    }
    for (branch, from) in [("topic", Some("trunk")), ("draft", Some("trunk")), ("orphan", None)] {
        let commit = NewCommit { branch, from, path: "b.py", content: "b = 2\n" };
        forge.commit("o/n", &commit).await.unwrap();
    }
    let dir = forge.git_dir("o/n").unwrap();
    let same = Command::new("git").arg("--git-dir").arg(dir).args(["branch", "same", "trunk"]).status();
    assert!(same.unwrap().success());
    forge.bend("o/old", &Bend::Archived).unwrap();
    let only = Reach::Only(vec!["o/elsewhere".to_owned()]);
    let sso = Some("https://github.com/orgs/o/sso".to_owned());
    for (secret, access, reach, sso_url) in [
        (WRITER, Access::PullRequests, Reach::Everything, None),
        (READER, Access::Contents, Reach::Everything, None),
        (STRANGER, Access::PullRequests, only, None),
        (UNSIGNED, Access::PullRequests, Reach::Everything, sso),
    ] {
        forge.allow(secret, Token { login: "somebody".to_owned(), access, reach, sso_url });
    }
    (forge, home)
}

fn reads() -> Vec<Step> {
    let get = |path, token, status, words| Step(Method::GET, path, token, Value::Null, status, words);
    let writer = Some(WRITER);
    vec![
        get("/repos/o/n", writer, 200, r#""default_branch":"trunk""#),
        get("/repos/O/N", writer, 200, r#""full_name":"o/n""#),
        get("/repos/o/old", writer, 200, r#""archived":true"#),
        get("/repos/o/none", writer, 404, "Not Found"),
        get("/repos/o/n", None, 404, "Not Found"),
        get("/repos/o/n", Some(STRANGER), 404, "Not Found"),
        get("/repos/o/n", Some("ghp_wrong_0123456789"), 401, "Bad credentials"),
        get("/repos/o/n", Some(UNSIGNED), 403, "SAML"),
        get("/repos/o/n/branches/trunk", writer, 200, r#""protected":false"#),
        get("/repos/o/n/branches/none", writer, 404, "Branch not found"),
        get("/repos/o/n/git/ref/heads/topic", writer, 200, r#""ref":"refs/heads/topic""#),
        get("/repos/o/n/git/ref/heads/top", writer, 404, "Not Found"),
        get("/repos/o/empty/git/ref/heads/trunk", writer, 409, "Git Repository is empty."),
        get("/repos/o/n/git/matching-refs/heads/t", writer, 200, "refs/heads/trunk"),
        get("/repos/o/n/git/matching-refs/heads/none", writer, 200, "[]"),
        get("/user", writer, 200, "somebody"),
        get("/user", None, 401, "Requires authentication"),
        get("/rate_limit", writer, 200, "core"),
        get("/repos/o/n/pulls", writer, 200, "[]"),
        get("/repos/o/n/pulls?state=odd", writer, 422, "Validation Failed"),
        get("/repos/o/n/pulls/1", writer, 404, "Not Found"),
        get("/repos/o/n/pulls/one", writer, 404, "Not Found"),
        get("/repos/o/n/nothing", writer, 404, "Not Found"),
    ]
}

fn refused_writes() -> Vec<Step> {
    let post =
        |token, body, status, words| Step(Method::POST, "/repos/o/n/pulls", token, body, status, words);
    let bad = |body, words| post(Some(WRITER), body, 422, words);
    let new = |head: &str, base: &str| json!({ "title": "T", "head": head, "base": base });
    let text = |body: &str| Value::String(body.to_owned());
    let long = "x".repeat(65_537);
    vec![
        // A text stands for a body that is no JSON object.
        post(Some(WRITER), text("{"), 400, "Problems parsing JSON"),
        post(Some(WRITER), text("[]"), 400, "Body should be a JSON object"),
        bad(json!({ "title": "T" }), r#"\"base\", \"head\" weren't supplied."#),
        bad(json!({ "title": "T", "base": "trunk" }), r#"\"head\" wasn't supplied."#),
        bad(json!({ "head": "topic", "base": "trunk" }), "missing_field"),
        bad(json!({ "title": 1, "head": "topic", "base": "trunk" }), "1 is not a string."),
        bad(
            json!({ "title": "T", "head": "topic", "base": "trunk", "draft": null }),
            "nil is not a boolean.",
        ),
        bad(
            json!({ "title": "T", "head": "topic", "base": "trunk", "body": long }),
            "body is too long (maximum",
        ),
        bad(new("none", "trunk"), r#""field":"head""#),
        bad(new("p:topic", "trunk"), r#""field":"head""#),
        bad(new("trunk~1", "trunk"), r#""field":"head""#),
        bad(new("topic", "none"), r#""field":"base""#),
        bad(new("same", "trunk"), "No commits between trunk and same"),
        bad(new("trunk", "trunk"), "No commits between trunk and trunk"),
        bad(new("orphan", "trunk"), "The orphan branch has no history in common with trunk"),
        post(Some(READER), new("topic", "trunk"), 403, "Resource not accessible by personal access token"),
        post(Some(STRANGER), new("topic", "trunk"), 404, "Not Found"),
        post(None, new("topic", "trunk"), 404, "Not Found"),
        Step(Method::POST, "/repos/o/old/pulls", Some(WRITER), new("a", "b"), 403, "archived"),
    ]
}

fn writes() -> Vec<Step> {
    let writer = Some(WRITER);
    let post = |body, status, words| Step(Method::POST, "/repos/o/n/pulls", writer, body, status, words);
    let patch = |body, status, words| Step(Method::PATCH, "/repos/o/n/pulls/1", writer, body, status, words);
    let get = |path, words| Step(Method::GET, path, writer, Value::Null, 200, words);
    let new = |title: &str, head: &str| json!({ "title": title, "head": head, "base": "trunk", "draft": head == "draft", "body": "Why" });
    let exists = "A pull request already exists for o:topic.";
    vec![
        post(new("Good", "o:topic"), 201, r#""number":1"#),
        post(new("Good", "topic"), 422, exists),
        post(new("Rough", "draft"), 201, r#""draft":true"#),
        get("/repos/o/n/pulls?head=o:topic&base=trunk&state=all", r#""title":"Good""#),
        get("/repos/o/n/pulls?head=p:topic", "[]"),
        get("/repos/o/n/pulls?per_page=1", r#""number":2"#),
        get("/repos/o/n/pulls?per_page=1&page=2&direction=desc", r#""number":1"#),
        get("/repos/o/n/pulls/1", r#""changed_files":1"#),
        patch(json!({ "state": "odd" }), 422, r#""field":"state""#),
        patch(json!({ "base": "none" }), 422, r#""field":"base""#),
        patch(json!({ "title": "Better", "body": "More" }), 200, r#""title":"Better""#),
        patch(json!({ "state": "closed" }), 200, r#""state":"closed""#),
        get("/repos/o/n/pulls?state=closed", r#""number":1"#),
    ]
}

fn after_a_rename() -> Vec<Step> {
    let new = json!({ "title": "T", "head": "topic", "base": "trunk" });
    vec![
        Step(Method::GET, "/repos/o/n/pulls?state=all", Some(WRITER), Value::Null, 301, "Moved Permanently"),
        Step(Method::POST, "/repos/o/n/pulls", Some(WRITER), new, 307, "/repositories/1000/pulls"),
        Step(Method::GET, "/repositories/1000", Some(WRITER), Value::Null, 200, r#""full_name":"o/new""#),
    ]
}

async fn take(forge: &FakeForge, Step(method, path, token, body, status, words): &Step) -> Value {
    let mut request = client().request(method.clone(), format!("{}{path}", forge.api_url()));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request = match body {
        Value::Null => request,
        Value::String(text) => request.body(text.clone()),
        Value::Object(_) | Value::Array(_) | Value::Number(_) | Value::Bool(_) => {
            request.body(body.to_string())
        }
    };
    let answer = request.send().await.unwrap();
    let got = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    assert_eq!(got, *status, "{method} {path}: {text}");
    assert!(text.contains(words), "{method} {path} has no {words:?}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn client() -> Client {
    Client::builder().user_agent("a test").redirect(redirect::Policy::none()).build().unwrap()
}

/// What GitHub's description has against a call and its answer.
fn faults(description: &Value, exchange: &Exchange) -> Vec<String> {
    let error = json!({ "$ref": "#/components/schemas/basic-error" });
    let operation = operation(description, exchange.call);
    let described = operation.and_then(|operation| {
        let response = &operation["responses"][exchange.status.to_string()];
        let response = match response["$ref"].as_str() {
            Some(name) => description.pointer(name.trim_start_matches('#'))?,
            None => response,
        };
        response.pointer("/content/application~1json/schema").cloned()
    });
    if described.is_none() && exchange.status < 300 {
        return vec![format!("{} {} is not described", exchange.call, exchange.status)];
    }
    // A message that stands alone comes with the status 422 too, as GitHub's clients have met it.
    let bare = exchange.status == 422 && exchange.answer.get("errors").is_none();
    let schema = described.filter(|_| !bare).unwrap_or(error);
    let mut found = against(description, &schema, &exchange.answer);
    let body = operation.and_then(|it| it.pointer("/requestBody/content/application~1json/schema"));
    if let (Some(schema), Some(request), true) = (body, &exchange.request, exchange.status < 300) {
        found.extend(against(description, schema, request));
    }
    let call = format!("{} {} -> {}", exchange.call, exchange.path, exchange.status);
    found.into_iter().map(|fault| format!("{call}: {fault}")).collect()
}

fn operation<'a>(description: &'a Value, call: &str) -> Option<&'a Value> {
    let (method, path) = call.split_once(' ')?;
    description["paths"].get(path)?.get(method.to_ascii_lowercase())
}

fn against(description: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut parts = BTreeMap::new();
    collect(description, schema, &mut parts);
    let document = json!({ "allOf": [as_json_schema(schema)], "components": { "schemas": parts } });
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft4)
        .should_validate_formats(true)
        .build(&document)
        .unwrap();
    validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path)).collect()
}

/// The named schemas that a schema needs: the whole description would take seconds to compile.
fn collect(description: &Value, schema: &Value, parts: &mut BTreeMap<String, Value>) {
    match schema {
        Value::Array(all) => all.iter().for_each(|one| collect(description, one, parts)),
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.and_then(|name| name.strip_prefix("#/components/schemas/"))
                && !parts.contains_key(name)
            {
                let part = &description["components"]["schemas"][name];
                parts.insert(name.to_owned(), as_json_schema(part));
                collect(description, part, parts);
            }
            fields.values().for_each(|one| collect(description, one, parts));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// OpenAPI 3.0 says `nullable` where JSON Schema has a type; and here no field passes that is not described.
fn as_json_schema(schema: &Value) -> Value {
    match schema {
        Value::Array(all) => all.iter().map(as_json_schema).collect(),
        Value::Object(fields) => {
            let mut plain: serde_json::Map<_, _> = fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "example" | "examples" | "default" | "nullable"))
                .map(|(name, value)| (name.clone(), as_json_schema(value)))
                .collect();
            if fields.get("properties").is_some_and(Value::is_object) && fields.get("type").is_some() {
                plain.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                return json!({ "anyOf": [plain, { "type": "null" }] });
            }
            Value::Object(plain)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// GitHub's description, fetched when it is not there yet.
fn description() -> Result<Value, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let file = target.join("openapi").join(format!("api.github.com-{DESCRIPTION}.json"));
    if !file.exists() {
        fetch(&file)?;
    }
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// One file of 13 MB out of the package of 400.
fn fetch(file: &Path) -> Result<(), String> {
    let folder = file.parent().unwrap();
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let place = TempDir::new_in(folder).map_err(|error| error.to_string())?;
    let package = format!("@octokit/openapi@{DESCRIPTION}");
    run(Command::new("npm").args(["pack", "--silent", &package]).current_dir(place.path()))?;
    let archive: PathBuf = place.path().join(format!("octokit-openapi-{DESCRIPTION}.tgz"));
    let inside = "package/generated/api.github.com.json";
    run(Command::new("tar").arg("-xzf").arg(archive).arg(inside).current_dir(place.path()))?;
    std::fs::rename(place.path().join(inside), file).map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr)))
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration to be told by")]
fn required() -> bool {
    std::env::var("BACKSPACE_REQUIRE_OPENAPI").is_ok_and(|value| value == "1")
}
