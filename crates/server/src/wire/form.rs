//! The final event in the form that clients of older APIs wait for; the contract's own fields stand beside it.

use serde::Serialize;

use super::ascii;
use super::fields::{Complete, Event, Fields};

/// Whose form the final event has. A function of the path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The contract's: `/code` and `/v1/sessions/{id}/events`.
    Own,
    /// That of `/api/v1/code`.
    ApiV1Code,
    /// That of `/api/code`.
    ApiCode,
}

impl Form {
    /// The form of the path.
    pub fn of_path(path: &str) -> Self {
        match path {
            "/api/v1/code" => Self::ApiV1Code,
            "/api/code" => Self::ApiCode,
            _ => Self::Own,
        }
    }
}

/// The final `event` as JSON.
pub(super) fn final_json(form: Form, event: &Event<'_>) -> Result<String, serde_json::Error> {
    match (form, &event.fields) {
        (Form::ApiV1Code, Fields::Complete(complete)) => {
            written(event, "Success", &ApiV1Success { context: context(complete) })
        }
        (Form::ApiV1Code, Fields::Error(error)) => {
            written(event, "Error", &ApiV1Error { error: &event.message, error_type: error.code })
        }
        (Form::ApiCode, Fields::Complete(complete)) => {
            let fields = ApiSuccess { step: "complete", progress: 100, extra_data: extra_data(complete) };
            written(event, "success", &fields)
        }
        // Its final failure looks like ours.
        (Form::ApiCode | Form::Own | Form::ApiV1Code, _) => ascii::to_string(event),
    }
}

/// `event` under another `kind`, with `more` beside its own fields.
fn written<M: Serialize>(event: &Event<'_>, kind: &str, more: &M) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Reformed<'a, M> {
        r#type: &'a str,
        timestamp: &'a str,
        message: &'a str,
        #[serde(flatten)]
        fields: &'a Fields<'a>,
        #[serde(flatten)]
        more: &'a M,
    }
    let (timestamp, message, fields) = (&*event.timestamp, &*event.message, &event.fields);
    ascii::to_string(&Reformed { r#type: kind, timestamp, message, fields, more })
}

#[derive(Serialize)]
struct ApiV1Success<'a> {
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    pr_url: Option<&'a str>,
    branch_name: Option<&'a str>,
    commit_hash: Option<&'a str>,
    changes_made: Vec<&'a str>,
}

fn context<'a>(complete: &Complete<'a>) -> Context<'a> {
    Context {
        pr_url: complete.pr_url,
        branch_name: complete.branch,
        commit_hash: complete.commit,
        changes_made: complete.files_changed.iter().map(|file| file.path).collect(),
    }
}

#[derive(Serialize)]
struct ApiV1Error<'a> {
    error: &'a str,
    error_type: &'a str,
}

#[derive(Serialize)]
struct ApiSuccess<'a> {
    step: &'static str,
    progress: u8,
    extra_data: ExtraData<'a>,
}

#[derive(Serialize)]
struct ExtraData<'a> {
    pr_url: Option<&'a str>,
    pr_number: Option<u64>,
    branch_name: Option<&'a str>,
    total_duration_ms: u64,
    ai_provider: Option<&'a str>,
}

fn extra_data<'a>(complete: &Complete<'a>) -> ExtraData<'a> {
    ExtraData {
        pr_url: complete.pr_url,
        pr_number: complete.number,
        branch_name: complete.branch,
        total_duration_ms: complete.telemetry.duration_ms,
        ai_provider: complete.telemetry.ai_provider,
    }
}
