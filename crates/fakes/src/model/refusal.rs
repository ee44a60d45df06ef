//! Errors in the words and shapes of the two vendors.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::fault::Fault;

/// How long each byte of a text takes that never comes to its end.
const BYTE_PAUSE: Duration = Duration::from_secs(9);

/// Why a request is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    kind: &'static str,
    message: String,
    /// The field that is wrong, for OpenAI's shape.
    param: Option<String>,
    /// The code, where it is not the one of the status, for OpenAI's shape.
    code: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
}

/// Whose words an answer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    Anthropic,
    OpenAi,
}

/// What `fault` answers instead of a reply; nothing when it is a fault of the reply.
pub(super) fn instead(fault: Option<&Fault>, vendor: Vendor) -> Option<Response> {
    let refusal = match fault? {
        Fault::Status { status, headers } => Refusal::asked_for(*status, headers.clone()),
        Fault::QuotaSpent => Refusal::quota_spent(vendor),
        Fault::ContextFull => Refusal::context_full(vendor),
        Fault::Instead { status, headers, body } => {
            return Some(respond(*status, headers, body.clone().into_response()));
        }
        Fault::EndlessError { status } => return Some(respond(*status, &[], endless())),
        Fault::CutAtOnce
        | Fault::Cut
        | Fault::EndEarly
        | Fault::Stall
        | Fault::SignsOfLife
        | Fault::ErrorInStream
        | Fault::Garbled(_) => return None,
    };
    Some(match vendor {
        Vendor::Anthropic => refusal.into_anthropic(),
        Vendor::OpenAi => refusal.into_openai(),
    })
}

impl Refusal {
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), param: None, code: None, headers: Vec::new() }
    }

    /// The request is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// The request is wrong in one field.
    pub(super) fn at(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::invalid(message) }
    }

    /// The same with a code of its own.
    pub(super) fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The failure that a test asked for.
    fn asked_for(status: u16, headers: Vec<(&'static str, String)>) -> Self {
        let (kind, message) = match status {
            401 => ("authentication_error", "invalid x-api-key"),
            402 => ("billing_error", "Your credit balance is too low"),
            403 => {
                ("permission_error", "Your API key does not have permission to use the specified resource")
            }
            404 => ("not_found_error", "model: no-such-model"),
            413 => ("request_too_large", "Request exceeds the maximum size"),
            429 => ("rate_limit_error", "This request would exceed your rate limit"),
            504 => ("timeout_error", "Request timed out"),
            529 => ("overloaded_error", "Overloaded"),
            500.. => ("api_error", "Internal server error"),
            _ => ("invalid_request_error", "Bad request"),
        };
        Self { headers, ..Self::new(status, kind, message) }
    }

    /// The account may use nothing more.
    fn quota_spent(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Anthropic => Self::invalid(
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
                 purchase credits.",
            ),
            Vendor::OpenAi => Self::new(
                429,
                "insufficient_quota",
                "You exceeded your current quota, please check your plan and billing details.",
            )
            .coded("insufficient_quota"),
        }
    }

    /// The conversation is too long.
    fn context_full(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Anthropic => Self::invalid("prompt is too long: 213462 tokens > 200000 maximum"),
            Vendor::OpenAi => Self::invalid(
                "Your input exceeds the context window of this model. Please adjust your input and try again.",
            )
            .coded("context_length_exceeded"),
        }
    }

    /// `{"type":"error","error":{"type","message"},"request_id"}`.
    pub(super) fn into_anthropic(self) -> Response {
        let error = json!({ "type": self.kind, "message": self.message });
        let body = json!({ "type": "error", "error": error, "request_id": "req_0000000000000000fake" });
        self.respond(body)
    }

    /// `{"error":{"message","type","param","code"}}`.
    pub(super) fn into_openai(self) -> Response {
        let code = self.code.or(match self.status {
            401 => Some("invalid_api_key"),
            429 => Some("rate_limit_exceeded"),
            _ => None,
        });
        let kind = match self.status {
            401 => "invalid_request_error",
            429 if code == Some("rate_limit_exceeded") => "requests",
            500.. => "server_error",
            _ => self.kind,
        };
        let error = json!({ "message": self.message, "type": kind, "param": self.param, "code": code });
        self.respond(json!({ "error": error }))
    }

    fn respond(self, body: Value) -> Response {
        respond(self.status, &self.headers, Json(body).into_response())
    }
}

/// A text that never comes to its end.
fn endless() -> Response {
    let text = async_stream::stream! {
        loop {
            tokio::time::sleep(BYTE_PAUSE).await;
            yield Ok::<_, Infallible>(Bytes::from_static(b"x"));
        }
    };
    Body::from_stream(text).into_response()
}

/// `response` with another status, and with `headers` in the place of its own.
fn respond(status: u16, headers: &[(&'static str, String)], mut response: Response) -> Response {
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
