//! `POST /orders/{order_id}/retry` and `POST /orders/retry`

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use serde::{Deserialize, Serialize};
use shared::db::active::ToEnqueue;
use shared::db::history::Actor;
use shared::db::retry::{Cause, FailedFilter};
use shared::order::{OrderId, Status, UserId};
use shared::view::OrderView;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::create::enqueue;
use super::read::{OrderPath, find};
use super::selection::check_options;
use crate::call::Call;
use crate::caller::Admin;
use crate::json::{NoOptions, OptionalBody};
use crate::problem::{ApiError, Problem, RefusalsOfOne, RefusalsOfOptions};
use crate::schemas::OrderIdText;

/// The most causes that a report names.
const MAX_CAUSES: i64 = 20;

/// Process a failed order again.
///
/// Retrying a pending order succeeds and changes nothing. If the answer got lost, read the order's history before you repeat the call:
/// a repeat is refused with 409 while the order is processed, and begins a second retry if the order has failed again. The call has no
/// options: a body other than `{}` is refused.
#[utoipa::path(
    post, path = "/orders/{order_id}/retry", tag = "operation", security(("token" = ["orders/admin"])),
    params(("order_id" = inline(OrderIdText), Path, description = "The order's identifier")),
    responses(
        (status = 200, body = OrderView, description = "The order is pending again"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The order is neither failed nor pending"),
        RefusalsOfOptions, RefusalsOfOne,
    )
)]
pub async fn retry(
    call: Call,
    Admin(caller): Admin,
    OrderPath(order_id): OrderPath,
    _: OptionalBody<NoOptions>,
) -> Result<Json<OrderView>, ApiError> {
    let order_ids = [order_id];
    let retried = call.store.retry(&order_ids, Duration::ZERO, caller.actor()).await?;
    let order = find(&call, None, &order_ids[0]).await?;
    if order.status == Status::Pending {
        // A repeat sends the message again, because the first call may have failed before it did.
        let active = call.store.find_active(&order_ids).await?;
        if let Some(active) = active.first().filter(|active| !active.is_scheduled) {
            enqueue(&call, &order, active.order.message()).await;
        }
    }
    if !retried.is_empty() {
        tracing::info!(order.id = %order.order_id, caller = caller.user_id().as_str(), "retried the order");
    } else if order.status != Status::Pending {
        let detail = format!("The order is {}. An operator can retry only a failed order.", order.status);
        return Err(ApiError::Conflict(detail));
    }
    Ok(Json(order.into()))
}

/// The options of a retry: a filter on failed orders, and the pace. An absent criterion matches every order.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({"dry_run": true, "failed_from": "2026-01-05T09:00:00Z", "cause": "did not answer in time", "limit": 100, "per_second": 10})))]
#[serde(deny_unknown_fields, default)]
pub struct RetryOptions {
    /// Whether to change nothing and only count.
    dry_run: bool,
    /// The status of the orders to retry: `failed` is the one that allows it.
    status: Retryable,
    /// Retry these orders.
    #[schema(value_type = Option<Vec<OrderIdText>>, inline, min_items = 1, max_items = 1000)]
    order_ids: Option<Vec<OrderId>>,
    /// Retry orders that were created at this time or later.
    #[serde(with = "shared::timestamp::option")]
    created_from: Option<OffsetDateTime>,
    /// Retry orders that were created before this time.
    #[serde(with = "shared::timestamp::option")]
    created_before: Option<OffsetDateTime>,
    /// Retry orders that failed at this time or later.
    #[serde(with = "shared::timestamp::option")]
    failed_from: Option<OffsetDateTime>,
    /// Retry orders that failed before this time.
    #[serde(with = "shared::timestamp::option")]
    failed_before: Option<OffsetDateTime>,
    /// Retry orders of this user.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    user_id: Option<UserId>,
    /// Retry orders whose `failure` contains this text.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    cause: Option<String>,
    /// The most orders to retry, oldest first.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    limit: i64,
    /// The number of orders that fall due each second.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    per_second: u32,
}

impl RetryOptions {
    fn filter(self) -> FailedFilter {
        let Self { order_ids, created_from, created_before, failed_from, failed_before, user_id, cause, .. } = self;
        FailedFilter { order_ids, created_from, created_before, failed_from, failed_before, user_id, cause }
    }
}

/// A status that allows a retry.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = RetryableStatus)]
#[serde(rename_all = "lowercase")]
enum Retryable {
    Failed,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            dry_run: true,
            status: Retryable::Failed,
            order_ids: None,
            created_from: None,
            created_before: None,
            failed_from: None,
            failed_before: None,
            user_id: None,
            cause: None,
            limit: 100,
            per_second: 10,
        }
    }
}

/// The result of a retry of many orders, or of its dry run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"dry_run": true, "matched": 2, "retried": 0, "causes": [{"failure": "given up after 12 attempts: the fulfilment endpoint did not answer in time", "orders": 2}]})))]
pub struct RetryReport {
    /// Whether this was a dry run, which changes nothing.
    dry_run: bool,
    /// The number of failed orders that matched the filter before any was retried.
    matched: i64,
    /// The number of orders that are pending again.
    retried: usize,
    /// The causes of their failures, the most frequent first, at most 20.
    #[schema(inline)]
    causes: Vec<CauseView>,
}

/// A cause of failures.
#[derive(Debug, Serialize, ToSchema)]
struct CauseView {
    /// The orders' `failure`.
    failure: String,
    /// The number of orders that have it.
    orders: i64,
}

/// Process failed orders again, at a bounded rate.
///
/// Without `"dry_run": false` the call changes nothing and only counts the matching orders and their causes. A call retries the
/// oldest `limit` orders. Repeat it while `matched` exceeds `retried`, with `failed_before` set to the time of the first call: orders that
/// fail again are the oldest, and would be retried again and again.
#[utoipa::path(
    post, path = "/orders/retry", tag = "operation", security(("token" = ["orders/admin"])),
    request_body = Option<RetryOptions>,
    responses(
        (status = 200, body = RetryReport, description = "The changes, or the count of a dry run"),
        RefusalsOfOptions,
    )
)]
pub async fn retry_many(
    call: Call,
    Admin(caller): Admin,
    OptionalBody(options): OptionalBody<RetryOptions>,
) -> Result<Json<RetryReport>, ApiError> {
    let RetryOptions { dry_run, limit, per_second, .. } = options;
    check_options(options.order_ids.as_deref(), limit, per_second, options.cause.as_deref())?;
    let filter = options.filter();
    let (matched, causes) = call.store.count_failed(&filter, MAX_CAUSES).await?;
    let mut retried = 0;
    if !dry_run && matched > 0 {
        let order_ids = call.store.find_failed(&filter, limit).await?;
        retried = retry_paced(&call, &order_ids, per_second, caller.actor()).await?.len();
    }
    // The log leaves out the user and the text of the filter: they are users' data.
    let FailedFilter { failed_from, failed_before, .. } = filter;
    let (of_one_user, by_cause) = (filter.user_id.is_some(), filter.cause.is_some());
    tracing::info!(
        caller = caller.user_id().as_str(),
        dry_run,
        ?failed_from,
        ?failed_before,
        of_one_user,
        by_cause,
        matched,
        retried,
        "retried failed orders"
    );
    Ok(Json(RetryReport { dry_run, matched, retried, causes: causes.into_iter().map(CauseView::from).collect() }))
}

/// Makes failed orders pending, with `per_second` due each second, and enqueues them. Returns those that are active afterwards.
pub async fn retry_paced(
    call: &Call,
    order_ids: &[OrderId],
    per_second: u32,
    actor: Actor<'_>,
) -> Result<HashSet<OrderId>, ApiError> {
    let interval = Duration::from_secs(1) / per_second.max(1);
    let retried = call.store.retry(order_ids, interval, actor).await?;
    let mut pending: HashSet<_> = retried.iter().map(|order| order.order_id.clone()).collect();
    let others: Vec<_> = order_ids.iter().filter(|order_id| !pending.contains(order_id)).cloned().collect();
    // If the answer of the statement got lost, it was sent again, and found that no order is failed any more.
    let active = if others.is_empty() { Ok(Vec::new()) } else { call.store.find_active(&others).await };
    let waiting = active.iter().flatten().filter(|active| active.needs_message()).map(|active| &active.order);
    // The orders that are pending again get their messages even if the others could not be read.
    let messages: Vec<_> = retried.iter().chain(waiting).map(ToEnqueue::message).collect();
    let unsent = call.enqueue(&messages).await;
    if unsent > 0 {
        tracing::error!(unsent, "could not enqueue retried orders; the sweeper will retry");
    }
    pending.extend(active?.into_iter().map(|active| active.order.order_id));
    Ok(pending)
}

impl From<Cause> for CauseView {
    fn from(Cause { failure, orders }: Cause) -> Self {
        Self { failure, orders }
    }
}
