//! `POST /orders`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use shared::db::orders::{self, Created};
use shared::order::{Order, Status};

use super::body::OrderBody;
use super::schema::{IdempotencyKeyText, NewOrderBody};
use super::view::OrderView;
use crate::caller::{Caller, Writer};
use crate::problem::{ApiError, FieldError, Problem, Refusals};
use crate::{Api, Shared};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest `Idempotency-Key`, in characters.
const MAX_KEY: usize = 255;

/// Place an order.
///
/// A 201 means that the order is durable and will be processed. The same `order_id`, or the same `Idempotency-Key`, with
/// the same content again is answered with the order as it stands, and nothing is done twice.
#[utoipa::path(
    post, path = "/orders", tag = "orders", security(("token" = ["orders/write"])),
    params(("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header,
        description = "Tells a repeat of this request from a new order, where the order has no order_id of the client's")),
    request_body = NewOrderBody,
    responses(
        (status = 201, body = OrderView, description = "The order is durable",
            headers(("Location" = String, description = "Where to read the order"))),
        (status = 200, body = OrderView, description = "The order was there already",
            headers(("Idempotent-Replayed" = String, description = "true"))),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON that can be read"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Another order has this order_id"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "More than 256 KiB"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not said to be JSON"),
        (status = 422, body = Problem, content_type = "application/problem+json",
            description = "Some fields are not valid, or the Idempotency-Key was used for another order"),
        Refusals,
    )
)]
pub async fn create(
    State(api): Shared,
    Writer(caller): Writer,
    headers: HeaderMap,
    OrderBody(new): OrderBody,
) -> Result<Response, ApiError> {
    caller.require_user(&new.user_id)?;
    let key = idempotency_key(&headers, &caller)?;
    match orders::create(&api.db, &new, key.as_deref(), api.config.cancel_window).await? {
        Created::New(order) => {
            announce(&api, &order, api.config.cancel_window).await;
            let location = format!("/orders/{}", order.order_id);
            Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(OrderView::from(order))).into_response())
        }
        Created::Replayed(order) => {
            // Whoever took it the first time may have gone down before it told the queue.
            if order.status == Status::Pending {
                announce(&api, &order, api.config.cancel_window).await;
            }
            let replayed = [(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))];
            Ok((replayed, Json(OrderView::from(order))).into_response())
        }
        Created::IdTaken => Err(ApiError::Conflict("Another order has this order_id. Choose a new one.".to_owned())),
        Created::KeyReused => Err(ApiError::KeyReused),
    }
}

/// Tells the queue of a pending order. It is safe without that: what the queue does not know, the sweeper finds.
pub async fn announce(api: &Api, order: &Order, delay: Duration) {
    if let Err(error) = api.queue.send(&order.order_id, delay).await {
        tracing::error!(order.id = %order.order_id, %error, "the queue was not told of an order; the sweeper will");
    }
}

/// The key under which this caller's request is known: a digest of both, so that no caller meets another's keys.
fn idempotency_key(headers: &HeaderMap, caller: &Caller) -> Result<Option<Vec<u8>>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or("");
    if !(1..=MAX_KEY).contains(&text.len()) {
        let detail = "must be 1 to 255 visible ASCII characters".to_owned();
        return Err(ApiError::Invalid(vec![FieldError { pointer: "Idempotency-Key".to_owned(), detail }]));
    }
    // No user id holds a NUL, so no two pairs of caller and key make the same bytes.
    let digest = Sha256::new().chain_update(caller.user_id().as_str()).chain_update([0]).chain_update(text).finalize();
    Ok(Some(digest.to_vec()))
}
