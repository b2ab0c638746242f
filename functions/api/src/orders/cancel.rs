//! `POST /orders/{order_id}/cancel`

use axum::Json;
use shared::order::Status;
use shared::view::OrderView;

use super::read::{OrderPath, find};
use crate::call::Call;
use crate::caller::Caller;
use crate::json::{NoOptions, OptionalBody};
use crate::problem::{ApiError, Problem, RefusalsOfOne, RefusalsOfOptions};
use crate::schemas::OrderIdText;

/// Cancel an order before its processing starts.
///
/// Cancelling a cancelled order again succeeds and changes nothing. The call has no options: a body other than `{}` is refused.
#[utoipa::path(
    post, path = "/orders/{order_id}/cancel", tag = "orders", security(("token" = ["orders/write"])),
    params(("order_id" = inline(OrderIdText), Path, description = "The order's identifier")),
    responses(
        (status = 200, body = OrderView, description = "The order is cancelled"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Processing has started"),
        RefusalsOfOptions, RefusalsOfOne,
    )
)]
pub async fn cancel(
    call: Call,
    caller: Caller,
    OrderPath(order_id): OrderPath,
    _: OptionalBody<NoOptions>,
) -> Result<Json<OrderView>, ApiError> {
    let user = caller.writes_only_for()?;
    let order_ids = [order_id];
    let is_cancelled = call.store.cancel(&order_ids, user, caller.actor()).await? > 0;
    let order = find(&call, user, &order_ids[0]).await?;
    if !is_cancelled && order.status != Status::Cancelled {
        let detail = format!("The order is {}. A client can cancel only a pending order.", order.status);
        return Err(ApiError::Conflict(detail));
    }
    // A repeat changes nothing. Its caller may be another one.
    tracing::info!(order.id = %order.order_id, caller = caller.user_id().as_str(), is_repeat = !is_cancelled, "cancelled the order");
    Ok(Json(order.into()))
}
