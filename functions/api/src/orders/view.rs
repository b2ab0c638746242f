//! An order as a client sees it, and its status alone.

use serde::Serialize;
use shared::order::Status;
pub use shared::view::OrderView;
use utoipa::ToSchema;

/// An order's status, without the rest of the order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderStatus, examples(json!({"order_id": "order-1001", "status": "completed"})))]
pub struct StatusView {
    /// The order's identifier.
    #[schema(example = "order-1001")]
    pub order_id: String,
    /// The order's status.
    pub status: Status,
}
