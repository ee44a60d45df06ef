//! The description of the API (OpenAPI 3.2), made from the routes and from the types that they answer with.

use std::sync::LazyLock;

use axum::body::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, OpenApiVersion, RefOr, Schema, SecurityRequirement};
use utoipa::{OpenApi as _, PartialSchema, ToSchema};

use crate::routes::CODE_PATHS;
use crate::wire::{Kind, catalogue, fields};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "backspace", description = "A repository and a sentence become a pull request."),
    paths(
        crate::routes::code,
        crate::routes::create,
        crate::routes::list,
        crate::routes::show,
        crate::routes::delete,
        crate::routes::events,
        crate::routes::cancel,
        crate::routes::diff,
        crate::routes::pull_request,
        crate::routes::index,
        crate::routes::health,
        crate::routes::ready,
        crate::routes::openapi,
    ),
    components(schemas(EventSchema, SubmissionSchema))
)]
struct Document;

/// The description as JSON, for people to read.
pub(crate) fn json() -> Bytes {
    static JSON: LazyLock<Bytes> = LazyLock::new(|| {
        let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
        text.push('\n');
        text.into()
    });
    JSON.clone()
}

fn document() -> OpenApi {
    let mut document = Document::openapi();
    // The `itemSchema` of an event stream is new in 3.2.
    document.openapi = OpenApiVersion::Version32;
    if let Some(code) = document.paths.paths.get(CODE_PATHS[0]).cloned() {
        for path in &CODE_PATHS[1..] {
            let mut code = code.clone();
            if let Some(post) = &mut code.post {
                post.operation_id = Some(path.trim_start_matches('/').replace('/', "_"));
            }
            document.paths.paths.insert((*path).to_owned(), code);
        }
    }
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components
        .add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    let none: [&str; 0] = [];
    document.security =
        Some(vec![SecurityRequirement::new("bearer", none), SecurityRequirement::new("key", none)]);
    document
}

/// The body of a submission. Written here by hand: the reader of requests takes fields apart one by one, to name each
/// that it refuses.
#[derive(Debug, Serialize)]
pub(crate) struct SubmissionSchema;

impl ToSchema for SubmissionSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Submission".into()
    }
}

impl PartialSchema for SubmissionSchema {
    fn schema() -> RefOr<Schema> {
        let text = |about: &str| json!({ "type": "string", "description": about });
        let whole = |about: &str| json!({ "type": "integer", "minimum": 1, "description": about });
        written(json!({
            "type": "object",
            "description": "What is asked for. Unknown fields are refused.",
            "required": ["repoUrl", "prompt"],
            "additionalProperties": false,
            "properties": {
                "repoUrl": text("The repository: https://HOST/OWNER/NAME, OWNER/NAME, or an allowed path. Also `repo_url`."),
                "prompt": { "type": "string", "minLength": 1, "maxLength": 32000, "description": "What shall be done." },
                "branch": text("The branch to push. Also `branch_name`."),
                "base": text("The branch to start from; otherwise the default branch. Also `base_branch`."),
                "pr_title": text("The pull request's title; otherwise the agent's. Also `title`."),
                "draft": { "type": "boolean", "description": "Open the pull request as a draft." },
                "provider": text("The model provider; otherwise the first configured one. Also `ai_provider`."),
                "model": text("The model; otherwise the provider's default."),
                "publish": { "type": "string", "enum": ["pr", "branch", "patch"], "description": "How far to go." },
                "checks": { "type": "array", "maxItems": 20, "items": { "type": "string" }, "description": "Commands run after the work." },
                "budget": {
                    "type": "object",
                    "additionalProperties": false,
                    "description": "What the session may use up.",
                    "properties": {
                        "tokens": whole("Input and output tokens."),
                        "turns": whole("Replies of the model."),
                        "minutes": whole("Minutes of active time."),
                    },
                },
            },
        }))
    }
}

/// An event of a session: the catalogue of the wire as a schema.
#[derive(Debug, Serialize)]
pub(crate) struct EventSchema;

impl ToSchema for EventSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Event".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        for kind in catalogue() {
            schemas.extend(kind.named);
        }
    }
}

impl PartialSchema for EventSchema {
    fn schema() -> RefOr<Schema> {
        let kinds: Vec<Value> = catalogue().iter().map(of_kind).collect();
        written(json!({ "description": "An event of a session.", "oneOf": kinds }))
    }
}

/// The schema of one kind of event: what all have, its type, its own fields.
fn of_kind(kind: &Kind) -> Value {
    let named = match kind.name {
        // Any name but those that have a kind of their own.
        "Tool: NAME" => json!({ "type": "string", "pattern": "^Tool: (?!(Read|Search|Edit|Bash)$)" }),
        name => json!({ "const": name }),
    };
    let every = json!(fields::Event::schema());
    let own = kind.fields.as_ref().map_or_else(|| json!({}), |fields| json!(fields));
    json!({
        "title": kind.name,
        "description": kind.about,
        "allOf": [every, own, { "properties": { "type": named } }],
    })
}

/// A page of events.
#[derive(Debug, Serialize)]
pub(crate) struct EventsPageSchema;

impl ToSchema for EventsPageSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "EventsPage".into()
    }
}

impl PartialSchema for EventsPageSchema {
    fn schema() -> RefOr<Schema> {
        let event = json!({ "allOf": [{ "$ref": "#/components/schemas/Event" }, { "properties": { "id": { "type": "integer" } } }] });
        written(json!({
            "type": "object",
            "required": ["events", "next_after", "final"],
            "properties": {
                "events": { "type": "array", "items": event },
                "next_after": { "type": "integer", "description": "What to send as `after` for the next ones." },
                "final": { "type": "boolean", "description": "The session has ended and this page reaches its end." },
            },
        }))
    }
}

/// A schema from its form as JSON.
fn written(schema: Value) -> RefOr<Schema> {
    serde_json::from_value(schema).unwrap_or_else(|_| Schema::default().into())
}
