//! Errors: one type, one place where each becomes a status, and one where it becomes an answer and a line in the log.

#[cfg(test)]
mod documented;
mod refusals;

use std::error::Error;
use std::time::Instant;

use axum::Json;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lambda_http::request::RequestContext;
use serde::Serialize;
use shared::db::DbError;
use shared::error::Chain;
use shared::queue::QueueError;
use utoipa::ToSchema;

pub use refusals::{GatewayRefusal, Refusals, RefusalsOfOne, RefusalsOfOptions, RefusalsWithoutToken};

/// How long a client should wait before it tries again while the database or the queue can't be used.
const RETRY_AFTER_SECONDS: &str = "2";
/// The page that explains each kind, as a reference from the API's root (RFC 9457, 3.1.1).
const EXPLAINED_AT: &str = "/docs/problems";

/// Why a call did not succeed. The texts are for the client; a cause that only the log may have is a `source`.
#[derive(Debug)]
pub enum ApiError {
    /// The request can't be read.
    Malformed(String),
    /// No verified claims came with the request.
    Unauthorized,
    /// The caller is known, and may not do this.
    Forbidden(String),
    /// There is no such order, or it is not the caller's.
    NoSuchOrder,
    /// There is no such route.
    NoSuchRoute,
    /// The route has no such method.
    MethodNotAllowed,
    /// The order's state, or another order, stands in the way.
    Conflict(String),
    /// The body is larger than this call takes, in bytes.
    TooLarge(usize),
    /// The body is not said to be JSON, or is compressed: what to send.
    NotJson(&'static str),
    /// The request can be read, and some of its values are not valid: all of them, by name.
    Invalid(Vec<FieldError>),
    /// The idempotency key was used for another order.
    KeyReused,
    /// The database can't be used now: it is out of reach, only reads, is busy or took too long.
    Unavailable(DbError),
    /// The queue can't be used now.
    QueueUnavailable(QueueError),
    /// Our own fault.
    Internal(Box<dyn Error + Send + Sync>),
}

/// One invalid value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// `#` and a JSON pointer into the body, `#/item_ids/3`; for a query parameter or header `?limit`, `Idempotency-Key`.
    pub pointer: String,
    /// What the value should be.
    pub detail: String,
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            _ if error.is_temporary() => Self::Unavailable(error),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl ApiError {
    /// The status, the last part of the `type`, and the title.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "The request can't be read"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Authentication required"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "The caller may not do this"),
            Self::NoSuchOrder => (StatusCode::NOT_FOUND, "no-such-order", "There is no such order"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "There is no such route"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The route has no such method")
            }
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Conflict with the order's current state"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::NotJson(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body is not JSON"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Some values are not valid"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "The idempotency key was used before"),
            Self::Unavailable(_) | Self::QueueUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service temporarily unavailable")
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side"),
        }
    }

    /// What happened and what to do about it.
    fn detail(&self) -> String {
        match self {
            Self::Malformed(detail) | Self::Forbidden(detail) | Self::Conflict(detail) => return detail.clone(),
            Self::Unauthorized => "Call through the gateway, with a bearer token of its issuer.",
            Self::NoSuchOrder => "No order of yours has this identifier.",
            Self::NoSuchRoute => "See /docs for the routes there are.",
            Self::MethodNotAllowed => "The Allow header names the methods there are.",
            Self::TooLarge(most) => return format!("Send at most {} KiB.", most / 1024),
            Self::NotJson(detail) => detail,
            Self::Invalid(_) => "Each of them is named in errors; nothing was stored.",
            Self::KeyReused => {
                "It belongs to an order with other content. Send a new Idempotency-Key with a new order."
            }
            Self::Unavailable(_) => {
                "The database can't be used at the moment. Send the same request again shortly; an order only with an order_id \
                 or an Idempotency-Key, because it may have been stored all the same."
            }
            Self::QueueUnavailable(_) => "The queue can't be used at the moment. Send the same request again shortly.",
            Self::Internal(_) => "The request_id finds the cause in the log.",
        }
        .to_owned()
    }

    /// The same error of a part of the body, at this JSON pointer.
    pub fn within(self, part: &str) -> Self {
        let Self::Invalid(errors) = self else { return self };
        let move_down = |error: FieldError| match error.pointer.strip_prefix('#') {
            Some(rest) => FieldError { pointer: format!("#{part}{rest}"), ..error },
            None => error,
        };
        Self::Invalid(errors.into_iter().map(move_down).collect())
    }

    /// What only the log may know.
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(cause) => Some(cause),
            Self::QueueUnavailable(cause) => Some(cause),
            Self::Internal(cause) => Some(cause.as_ref()),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    /// The status and the error itself, for [`render`] to make the answer of.
    fn into_response(self) -> Response {
        let mut response = self.kind().0.into_response();
        let advice = match self {
            Self::Unavailable(_) | Self::QueueUnavailable(_) => Some((header::RETRY_AFTER, RETRY_AFTER_SECONDS)),
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Self::NotJson(_) => Some((header::ACCEPT_ENCODING, "identity")),
            _ => None,
        };
        if let Some((name, value)) = advice {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

/// An error as the client sees it, after RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is, for programs: `/docs/problems#…`, seen from the API's root, which explains it.
    #[serde(rename = "type")]
    kind: String,
    /// The same for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened here, and what to do.
    detail: String,
    /// The path that was called.
    instance: String,
    /// Finds this request in the log.
    request_id: String,
    /// Every invalid value, where that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

/// Around every call: turns an [`ApiError`] into its answer, logs the call and, once, the cause of a failure.
pub async fn render(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.extensions());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<std::sync::Arc<ApiError>>() {
        log_cause(&error, &request_id);
        set_problem(&mut response, &error, &uri, &request_id);
    }
    log_call(&method, &uri, &response, &request_id, started);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The gateway's identifier of the request, or none where there was no gateway.
pub fn request_id(extensions: &Extensions) -> String {
    match extensions.get() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

impl Problem {
    /// The problem that a client gets for an error.
    pub fn new(error: &ApiError, instance: &str, request_id: &str) -> Self {
        let (status, kind, title) = error.kind();
        Self {
            kind: format!("{EXPLAINED_AT}#{kind}"),
            title,
            status: status.as_u16(),
            detail: error.detail(),
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
            errors: if let ApiError::Invalid(errors) = error { errors.clone() } else { Vec::new() },
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }
}

fn set_problem(response: &mut Response, error: &ApiError, uri: &Uri, request_id: &str) {
    let problem = Problem::new(error, uri.path(), request_id);
    let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
    let kept: HeaderMap = std::mem::take(response.headers_mut());
    *response = (error.kind().0, content_type, Json(problem)).into_response();
    let of_the_answer = [header::CONTENT_LENGTH, header::CONTENT_TYPE];
    response
        .headers_mut()
        .extend(kept.into_iter().filter(|(name, _)| !name.as_ref().is_some_and(|name| of_the_answer.contains(name))));
}

fn log_cause(error: &ApiError, request_id: &str) {
    if let Some(error) = error.cause() {
        tracing::error!(request.id = request_id, error = %Chain(error), "the call failed");
    }
}

/// The gateway's access log has every call; here those that went wrong are worth a line.
fn log_call(method: &Method, uri: &Uri, response: &Response, request_id: &str, started: Instant) {
    let (method, path, status) = (method.as_str(), uri.path(), response.status());
    let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
    if status.is_client_error() || status.is_server_error() {
        tracing::info!(request.id = request_id, method, path, status = status.as_u16(), elapsed_ms, "call answered");
    } else {
        tracing::debug!(request.id = request_id, method, path, status = status.as_u16(), elapsed_ms, "call answered");
    }
}

/// Answers a path that no route has.
pub async fn no_such_route() -> ApiError {
    ApiError::NoSuchRoute
}

/// Answers a method that the path's route does not have.
pub async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}
