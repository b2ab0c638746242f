//! `GET /orders/{order_id}` and `GET /orders/{order_id}/status`

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::order::{Order, OrderId, Status, UserId};
use shared::view::OrderView;
use utoipa::ToSchema;

use crate::call::Call;
use crate::caller::Caller;
use crate::problem::{ApiError, RefusalsOfOne};
use crate::schemas::OrderIdText;

/// The longest `Retry-After` of a status, in seconds.
const MAX_RETRY_AFTER: f64 = 60.0;
/// How many polls a client should make in the time that an order has been overdue.
const OVERDUE_POLLS: f64 = 10.0;

/// Read an order.
///
/// The answer has an `ETag`. A call that sends it in `If-None-Match` gets 304 without a body while the order has not changed.
#[utoipa::path(
    get, path = "/orders/{order_id}", tag = "orders", security(("token" = ["orders/read"])),
    params(
        ("order_id" = inline(OrderIdText), Path, description = "The order's identifier"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier answer"),
    ),
    responses(
        (status = 200, body = OrderView, description = "The order",
            headers(("ETag" = String, description = "Changes whenever the order does"))),
        (status = 304, description = "The order has not changed",
            headers(("ETag" = String, description = "The order's"))),
        RefusalsOfOne,
    )
)]
pub async fn read(
    call: Call,
    caller: Caller,
    headers: HeaderMap,
    OrderPath(order_id): OrderPath,
) -> Result<Response, ApiError> {
    let order = find(&call, caller.reads_only_for()?, &order_id).await?;
    let body = serde_json::to_vec(&OrderView::from(order)).map_err(|error| ApiError::Internal(error.into()))?;
    let etag = etag(&body);
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let headers = [(header::ETAG, etag), (header::CONTENT_TYPE, "application/json".to_owned())];
    Ok((headers, body).into_response())
}

/// An order's status, without the rest of the order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderStatus, examples(json!({"order_id": "order-1001", "status": "completed"})))]
pub struct StatusView {
    /// The order's identifier.
    #[schema(example = "order-1001")]
    order_id: String,
    /// The order's status.
    status: Status,
}

/// Read an order's status: the smallest answer to poll.
///
/// While the order is active, `Retry-After` holds the seconds until the next poll. A failed order is pending again if an operator retries it.
#[utoipa::path(
    get, path = "/orders/{order_id}/status", tag = "orders", security(("token" = ["orders/read"])),
    params(("order_id" = inline(OrderIdText), Path, description = "The order's identifier")),
    responses(
        (status = 200, body = StatusView, description = "The status",
            headers(("Retry-After" = String, description = "While the order is active: seconds until the next poll"))),
        RefusalsOfOne,
    )
)]
pub async fn read_status(call: Call, caller: Caller, OrderPath(order_id): OrderPath) -> Result<Response, ApiError> {
    let found = call.store.read_status(&order_id, caller.reads_only_for()?).await?;
    let (status, due_in_seconds) = found.ok_or(ApiError::NoSuchOrder)?;
    let view = StatusView { order_id: order_id.to_string(), status };
    let retry_after = due_in_seconds.map(|seconds| [(header::RETRY_AFTER, retry_after(seconds))]);
    Ok((retry_after, Json(view)).into_response())
}

/// Reads the order. Fails with `NoSuchOrder` if there is none, or if it is not `user`'s. Without a `user` it is any user's.
pub async fn find(call: &Call, user: Option<&UserId>, order_id: &OrderId) -> Result<Order, ApiError> {
    call.store.read_order(order_id, user).await?.ok_or(ApiError::NoSuchOrder)
}

/// The order's identifier in the path. An invalid identifier belongs to no order, so it is not found.
pub struct OrderPath(pub OrderId);

impl<S: Send + Sync> FromRequestParts<S> for OrderPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        // A route without a parameter is that of an order whose identifier is the name of an action: `/orders/retry`.
        let text = path.map_or_else(|_| parts.uri.path().trim_start_matches("/orders/").to_owned(), |Path(text)| text);
        text.parse().map(Self).map_err(|_| ApiError::NoSuchOrder)
    }
}

/// The seconds until the next poll, 1 to 60: when the order is due, in whole seconds. An overdue order waits in a backlog or for the end
/// of a pause, so its clients poll more rarely the longer that takes.
fn retry_after(due_in_seconds: f64) -> String {
    let wait = if due_in_seconds < 0.0 { -due_in_seconds / OVERDUE_POLLS } else { due_in_seconds };
    wait.ceil().clamp(1.0, MAX_RETRY_AFTER).to_string()
}

/// A strong validator: the first bytes of the body's digest.
fn etag(body: &[u8]) -> String {
    format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..9]))
}

/// Whether `If-None-Match` names this validator. It may list several, weak ones too, or `*` (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let listed = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut validators = listed.flat_map(|value| value.split(',')).map(str::trim);
    validators.any(|validator| validator == "*" || validator.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_in_whole_seconds() {
        assert_eq!([0.0, 1.2, 4.0, 900.0].map(retry_after), ["1", "2", "4", "60"]);
        assert_eq!([-0.5, -10.0, -45.0, -86_400.0].map(retry_after), ["1", "1", "5", "60"]);
    }

    #[test]
    fn validator_matches_alone_in_a_list_weak_or_as_a_star() {
        let known =
            |value: &str| is_known(&HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]), "\"a\"");
        assert!(["\"a\"", "\"b\", \"a\"", "W/\"a\"", "*"].into_iter().all(known));
        assert!(!["\"b\"", "a", ""].into_iter().any(known));
    }
}
