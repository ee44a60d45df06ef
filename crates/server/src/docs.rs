//! The documents that are made from the code: `docs/openapi.json`, `docs/events.md`, `docs/errors.md`.

use std::fmt::Write as _;

use serde_json::Value;
use utoipa::PartialSchema as _;
use utoipa::openapi::{RefOr, Schema};

use crate::error::Code;
use crate::openapi;
use crate::wire::{catalogue, delta, fields};

/// `docs/openapi.json`.
pub fn openapi_json() -> String {
    String::from_utf8_lossy(&openapi::json()).into_owned()
}

/// `docs/events.md`: every type of event, with its fields.
pub fn events_markdown() -> String {
    let mut text = String::from(
        "# Events\n\n\
         <!-- Made from the code by `UPDATE_DOCS=1 cargo test --release -p server`; a test compares them. -->\n\n\
         `POST /code` and `GET /v1/sessions/{id}/events` send these as server-sent events: an `id` line, which is the \
         place of the event in the session's log, and a `data` line of ASCII JSON. Ids rise and may skip. The final event, \
         `complete` or `error`, comes exactly once and is the last. A `null` stands for what there is not.\n\n\
         ## Every event\n\n",
    );
    fields_table(&mut text, &fields::Event::schema());
    for kind in catalogue() {
        let _ = write!(text, "## `{}`\n\n{}\n\n", kind.name, kind.about);
        if let Some(own) = &kind.fields {
            fields_table(&mut text, own);
        }
        for (name, schema) in &kind.named {
            let _ = write!(text, "`{name}`:\n\n");
            fields_table(&mut text, schema);
        }
    }
    text.push_str(DELTAS);
    fields_table(&mut text, &delta::Delta::schema());
    text.push_str(OLDER_FORMS);
    text
}

const DELTAS: &str = "\
## While the model answers

`GET /v1/sessions/{id}/events` also sends what the model says before its reply is whole: server-sent events named `delta` (an `event` \
line, no `id`), at most one write a tenth of a second or two kilobytes. Clients that read `message` events alone never see them, and \
`POST /code` sends none. Nothing of them is kept. They come after all events that happened before, from the moment on in which a \
client connects, and `AI Thinking` and `AI Message` take their place: drop what was collected when a `Usage` comes. A client that does \
not keep up misses some of them, and no event. Only the process that runs a session can send them.

";

const OLDER_FORMS: &str = "\
## The final event for older clients

The path of the request alone decides; the fields above stand beside these.

| path | success | failure |
|---|---|---|
| `/api/v1/code` | `type` is `Success`, `context {pr_url, branch_name, commit_hash, changes_made[]}` | `type` is `Error`, `error`, `error_type` |
| `/api/code` | `type` is `success`, `step` is `complete`, `progress` is 100, `extra_data {pr_url, pr_number, branch_name, total_duration_ms, ai_provider}` | `type` is `error` |
";

/// `docs/errors.md`: every `code` of a problem document.
pub fn errors_markdown() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         <!-- Made from the code by `UPDATE_DOCS=1 cargo test --release -p server`; a test compares them. -->\n\n\
         Whatever cannot be done is answered with `application/problem+json` (RFC 9457): `type`, `title`, `status`, \
         `detail`, `code`, and `errors[{field, message}]` where fields are refused. It is sent before any stream begins; \
         nothing was started then, unless the service or its database failed (5xx `internal` and `storage_unavailable`). How a session itself fails is told by its final event, see `events.md`.\n\n\
         | `code` | status | meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(text, "| `{}` | {} | {} |", code.as_str(), code.status().as_u16(), code.about());
    }
    text
}

/// The fields of an object's schema as a table.
fn fields_table(text: &mut String, schema: &RefOr<Schema>) {
    let mut rows = Vec::new();
    collect_rows(schema, &mut rows);
    if rows.is_empty() {
        return;
    }
    text.push_str("| field | type | meaning |\n|---|---|---|\n");
    for (name, kind, about) in rows {
        let _ = writeln!(text, "| {name} | {kind} | {about} |");
    }
    text.push('\n');
}

/// The fields of `schema`, and of what it is made of, in their order.
fn collect_rows(schema: &RefOr<Schema>, rows: &mut Vec<(String, String, String)>) {
    match schema {
        RefOr::Ref(named) => {
            let name = named.ref_location.rsplit('/').next().unwrap_or_default();
            rows.push(("…".to_owned(), format!("`{name}`"), "Its fields stand here as well.".to_owned()));
        }
        RefOr::T(Schema::AllOf(all)) => all.items.iter().for_each(|part| collect_rows(part, rows)),
        RefOr::T(Schema::Object(object)) => {
            for (name, field) in &object.properties {
                let field = serde_json::json!(field);
                let about = field["description"].as_str().unwrap_or_default().replace('\n', " ");
                rows.push((format!("`{name}`"), type_of(&field), about));
            }
        }
        RefOr::T(_) => {}
    }
}

/// The type of a field in words.
fn type_of(field: &Value) -> String {
    if let Some(name) = field["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("`{name}`");
    }
    if field["type"] == "array" {
        return format!("list of {}", type_of(&field["items"]));
    }
    if let Some(one_of) = field["oneOf"].as_array() {
        return one_of.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    if let Some(types) = field["type"].as_array() {
        return types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ");
    }
    field["type"].as_str().unwrap_or("any").to_owned()
}
