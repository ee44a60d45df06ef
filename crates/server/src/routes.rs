//! Every route in one table.

mod about;
mod code;
mod events;
mod local;
mod parameters;
mod recording;
mod sessions;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::error;

use crate::error::{Code, Problem};
use crate::{App, access, request_id};

pub(crate) use self::about::{__path_health, __path_index, __path_openapi, __path_ready};
pub(crate) use self::code::__path_code;
pub(crate) use self::events::__path_events;
pub(crate) use self::local::__path_pull_request;
pub(crate) use self::recording::__path_recording;
pub(crate) use self::sessions::{
    __path_cancel, __path_create, __path_delete, __path_diff, __path_list, __path_show,
};

/// The paths of [`code::code`]: each is the address of some client that exists.
pub(crate) const CODE_PATHS: [&str; 3] = ["/code", "/api/code", "/api/v1/code"];

/// All routes, with what happens around them.
pub(crate) fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route(CODE_PATHS[0], post(code::code))
        .route(CODE_PATHS[1], post(code::code))
        .route(CODE_PATHS[2], post(code::code))
        .route("/v1/sessions", post(sessions::create).get(sessions::list))
        .route("/v1/sessions/{id}", get(sessions::show).delete(sessions::delete))
        .route("/v1/sessions/{id}/events", get(events::events))
        .route("/v1/sessions/{id}/cancel", post(sessions::cancel))
        .route("/v1/sessions/{id}/diff", get(sessions::diff))
        .route("/v1/sessions/{id}/recording", get(recording::recording))
        .route("/local/{name}/pull/{number}", get(local::pull_request))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), access::guard));
    let open = Router::new()
        .route("/", get(about::index))
        .route("/health", get(about::health))
        .route("/healthz", get(about::health))
        .route("/ready", get(about::ready))
        .route("/openapi.json", get(about::openapi));
    let cors = cors(&app.access.origins);
    guarded
        .merge(open)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(request_id::assign))
        .layer(cors)
}

async fn no_route(uri: Uri) -> Problem {
    Problem::new(Code::NotFound, format!("there is no page {}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}

/// A bug must not look like a broken connection.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    error!("A request panicked: {}", text.unwrap_or("without words"));
    Problem::new(Code::Internal, Code::Internal.about()).into_response()
}

/// Which web pages of other origins may call: those that the operator named, and none otherwise.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let ours = ["x-api-key", "last-event-id", "idempotency-key"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(
            [header::AUTHORIZATION, header::CONTENT_TYPE].into_iter().chain(ours).collect::<Vec<_>>(),
        )
        .expose_headers([
            HeaderName::from_static("x-session-id"),
            request_id::HEADER,
            header::LOCATION,
            header::RETRY_AFTER,
        ])
}
