//! `POST /orders`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::db::intake::{Created, Wanted};
use shared::order::{Order, Status};
use shared::queue::Wake;
use shared::telemetry::Count;

use super::body::OrderBody;
use super::key::Key;
use super::schema::{IdempotencyKeyText, NewOrderBody};
use super::view::OrderView;
use crate::caller::Writer;
use crate::problem::{ApiError, Problem, Refusals};
use crate::{Api, Shared};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

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
    let key = Key::of(&headers)?.map(|key| key.stored(&caller, None));
    let created = api.intake.create(&api.db, Wanted::new(new, key)).await?;
    let Taken { order, is_new } = created.try_into()?;
    // Of one that was there already too: whoever took it may have gone down before it told the queue.
    if order.status == Status::Pending {
        announce(&api, &order, api.config.cancel_window).await;
    }
    let location = format!("/orders/{}", order.order_id);
    let body = Json(OrderView::from(order));
    Ok(if is_new {
        (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
    } else {
        ([(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))], body).into_response()
    })
}

/// An order that is durable.
pub struct Taken {
    /// The order, as it stands.
    pub order: Order,
    /// Whether it was not before.
    pub is_new: bool,
}

impl TryFrom<Created> for Taken {
    type Error = ApiError;

    fn try_from(created: Created) -> Result<Self, ApiError> {
        match created {
            Created::New(order) => {
                Count::Accepted.add(1);
                tracing::debug!(order.id = %order.order_id, "order accepted");
                Ok(Self { order, is_new: true })
            }
            Created::Replayed(order) => {
                Count::Replayed.add(1);
                Ok(Self { order, is_new: false })
            }
            Created::IdTaken => {
                Err(ApiError::Conflict("Another order has this order_id. Choose a new one.".to_owned()))
            }
            Created::KeyReused => Err(ApiError::KeyReused),
        }
    }
}

/// Tells the queue of a pending order. It is safe without that: what the queue does not know, the sweeper finds.
pub async fn announce(api: &Api, order: &Order, delay: Duration) {
    if let Err(error) = api.queue.send(Wake::new(&order.order_id, delay)).await {
        tracing::error!(order.id = %order.order_id, %error, "the queue was not told of an order; the sweeper will");
    }
}
