//! `POST /dead-letters/redrive`

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use serde::{Deserialize, Serialize};
use shared::db::history::Actor;
use shared::error::Chain;
use shared::order::OrderId;
use shared::queue::Received;
use utoipa::ToSchema;

use crate::call::Call;
use crate::caller::Admin;
use crate::json::OptionalBody;
use crate::orders::retry::retry_paced;
use crate::orders::selection::check_options;
use crate::problem::{ApiError, RefusalsOfOptions};

/// How long the messages of a call are invisible to other calls: longer than a call can take.
const INVISIBLE: Duration = Duration::from_mins(1);

/// The options of a redrive.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({"dry_run": true, "limit": 100, "per_second": 10})))]
#[serde(deny_unknown_fields, default)]
pub struct RedriveOptions {
    /// Whether to change nothing and only count.
    dry_run: bool,
    /// The most messages to redrive.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    limit: i64,
    /// The number of orders that fall due each second.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    per_second: u32,
}

impl Default for RedriveOptions {
    fn default() -> Self {
        Self { dry_run: true, limit: 100, per_second: 10 }
    }
}

/// The result of a redrive, or the messages that a dry run found.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(examples(json!({"dry_run": true, "found": 3, "unreadable": 1, "retried": 0, "requeued": 0, "claimed": 0, "ended": 0})))]
pub struct RedriveReport {
    /// Whether this was a dry run, which changes nothing.
    dry_run: bool,
    /// Dead letters that the call received.
    found: usize,
    /// Dead letters that hold no order's identifier. They stay in the queue.
    unreadable: usize,
    /// Failed orders that are pending again.
    retried: usize,
    /// Active orders that got a new message.
    requeued: usize,
    /// Active orders that a worker is processing. Their letters stay in the queue, because the worker may be about to give them up.
    claimed: usize,
    /// Orders that have ended or do not exist.
    ended: usize,
}

/// Process the orders in the dead-letter queue again, at a bounded rate.
///
/// A failed order is retried. An active order gets a new message, unless a worker is processing it. The message of any other order
/// is deleted. Without `"dry_run": false` the call changes nothing and only counts.
#[utoipa::path(
    post, path = "/dead-letters/redrive", tag = "operation", security(("token" = ["orders/admin"])),
    request_body = Option<RedriveOptions>,
    responses(
        (status = 200, body = RedriveReport, description = "The changes, or the count of a dry run"),
        RefusalsOfOptions,
    )
)]
pub async fn redrive(
    call: Call,
    Admin(caller): Admin,
    OptionalBody(options): OptionalBody<RedriveOptions>,
) -> Result<Json<RedriveReport>, ApiError> {
    check_options(None, options.limit, options.per_second, None)?;
    let letters = Letters::new(receive(&call, options.limit).await?);
    let report = if options.dry_run {
        let orders: Vec<_> = letters.orders.iter().collect();
        letters.release(&call, &orders).await;
        RedriveReport { dry_run: true, ..letters.counted() }
    } else {
        letters.redrive(&call, options.per_second, caller.actor()).await?
    };
    tracing::info!(caller = caller.user_id().as_str(), ?report, "redrove dead letters");
    Ok(Json(report))
}

/// Receives up to `limit` messages within a third of the call's time, and leaves the rest to the database and the sends. Other calls do
/// not see them for a minute.
async fn receive(call: &Call, limit: i64) -> Result<Vec<Received>, ApiError> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let deadline = call.deadline.share(1, 3);
    let mut letters = Vec::new();
    while letters.len() < limit {
        match call.api.dead_letters.receive(limit - letters.len(), INVISIBLE, deadline).await {
            Ok(received) if received.is_empty() => break,
            Ok(received) => letters.extend(received),
            // This call redrives the messages that it has. Another call receives the rest.
            Err(error) if !letters.is_empty() => {
                tracing::warn!(error = %Chain(&error), received = letters.len(), "could not receive all dead letters of a call");
                break;
            }
            Err(error) => return Err(ApiError::QueueUnavailable(error)),
        }
    }
    Ok(letters)
}

/// Dead letters, split into those with an order's identifier and the others.
struct Letters {
    orders: Vec<Letter>,
    unreadable: Vec<String>,
}

/// A dead letter of an order.
struct Letter {
    order_id: OrderId,
    receipt: String,
}

impl Letters {
    fn new(letters: Vec<Received>) -> Self {
        let mut sorted = Self { orders: Vec::new(), unreadable: Vec::new() };
        for Received { body, receipt } in letters {
            match body.parse() {
                Ok(order_id) => sorted.orders.push(Letter { order_id, receipt }),
                Err(_) => sorted.unreadable.push(receipt),
            }
        }
        sorted
    }

    fn counted(&self) -> RedriveReport {
        let unreadable = self.unreadable.len();
        RedriveReport { found: self.orders.len() + unreadable, unreadable, ..RedriveReport::default() }
    }

    /// Retries and enqueues the orders first and deletes the messages afterwards. If this call fails in between, the next one repeats it
    /// without harm.
    async fn redrive(&self, call: &Call, per_second: u32, actor: Actor<'_>) -> Result<RedriveReport, ApiError> {
        let mut order_ids: Vec<_> = self.orders.iter().map(|letter| letter.order_id.clone()).collect();
        order_ids.sort();
        order_ids.dedup();
        let active = call.store.find_active(&order_ids).await?;
        let active_ids: HashSet<_> = active.iter().map(|active| &active.order.order_id).collect();
        let others: Vec<_> = order_ids.iter().filter(|order_id| !active_ids.contains(order_id)).cloned().collect();
        let retried = retry_paced(call, &others, per_second, actor).await?;
        let waiting: Vec<_> = active.iter().filter(|order| order.needs_message()).map(|active| &active.order).collect();
        let messages: Vec<_> = waiting.iter().map(|order| order.message()).collect();
        let unsent = call.api.queue.send_all(&messages, call.deadline.share(1, 2)).await;
        let requeued = waiting.len() - unsent.len();
        let claimed = active.iter().filter(|active| active.is_claimed).map(|active| &active.order.order_id);
        let claimed: HashSet<_> = claimed.collect();
        let unsent: HashSet<_> = unsent.into_iter().map(|index| &waiting[index].order_id).collect();
        let stays = |letter: &&Letter| claimed.contains(&letter.order_id) || unsent.contains(&letter.order_id);
        let (stay, done): (Vec<_>, Vec<_>) = self.orders.iter().partition(stays);
        let receipts: Vec<_> = done.into_iter().map(|letter| letter.receipt.clone()).collect();
        call.api.dead_letters.delete_all(&receipts, call.deadline).await;
        self.release(call, &stay).await;
        let ended = others.len() - retried.len();
        Ok(RedriveReport { retried: retried.len(), requeued, claimed: claimed.len(), ended, ..self.counted() })
    }

    /// Makes these letters visible again, and those without an order's identifier.
    async fn release(&self, call: &Call, letters: &[&Letter]) {
        let stay = self.unreadable.iter().chain(letters.iter().map(|letter| &letter.receipt));
        let visible: Vec<_> = stay.map(|receipt| (receipt.clone(), Duration::ZERO)).collect();
        call.api.dead_letters.set_visibility_all(&visible, call.deadline).await;
    }
}
