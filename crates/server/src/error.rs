//! What is told when something cannot be done: a problem document (RFC 9457), and nothing internal.

use std::error::Error as StdError;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use events::error_chain;
use serde::Serialize;
use session::SubmitError;
use session::request::{FieldError, RequestError};
use tracing::error;
use utoipa::ToSchema;

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// A queue that is full now may have a place after one of its sessions.
const QUEUE_RETRY: Duration = Duration::from_secs(30);
/// What is being locked or restarted is soon over.
const SOON: Duration = Duration::from_secs(5);

/// Declares the classes of problems: name, status, code, title, and what it means.
macro_rules! codes {
    ($($name:ident $status:ident $code:literal $title:literal $about:literal,)+) => {
        /// The classes of problems, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $(#[doc = $about] $name,)+ }

        impl Code {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in the contract.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The status of the answer.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// The class in a few words.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What it means, and what to do.
            pub(crate) fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)+ }
            }
        }
    };
}

codes! {
    MalformedJson BAD_REQUEST "malformed_json" "The body is not a JSON object"
        "The body could not be read as JSON, or is no object. `detail` says where.",
    InvalidUrl BAD_REQUEST "invalid_url" "The repository's address is refused"
        "The repository's address, and nothing else, is refused. `errors` says why.",
    InvalidParameter BAD_REQUEST "invalid_parameter" "A parameter of the URL or a header is refused"
        "A query parameter, `Last-Event-ID` or `Idempotency-Key` is unknown or cannot be read.",
    Unauthorized UNAUTHORIZED "unauthorized" "A token is needed"
        "Send the service's token as `Authorization: Bearer …` or `X-API-Key`.",
    Forbidden FORBIDDEN "forbidden" "Not from there"
        "The service has no token, so it takes calls only from this machine and by the name of this machine. \
         Set BACKSPACE_API_TOKEN.",
    NotFound NOT_FOUND "not_found" "There is no such page"
        "No route has this path. `/openapi.json` lists them.",
    SessionNotFound NOT_FOUND "session_not_found" "There is no such session"
        "No session has this id, or it was deleted.",
    NoDiff NOT_FOUND "no_diff" "There is no diff"
        "The session has changed nothing so far.",
    MethodNotAllowed METHOD_NOT_ALLOWED "method_not_allowed" "Not with this method"
        "The path exists; the header `Allow` lists its methods.",
    BodyTimeout REQUEST_TIMEOUT "body_timeout" "The body did not come"
        "The body of the request was not here whole in time. Send it again.",
    Unfinished CONFLICT "session_unfinished" "The session has not ended"
        "Only sessions that have ended can be deleted. Cancel it first.",
    Ended CONFLICT "session_ended" "The session has ended"
        "What has ended cannot be cancelled.",
    Elsewhere CONFLICT "session_elsewhere" "Another process is at the session"
        "The session belongs to another process on this machine (a `backspace run`); end it there.",
    IdempotencyBusy CONFLICT "idempotency_in_flight" "The first request with this key is still being read"
        "Another request with the same `Idempotency-Key` is being answered at this moment. Try again.",
    TooLarge PAYLOAD_TOO_LARGE "payload_too_large" "The body is too large"
        "A request body has at most 1 MiB.",
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "The body must be JSON"
        "Send `Content-Type: application/json`.",
    InvalidFields UNPROCESSABLE_ENTITY "invalid_fields" "Some fields are refused"
        "`errors` names each field and says what is wrong with it. Unknown fields are refused as well.",
    IdempotencyMismatch UNPROCESSABLE_ENTITY "idempotency_mismatch" "The key was used for another request"
        "The `Idempotency-Key` was sent before with a different body. Use a new key.",
    RateLimited TOO_MANY_REQUESTS "rate_limited" "Too many submissions"
        "More sessions were asked for in a minute than RATE_LIMIT_REQUESTS. `Retry-After` says when to come again.",
    Draining SERVICE_UNAVAILABLE "draining" "The service is shutting down"
        "No session is taken on any more; the ones at work are brought to an end.",
    QueueFull SERVICE_UNAVAILABLE "queue_full" "Too many sessions wait"
        "The queue is full. `Retry-After` says when to come again.",
    Unavailable SERVICE_UNAVAILABLE "unavailable" "Something is missing without which no session can succeed"
        "`detail` says what is missing and what mends it: a model, a sandbox, a forge.",
    Storage SERVICE_UNAVAILABLE "storage_unavailable" "The service cannot reach its database"
        "The disk may be full or the database locked; the service's log has the details. A submission with an \
         `Idempotency-Key` can be sent again: it becomes one session at most.",
    Internal INTERNAL_SERVER_ERROR "internal" "Something went wrong in the service"
        "A bug, or something that no code above covers; the service's log has the details under `X-Request-Id`.",
}

/// A problem, to be answered as such.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Its class.
    pub(crate) code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemDocument {
    /// The class as a URI.
    r#type: String,
    /// The class in a few words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What happened here.
    detail: String,
    /// The class, for programs.
    code: String,
    /// The fields that are refused, and why.
    errors: Vec<ProblemField>,
}

/// A field that is refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemField {
    /// The field as it was written.
    field: String,
    /// What is wrong with it.
    message: String,
}

impl Problem {
    /// A problem of class `code`.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// A problem of class `code` with one parameter.
    pub(crate) fn of_field(code: Code, field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = format!("{field}: {message}");
        Self::new(code, detail).with_errors(vec![FieldError { field: field.to_owned(), message }])
    }

    /// The same, to be tried again after some time.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Something that callers cannot help and are not told about.
    pub(crate) fn internal(doing: &str, cause: &dyn StdError) -> Self {
        error!("Cannot {doing}: {}", error_chain(cause));
        Self::new(Code::Internal, Code::Internal.about())
    }

    fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let errors =
            self.errors.into_iter().map(|e| ProblemField { field: e.field, message: e.message }).collect();
        let document = ProblemDocument {
            r#type: format!("urn:backspace:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code.as_str().to_owned(),
            errors,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let mut set = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
        set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            set(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
        }
        if self.code == Code::Unauthorized {
            set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"backspace\""));
        }
        response
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Json(detail) => Self::new(Code::MalformedJson, detail),
            RequestError::Address(field) => Self::of_field(Code::InvalidUrl, &field.field, field.message),
            RequestError::Fields(errors) => {
                let texts: Vec<String> =
                    errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
                Self::new(Code::InvalidFields, texts.join("; ")).with_errors(errors)
            }
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match &error {
            store::Error::NotFound(id) => {
                Self::new(Code::SessionNotFound, format!("there is no session {id}"))
            }
            store::Error::Unfinished(id) => {
                Self::new(Code::Unfinished, format!("session {id} has not ended; cancel it first"))
            }
            store::Error::Fenced { .. } => Self::new(Code::Ended, "the session has ended"),
            store::Error::Decode { .. } => Self::internal("read the log", &error),
            store::Error::Database { .. } => storage(&error),
        }
    }
}

impl From<session::Error> for Problem {
    fn from(error: session::Error) -> Self {
        match error {
            session::Error::Store(error) => error.into(),
            session::Error::MirrorGone(_) => Self::new(Code::NoDiff, error.to_string()),
            session::Error::Repo(_) | session::Error::Forge(_) => Self::internal("make a diff", &error),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match &error {
            SubmitError::Draining => {
                Self::new(Code::Draining, Code::Draining.about()).retry_after(QUEUE_RETRY)
            }
            SubmitError::QueueFull(_) => {
                Self::new(Code::QueueFull, error.to_string()).retry_after(QUEUE_RETRY)
            }
            SubmitError::Unavailable(problem) => {
                Self::new(Code::Unavailable, format!("{}. {}", problem.what, problem.mend))
            }
            // The name is new, so this is a bug; where names are given again it is told apart.
            SubmitError::Exists(_) => Self::internal("take a session on", &error),
            SubmitError::Journal(_) | SubmitError::Ownership(_) => storage(&error),
        }
    }
}

/// The disk or the database did not do it.
fn storage(cause: &dyn StdError) -> Problem {
    error!("The database or its disk fails: {}", error_chain(cause));
    Problem::new(Code::Storage, Code::Storage.about()).retry_after(SOON)
}
