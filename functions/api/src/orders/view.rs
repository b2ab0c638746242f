//! An order as a client sees it.

use serde::Serialize;
use shared::order::{Order, Status};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderView {
    /// Its identifier.
    #[schema(example = "order-1001")]
    order_id: String,
    /// Whose it is.
    #[schema(example = "alice")]
    user_id: String,
    /// What was ordered.
    #[schema(example = json!(["book-1", "pen-7"]))]
    item_ids: Vec<String>,
    /// What it costs: exact, with two decimal places.
    #[schema(example = "59.98", pattern = r"^[0-9]{1,12}\.[0-9]{2}$")]
    total_amount: String,
    /// Where it is in its life.
    status: StatusName,
    /// When it became durable.
    #[serde(with = "shared::timestamp")]
    created_at: OffsetDateTime,
    /// When work on it first began.
    #[serde(with = "shared::timestamp::option")]
    started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "shared::timestamp::option")]
    finished_at: Option<OffsetDateTime>,
    /// How often work on it was tried.
    #[schema(minimum = 0)]
    attempts: i32,
    /// Why it failed.
    failure: Option<String>,
    /// What may be done to it now.
    #[schema(inline)]
    next: Vec<Action>,
}

/// Where an order is in its life.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
#[serde(rename_all = "lowercase")]
pub enum StatusName {
    /// Accepted and durable; nobody has worked on it.
    Pending,
    /// Work has begun.
    Processing,
    /// Done.
    Completed,
    /// Given up on; `failure` says why.
    Failed,
    /// Called off before work began.
    Cancelled,
}

impl From<Status> for StatusName {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Processing => Self::Processing,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// What may be done to an order: the last part of the path to post to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// `POST /orders/{order_id}/cancel`
    Cancel,
    /// `POST /orders/{order_id}/retry`, for operators.
    Retry,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        let next = match order.status {
            Status::Pending => vec![Action::Cancel],
            Status::Failed => vec![Action::Retry],
            Status::Processing | Status::Completed | Status::Cancelled => vec![],
        };
        Self {
            order_id: order.order_id.to_string(),
            user_id: order.user_id,
            item_ids: order.item_ids,
            total_amount: order.total_amount.to_string(),
            status: order.status.into(),
            created_at: order.created_at,
            started_at: order.started_at,
            finished_at: order.finished_at,
            attempts: order.attempts,
            failure: order.failure,
            next,
        }
    }
}

/// An order's status and nothing more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderStatus)]
pub struct StatusView {
    /// Its identifier.
    #[schema(example = "order-1001")]
    pub order_id: String,
    /// Where it is in its life.
    pub status: StatusName,
}
