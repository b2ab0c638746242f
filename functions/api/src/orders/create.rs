//! `POST /orders`

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::db::create::{CreateRequest, Created};
use shared::db::schedule;
use shared::order::{Order, Status};
use shared::queue::{Group, Message};
use shared::telemetry::Count;
use shared::view::OrderView;

use super::body::{NewOrderBody, OrderBody};
use super::key::Key;
use crate::call::Call;
use crate::caller::Writer;
use crate::problem::{ApiError, GatewayRefusal, Problem, Refusals};
use crate::schemas::IdempotencyKeyText;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A client that lost the answer to its first request may get this: a new identifier would then make a second order.
const ID_TAKEN: &str = "An order with this order_id exists, with other content or of another user. Read it: if it is the one that you meant, \
    it is stored; otherwise, or if you can't read it, choose a new order_id.";

/// Create an order.
///
/// 201 means that the order is durable and will be processed. A repeat with the same `order_id` or `Idempotency-Key` and the same
/// content returns the order's present state and changes nothing.
#[utoipa::path(
    post, path = "/orders", tag = "orders", security(("token" = ["orders/write"])),
    params(("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header,
        description = "Identifies a repeat of this request if the order has no order_id")),
    request_body = NewOrderBody,
    responses(
        (status = 201, body = OrderView, description = "The order is new and durable",
            headers(("Location" = String, description = "The path of the order"))),
        (status = 200, body = OrderView, description = "The order existed already",
            headers(("Idempotent-Replayed" = String, description = "true"))),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Malformed JSON"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An order with this order_id exists, with other content or of another user"),
        (status = 413, description = "More than 1 MiB", content((Problem = "application/problem+json"), (GatewayRefusal = "application/json"))),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "The content type is not JSON in UTF-8, or the body is encoded"),
        (status = 422, body = Problem, content_type = "application/problem+json",
            description = "Some fields are not valid, or the Idempotency-Key belongs to another order"),
        Refusals,
    )
)]
pub async fn create(
    call: Call,
    Writer(caller): Writer,
    headers: HeaderMap,
    OrderBody(new): OrderBody,
) -> Result<Response, ApiError> {
    caller.require_writes_for(&new.user_id)?;
    let key = Key::of(&headers)?.map(|key| key.stored(&caller, None));
    let created = call.store.create(&CreateRequest::new(new, key), call.api.config.cancel_window).await?;
    let Accepted { order, is_new } = accept(created)?;
    // Also for replays: the instance that created the order may have died before it enqueued it.
    if order.status == Status::Pending
        && let Some(message) = first_message(&call, &order)
    {
        enqueue(&call, &order, message).await;
    }
    let location = format!("/orders/{}", order.order_id);
    let body = Json(OrderView::from(order));
    Ok(if is_new {
        (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
    } else {
        ([(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))], body).into_response()
    })
}

/// A durable order.
pub struct Accepted {
    /// The order's present state.
    pub order: Order,
    /// Whether this call inserted it.
    pub is_new: bool,
}

/// Counts a durable order. A request that collides with another order is refused.
pub fn accept(created: Created) -> Result<Accepted, ApiError> {
    match created {
        Created::Inserted(order) => {
            Count::Accepted.add(1);
            tracing::debug!(order.id = %order.order_id, "accepted the order");
            Ok(Accepted { order, is_new: true })
        }
        Created::Replayed(order) => {
            Count::Replayed.add(1);
            Ok(Accepted { order, is_new: false })
        }
        Created::IdTaken => Err(ApiError::Conflict(ID_TAKEN.to_owned())),
        Created::KeyReused => Err(ApiError::KeyReused),
    }
}

/// The message of a new order; `None` if its `process_after` is so late that the sweeper sends the message.
pub fn first_message(call: &Call, order: &Order) -> Option<Message> {
    let delay = schedule::delay_of_first_message(order, call.api.config.cancel_window)?;
    Some(Message::new(&order.order_id, Some(Group::of(order.user_id.as_str())), delay))
}

/// Enqueues a pending order. If that fails, the sweeper enqueues it later.
pub async fn enqueue(call: &Call, order: &Order, message: Message) {
    if call.enqueue(&[message]).await > 0 {
        tracing::error!(order.id = %order.order_id, "could not enqueue the order; the sweeper will retry");
    }
}
