//! `POST /orders/cancel`

use std::time::Duration;

use axum::Json;
use serde::{Deserialize, Serialize};
use shared::db::cancel::PendingFilter;
use shared::error::Chain;
use shared::order::{OrderId, UserId};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;

use super::selection::check_options;
use crate::call::Call;
use crate::caller::{Admin, Caller};
use crate::json::OptionalBody;
use crate::problem::{ApiError, RefusalsOfOptions};
use crate::schemas::OrderIdText;

/// The options of a cancel: a filter on pending orders, and the pace. An absent criterion matches every order.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({"dry_run": true, "created_from": "2026-01-05T09:00:00Z", "user_id": "alice", "limit": 100, "per_second": 100})))]
#[serde(deny_unknown_fields, default)]
pub struct CancelOptions {
    /// Whether to change nothing and only count.
    dry_run: bool,
    /// The status of the orders to cancel: `pending` is the one that allows it.
    status: Cancellable,
    /// Cancel these orders.
    #[schema(value_type = Option<Vec<OrderIdText>>, inline, min_items = 1, max_items = 1000)]
    order_ids: Option<Vec<OrderId>>,
    /// Cancel orders that were created at this time or later.
    #[serde(with = "shared::timestamp::option")]
    created_from: Option<OffsetDateTime>,
    /// Cancel orders that were created before this time.
    #[serde(with = "shared::timestamp::option")]
    created_before: Option<OffsetDateTime>,
    /// Cancel orders of this user.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    user_id: Option<UserId>,
    /// The most orders to cancel, oldest first.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    limit: i64,
    /// The most orders to cancel each second.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    per_second: u32,
}

/// A status that allows a cancel.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = CancellableStatus)]
#[serde(rename_all = "lowercase")]
enum Cancellable {
    Pending,
}

impl Default for CancelOptions {
    fn default() -> Self {
        Self {
            dry_run: true,
            status: Cancellable::Pending,
            order_ids: None,
            created_from: None,
            created_before: None,
            user_id: None,
            limit: 100,
            per_second: 100,
        }
    }
}

impl CancelOptions {
    fn filter(self) -> PendingFilter {
        let Self { order_ids, created_from, created_before, user_id, .. } = self;
        PendingFilter { order_ids, created_from, created_before, user_id }
    }
}

/// The result of a cancel of many orders, or of its dry run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"dry_run": true, "matched": 20, "cancelled": 0})))]
pub struct CancelReport {
    /// Whether this was a dry run, which changes nothing.
    dry_run: bool,
    /// The number of pending orders that matched the filter before any was cancelled.
    matched: i64,
    /// The number of orders that are cancelled now.
    cancelled: usize,
}

/// Cancel pending orders, at a bounded rate.
///
/// Without `"dry_run": false` the call changes nothing and only counts the matching orders. A call cancels the oldest `limit` orders,
/// or as many as it can within half of its time at the rate. Repeat it while `matched` exceeds `cancelled`.
#[utoipa::path(
    post, path = "/orders/cancel", tag = "operation", security(("token" = ["orders/admin"])),
    request_body = Option<CancelOptions>,
    responses(
        (status = 200, body = CancelReport, description = "The changes, or the count of a dry run"),
        RefusalsOfOptions,
    )
)]
pub async fn cancel_many(
    call: Call,
    Admin(caller): Admin,
    OptionalBody(options): OptionalBody<CancelOptions>,
) -> Result<Json<CancelReport>, ApiError> {
    let CancelOptions { dry_run, limit, per_second, .. } = options;
    check_options(options.order_ids.as_deref(), limit, per_second, None)?;
    let filter = options.filter();
    let matched = call.store.count_pending(&filter).await?;
    let mut cancelled = 0;
    if !dry_run && matched > 0 {
        let order_ids = call.store.find_pending(&filter, limit).await?;
        cancelled = cancel_paced(&call, &caller, &order_ids, per_second).await?;
    }
    // The log leaves out the user: it is a user's data.
    let PendingFilter { created_from, created_before, .. } = filter;
    let (caller, of_one_user) = (caller.user_id().as_str(), filter.user_id.is_some());
    tracing::info!(
        caller,
        dry_run,
        ?created_from,
        ?created_before,
        of_one_user,
        matched,
        cancelled,
        "cancelled pending orders"
    );
    Ok(Json(CancelReport { dry_run, matched, cancelled }))
}

/// Cancels the orders, `per_second` in a statement, one statement a second. Stops after half of the call's time: another call continues.
async fn cancel_paced(call: &Call, caller: &Caller, order_ids: &[OrderId], per_second: u32) -> Result<usize, ApiError> {
    let half = call.deadline.share(1, 2);
    let (mut cancelled, mut next) = (0, Instant::now());
    for chunk in order_ids.chunks(usize::try_from(per_second).unwrap_or(usize::MAX)) {
        if next.saturating_duration_since(Instant::now()) >= half.remaining() {
            break;
        }
        sleep_until(next).await;
        next += Duration::from_secs(1);
        // After a restore of the database only the log knows these orders. If an answer is lost, the call does not know which it cancelled.
        let order_ids = chunk.iter().map(OrderId::as_str).collect::<Vec<_>>().join(" ");
        tracing::info!(caller = caller.user_id().as_str(), order_ids, "cancelling pending orders");
        match call.store.cancel(chunk, None, caller.actor()).await {
            Ok(count) => cancelled += count,
            // These orders stay cancelled. Another call continues.
            Err(error) if cancelled > 0 => {
                tracing::warn!(error = %Chain(&error), cancelled, "could not cancel all orders of a call");
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(cancelled)
}
