//! `POST /orders/{order_id}/cancel`

use axum::Json;
use shared::db::orders;
use shared::order::Status;

use super::read::{OrderPath, find};
use super::schema::OrderIdText;
use super::view::OrderView;
use crate::call::Call;
use crate::caller::{Caller, Scope};
use crate::problem::{ApiError, Problem, RefusalsOfOne};

/// Cancel an order before work on it begins.
///
/// An order that is cancelled already stays so and is answered the same.
#[utoipa::path(
    post, path = "/orders/{order_id}/cancel", tag = "orders", security(("token" = ["orders/write"])),
    params(("order_id" = inline(OrderIdText), Path, description = "The order's identifier")),
    responses(
        (status = 200, body = OrderView, description = "The order is cancelled"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Processing has begun"),
        RefusalsOfOne,
    )
)]
pub async fn cancel(api: Call, caller: Caller, OrderPath(order_id): OrderPath) -> Result<Json<OrderView>, ApiError> {
    caller.require(Scope::Write)?;
    let cancelled = orders::cancel(&api.db, &order_id, caller.tenant()).await?;
    let order = find(&api, &caller, &order_id).await?;
    if !cancelled && order.status != Status::Cancelled {
        let detail = format!("The order is {}; only a pending one can be cancelled.", order.status);
        return Err(ApiError::Conflict(detail));
    }
    tracing::info!(order.id = %order_id, caller = caller.user_id().as_str(), "order cancelled");
    Ok(Json(order.into()))
}
