//! Errors: one type, one function that maps each to a status, and one that turns it into an answer and a log line.

#[cfg(test)]
mod documented;
mod refusals;

use std::error::Error;
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lambda_http::request::RequestContext;
use serde::Serialize;
use shared::db::StoreError;
use shared::error::Chain;
use shared::gateway;
use shared::queue::QueueError;
use utoipa::ToSchema;

pub use refusals::{GatewayRefusal, Refusals, RefusalsOfOne, RefusalsOfOptions, RefusalsWithoutToken};

/// How long a client should wait before it repeats a call that found the database or the queue unavailable.
const RETRY_AFTER_SECONDS: &str = "2";
/// The most errors that an answer names for one order, or for one query. A batch names as many for each of its orders.
pub const MAX_ERRORS: usize = 20;
/// The most characters of an unknown field's or parameter's name that an answer repeats.
pub const MAX_NAME: usize = 40;
/// The page that explains each kind of problem, relative to the API's root (RFC 9457, 3.1.1).
const EXPLAINED_AT: &str = "/docs/problems";

const UNAVAILABLE: &str = "The database is unavailable. Send the same request again shortly. Repeat a create only with an order_id or an \
    Idempotency-Key, because the order may be stored already. Before you post a retry again, read its order: it may be pending \
    already.";
const NARROWER: &str = "A call with a filter can name a shorter span of time, or the identifiers.";

/// The error of a call. The texts are for the client. A cause that is for the log alone is a `source`.
#[derive(Debug)]
pub enum ApiError {
    /// The request is malformed.
    Malformed(String),
    /// The request has no verified claims.
    Unauthorized,
    /// The caller is authenticated, but lacks the permission.
    Forbidden(String),
    /// There is no such order, or it is not the caller's.
    NoSuchOrder,
    /// There is no such route.
    NoSuchRoute,
    /// The route has no such method.
    MethodNotAllowed,
    /// The order's state, or another order, conflicts with the call.
    Conflict(String),
    /// The body exceeds this many bytes.
    TooLarge(usize),
    /// The body is not declared as JSON.
    NotJson,
    /// The body is declared in a charset that is not UTF-8.
    NotUtf8,
    /// The body has a content encoding, such as compression.
    Encoded,
    /// The request is well formed, but these values are not valid.
    Invalid(Vec<FieldError>),
    /// The idempotency key belongs to another order.
    KeyReused,
    /// The database is unavailable: unreachable, read-only, busy or too slow.
    Unavailable(StoreError),
    /// The queue is unavailable.
    QueueUnavailable(QueueError),
    /// A fault of the service.
    Internal(Box<dyn Error + Send + Sync>),
}

/// One invalid value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// `#` and a JSON pointer into the body, such as `#/item_ids/3`. For a query parameter `?limit`, for a header `Idempotency-Key`,
    /// for a part of the path `{user_id}`. It is not percent-encoded, and a long unknown name is cut.
    pub pointer: String,
    /// The rule that the value breaks.
    pub detail: String,
}

impl FieldError {
    /// The error at this pointer.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            _ if error.is_temporary() => Self::Unavailable(error),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

impl ApiError {
    /// The refusal of one value, at this [`FieldError::pointer`].
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        FieldError::new(pointer, detail).into()
    }

    /// The value, or the refusal of a request with errors. A value that could not be read has one.
    pub fn unless_valid<T>(value: Option<T>, mut errors: Vec<FieldError>) -> Result<T, Self> {
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => {
                errors.truncate(MAX_ERRORS);
                Err(Self::Invalid(errors))
            }
        }
    }

    /// The same error. If it refuses values, it names this one first.
    pub fn beside(self, first: Option<FieldError>) -> Self {
        let Self::Invalid(errors) = self else { return self };
        Self::Invalid(first.into_iter().chain(errors).take(MAX_ERRORS).collect())
    }

    /// The status, the last part of the `type`, and the title.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Authentication required"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Insufficient permission"),
            Self::NoSuchOrder => (StatusCode::NOT_FOUND, "no-such-order", "Order not found"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route", "Route not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Conflict with the order's current state"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Request body too large"),
            Self::NotJson | Self::NotUtf8 | Self::Encoded => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Unsupported media type")
            }
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid values"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "Idempotency key already used"),
            Self::Unavailable(_) | Self::QueueUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service temporarily unavailable")
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error"),
        }
    }

    /// The explanation and the remedy.
    fn detail(&self) -> String {
        match self {
            Self::Malformed(detail) | Self::Forbidden(detail) | Self::Conflict(detail) => return detail.clone(),
            Self::Unauthorized => {
                "Call the API through the gateway, with a bearer token from its issuer. The sub of the token must be a user: 1 to 128 \
                 characters without control characters."
            }
            Self::NoSuchOrder => "There is no order with this identifier, or it belongs to another user.",
            Self::NoSuchRoute => "/docs lists the routes.",
            Self::MethodNotAllowed => "The Allow header lists the methods.",
            Self::TooLarge(most) => return format!("Send at most {} KiB.", most / 1024),
            Self::NotJson => "Send JSON, with the header Content-Type: application/json.",
            Self::NotUtf8 => "Send UTF-8, with charset=utf-8 or without a charset.",
            Self::Encoded => "Send JSON without a Content-Encoding.",
            Self::Invalid(_) => "errors lists what is invalid. Nothing of it was stored.",
            Self::KeyReused => {
                "An earlier request with this key created an order with other content. Find it with GET /orders: if it is the one that you \
                 meant, it is stored; otherwise send a new Idempotency-Key with the new order."
            }
            Self::Unavailable(cause) if cause.is_slow() => return format!("{UNAVAILABLE} {NARROWER}"),
            Self::Unavailable(_) => UNAVAILABLE,
            Self::QueueUnavailable(_) => "The queue is unavailable. Send the same request again shortly.",
            Self::Internal(_) => "An operator can find the cause in the log by the request_id.",
        }
        .to_owned()
    }

    /// The same error, for a part of the body at this JSON pointer.
    pub fn within(self, part: &str) -> Self {
        let Self::Invalid(errors) = self else { return self };
        let move_down = |error: FieldError| match error.pointer.strip_prefix('#') {
            Some(rest) => FieldError { pointer: format!("#{part}{rest}"), ..error },
            None => error,
        };
        Self::Invalid(errors.into_iter().map(move_down).collect())
    }

    /// The cause, for the log alone.
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
    /// The status and the error itself. [`render`] builds the answer from it.
    fn into_response(self) -> Response {
        let mut response = self.kind().0.into_response();
        let advice = match self {
            Self::Unavailable(_) | Self::QueueUnavailable(_) => Some((header::RETRY_AFTER, RETRY_AFTER_SECONDS)),
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
            // RFC 9110, 12.5.3: no other refusal may have this header.
            Self::Encoded => Some((header::ACCEPT_ENCODING, "identity")),
            _ => None,
        };
        if let Some((name, value)) = advice {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

/// An error in the form of RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, for programs: `/docs/problems#…`, relative to the API's root. That page explains it.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem, for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The explanation of this problem, and the remedy.
    detail: String,
    /// The path of the call.
    instance: String,
    /// The identifier of this request in the log.
    request_id: String,
    /// Every invalid value, if the request has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

/// Middleware around every call: turns an [`ApiError`] into its answer, logs the call, and logs the cause of a failure once.
pub async fn render(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.extensions());
    let (method, uri, path) = (request.method().clone(), request.uri().clone(), logged_path(&request));
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<std::sync::Arc<ApiError>>() {
        log_cause(&error, &request_id);
        set_problem(&mut response, &error, &uri, &request_id);
    }
    log_call(&method, &path, &response, &request_id, started);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The gateway's identifier of the request, or an empty text without a gateway.
pub fn request_id(extensions: &Extensions) -> String {
    match extensions.get() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

impl Problem {
    /// The client's problem for an error.
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
    *response.body_mut() = Json(problem).into_response().into_body();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    // The length of the empty body.
    headers.remove(header::CONTENT_LENGTH);
}

fn log_cause(error: &ApiError, request_id: &str) {
    if let Some(error) = error.cause() {
        tracing::error!(request.id = request_id, error = %Chain(error), "could not answer the call");
    }
}

/// The path for the log. Below `/users/` it leaves out the identifier, even if no route matches: the erasure of a user must not leave it
/// in the log.
fn logged_path(request: &Request) -> String {
    let (route, path) = (request.extensions().get().map(MatchedPath::as_str), request.uri().path());
    let path = if path.trim_start_matches('/').starts_with("users/") { route.unwrap_or("/users/…") } else { path };
    gateway::logged_path(path)
}

/// Logs a refused or failed call at `INFO`, any other at `DEBUG`: the gateway's access log has every call.
fn log_call(method: &Method, path: &str, response: &Response, request_id: &str, started: Instant) {
    let (method, status) = (method.as_str(), response.status());
    let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
    if status.is_client_error() || status.is_server_error() {
        tracing::info!(request.id = request_id, method, path, status = status.as_u16(), elapsed_ms, "answered a call");
    } else {
        tracing::debug!(request.id = request_id, method, path, status = status.as_u16(), elapsed_ms, "answered a call");
    }
}

/// Answers a path without a route.
pub async fn no_such_route() -> ApiError {
    ApiError::NoSuchRoute
}

/// Answers a method that the route does not have. `Allow` names those that it has. `OPTIONS` gets nothing else:
/// the gateway passes a browser's preflight on to its default route, adds the headers of `CorsAllowOrigins`, and keeps the status,
/// which has to be 2xx: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>.
pub async fn method_not_allowed(method: Method) -> Result<StatusCode, ApiError> {
    if method == Method::OPTIONS { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::MethodNotAllowed) }
}
