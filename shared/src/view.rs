//! An order as others see it: in the answers of the API, in the events on the bus, and in the calls to the merchant's endpoint.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::order::{Action, Order, Status};

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order, examples(json!({"order_id": "order-1001", "user_id": "alice", "item_ids": ["book-1", "pen-7"], "total_amount": "59.98",
    "currency": "EUR", "metadata": {}, "process_after": null, "status": "pending", "created_at": "2026-01-05T09:30:00.123456Z", "started_at": null, "finished_at": null, "attempts": 0,
    "failure": null, "next": ["cancel"]})))]
pub struct OrderView {
    /// The order's identifier.
    #[schema(example = "order-1001")]
    order_id: String,
    /// The user who owns it.
    #[schema(example = "alice")]
    user_id: String,
    /// The items.
    #[schema(example = json!(["book-1", "pen-7"]))]
    item_ids: Vec<String>,
    /// The exact price, with as many decimal places as the currency has minor units.
    #[schema(example = "59.98", pattern = r"^[0-9]{1,12}(\.[0-9]{2,4})?$")]
    total_amount: String,
    /// The currency of the price, by its code of ISO 4217.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// The client's own facts about the order; empty if there are none.
    #[schema(example = json!({"cart": "77"}))]
    metadata: BTreeMap<String, String>,
    /// The time before which the order is not processed; null if there is none.
    #[schema(required)]
    #[serde(with = "crate::timestamp::option")]
    process_after: Option<OffsetDateTime>,
    /// The order's status.
    status: Status,
    /// When it became durable.
    #[serde(with = "crate::timestamp")]
    created_at: OffsetDateTime,
    /// When processing first started, since the last retry; null before.
    #[schema(required)]
    #[serde(with = "crate::timestamp::option")]
    started_at: Option<OffsetDateTime>,
    /// When it ended; null before.
    #[schema(required)]
    #[serde(with = "crate::timestamp::option")]
    finished_at: Option<OffsetDateTime>,
    /// The attempts until now, since the last retry. While the order is processing, the current or the next one is included.
    #[schema(minimum = 0)]
    attempts: i32,
    /// Why it failed.
    #[schema(required)]
    failure: Option<String>,
    /// The actions that the order's status allows.
    #[schema(inline)]
    next: Vec<Action>,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.order_id.to_string(),
            user_id: order.user_id.into(),
            item_ids: order.item_ids.into(),
            total_amount: order.total_amount.to_string(),
            currency: order.total_amount.currency().code(),
            metadata: order.metadata.into(),
            process_after: order.process_after,
            status: order.status,
            created_at: order.created_at,
            started_at: order.started_at,
            finished_at: order.finished_at,
            attempts: order.attempts,
            failure: order.failure,
            next: order.status.next().to_vec(),
        }
    }
}

/// An order for the merchant's endpoint. Its JSON has the same bytes in each call, so that a repeat under the same `Idempotency-Key` is
/// identical. It changes only if the user of a failed order is erased.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderNotice, description = "An order for the merchant's endpoint.", examples(json!({"order_id": "order-1001", "user_id": "alice",
    "item_ids": ["book-1", "pen-7"], "total_amount": "59.98", "currency": "EUR", "metadata": {"cart": "77"}, "created_at": "2026-01-05T09:30:00.123456Z"})))]
pub struct Notice {
    /// The order's identifier, which is the idempotency key too.
    order_id: String,
    /// The user who owns it, or a pseudonym if an operator erased the user.
    user_id: String,
    /// The items.
    item_ids: Vec<String>,
    /// The exact price, with as many decimal places as the currency has minor units.
    #[schema(pattern = r"^[0-9]{1,12}(\.[0-9]{2,4})?$")]
    total_amount: String,
    /// The currency of the price, by its code of ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// The client's own facts about the order; empty if there are none.
    metadata: BTreeMap<String, String>,
    /// When the order became durable.
    #[serde(with = "crate::timestamp")]
    created_at: OffsetDateTime,
}

impl From<Order> for Notice {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.order_id.to_string(),
            user_id: order.user_id.into(),
            item_ids: order.item_ids.into(),
            total_amount: order.total_amount.to_string(),
            currency: order.total_amount.currency().code(),
            metadata: order.metadata.into(),
            created_at: order.created_at,
        }
    }
}
