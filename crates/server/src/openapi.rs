//! The description of the API (OpenAPI 3.2), made from the routes and from the types that they answer with.

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::body::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApiVersion, RefOr, Schema, SecurityRequirement};
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
        crate::routes::recording,
        crate::routes::pull_request,
        crate::routes::index,
        crate::routes::health,
        crate::routes::ready,
        crate::routes::openapi,
    ),
    components(schemas(EventSchema, EventsPageSchema, SubmissionSchema))
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

fn document() -> Value {
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
    let mut document = json!(document);
    for (name, schema) in [("Submission", submission()), ("Event", event()), ("EventsPage", events_page())] {
        document["components"]["schemas"][name] = schema;
    }
    document
}

/// Declares a schema that is written by hand below: utoipa's own types can say neither `const` nor half of the rest.
macro_rules! by_hand {
    ($($(#[$about:meta])* $type:ident $name:literal,)+) => {$(
        $(#[$about])*
        #[derive(Debug, Serialize)]
        pub(crate) struct $type;

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.extend(catalogue().into_iter().flat_map(|kind| kind.named));
            }
        }

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                Schema::default().into()
            }
        }
    )+};
}

by_hand! {
    /// The body of a submission.
    SubmissionSchema "Submission",
    /// An event of a session.
    EventSchema "Event",
    /// A page of events.
    EventsPageSchema "EventsPage",
}

/// The reader of requests takes fields apart one by one, to name each that it refuses; so no type has this schema.
fn submission() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let whole = |about: &str| json!({ "type": "integer", "minimum": 1, "description": about });
    let address = text("The repository: https://HOST/OWNER/NAME, OWNER/NAME, or an allowed path.");
    let properties = json!({
        "repoUrl": address,
        "repo_url": address,
        "prompt": { "type": "string", "minLength": 1, "maxLength": 32000, "description": "What shall be done." },
        "branch": text("The branch to push; otherwise one of our own."),
        "branch_name": text("The same as `branch`."),
        "base": text("The branch to start from; otherwise the default branch."),
        "base_branch": text("The same as `base`."),
        "pr_title": text("The pull request's title; otherwise the agent's."),
        "title": text("The same as `pr_title`."),
        "draft": { "type": "boolean", "description": "Open the pull request as a draft." },
        "provider": text("The model provider that is asked first; otherwise the first configured one. The operator's others take over when it does not answer."),
        "ai_provider": text("The same as `provider`."),
        "model": text("The model; otherwise the provider's default."),
        "publish": { "enum": ["pr", "branch", "patch"], "description": "How far to go; otherwise to a pull request." },
        "setup": {
            "type": "string", "minLength": 1, "maxLength": 8000,
            "description": "A shell script that sets the project up before the work, `none` for no setup; otherwise what the repository says or its lock files suggest.",
        },
        "checks": { "type": "array", "maxItems": 20, "items": { "type": "string" }, "description": "Commands run after the work; otherwise those that the repository names." },
        "budget": {
            "type": "object",
            "additionalProperties": false,
            "description": "What the session may use up. A smaller bound of the repository's or the operator's holds all the same.",
            "properties": {
                "usd": { "type": "number", "exclusiveMinimum": 0, "maximum": 10000, "description": "US dollars." },
                "tokens": whole("Input and output tokens."),
                "turns": whole("Replies of the model."),
                "minutes": whole("Minutes of active time."),
            },
        },
    });
    json!({
        "type": "object",
        "description": "What is asked for. Unknown fields are refused, and so are two spellings of one field.",
        "required": ["prompt"],
        "oneOf": [{ "required": ["repoUrl"] }, { "required": ["repo_url"] }],
        "additionalProperties": false,
        "properties": properties,
    })
}

/// The catalogue of the wire: what all events have, the type, its own fields.
fn event() -> Value {
    let of_kind = |kind: &Kind| {
        let named = match kind.name {
            // Any name but those that have a kind of their own.
            "Tool: NAME" => json!({ "type": "string", "pattern": "^Tool: (?!(Read|Search|Edit|Bash)$)" }),
            name => json!({ "const": name }),
        };
        let mut parts = vec![json!(fields::Event::schema()), json!({ "properties": { "type": named } })];
        parts.extend(kind.fields.as_ref().map(|own| json!(own)));
        json!({ "title": kind.name, "description": kind.about, "allOf": parts })
    };
    let kinds: Vec<Value> = catalogue().iter().map(of_kind).collect();
    json!({ "description": "An event of a session.", "oneOf": kinds })
}

fn events_page() -> Value {
    let id = json!({ "properties": { "id": { "type": "integer", "description": "Its place in the log." } } });
    json!({
        "type": "object",
        "required": ["events", "next_after", "final"],
        "properties": {
            "events": { "type": "array", "items": { "allOf": [{ "$ref": "#/components/schemas/Event" }, id] } },
            "next_after": { "type": "integer", "description": "What to send as `after` for the next ones." },
            "final": { "type": "boolean", "description": "The page reaches the final event." },
        },
    })
}
