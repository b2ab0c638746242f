//! `POST /dead-letters/redrive`

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use axum::Json;
use serde::{Deserialize, Serialize};
use shared::db::work;
use shared::order::OrderId;
use shared::queue::{Group, Message, Received};
use utoipa::ToSchema;

use crate::call::Call;
use crate::caller::Admin;
use crate::json::Options;
use crate::orders::retry::{check_pace, retry_paced};
use crate::problem::{ApiError, RefusalsOfOptions};

/// How long the messages that a call looks at are hidden from another call: longer than it can take.
const HIDDEN: Duration = Duration::from_mins(1);

/// How to empty the dead-letter queue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedriveOptions {
    /// Only say what would be done.
    dry_run: bool,
    /// How many messages at most.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    limit: i64,
    /// How many of the orders fall due each second.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "crate::json::whole")]
    per_second: u32,
}

impl Default for RedriveOptions {
    fn default() -> Self {
        Self { dry_run: true, limit: 100, per_second: 10 }
    }
}

/// What a redrive did, or how many messages it found.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct RedriveReport {
    /// Whether nothing was done.
    dry_run: bool,
    /// Dead letters that were looked at.
    found: usize,
    /// Those that no order can be read from; they stay.
    unreadable: usize,
    /// Orders that had failed and are pending again.
    retried: usize,
    /// Orders that were waiting for a message and got one.
    sent_again: usize,
    /// Orders that have ended, or that never were.
    done_with: usize,
}

/// Have the orders of the dead-letter queue processed once more, at a bounded rate.
///
/// An order that failed is retried, one that still waits gets a new message, and the message of one that wants nothing any
/// more is deleted. Without `"dry_run": false` nothing is done but to count.
#[utoipa::path(
    post, path = "/dead-letters/redrive", tag = "operation", security(("token" = ["orders/admin"])),
    request_body = Option<RedriveOptions>,
    responses(
        (status = 200, body = RedriveReport, description = "What was done, or found"),
        RefusalsOfOptions,
    )
)]
pub async fn redrive(
    api: Call,
    Admin(caller): Admin,
    Options(options): Options<RedriveOptions>,
) -> Result<Json<RedriveReport>, ApiError> {
    check_pace(options.limit, options.per_second)?;
    let letters = Letters::new(receive(&api, options.limit).await?);
    let report = if options.dry_run {
        RedriveReport { dry_run: true, ..letters.counted() }
    } else {
        letters.redrive(&api, options.per_second).await?
    };
    letters.give_back(&api, options.dry_run).await;
    tracing::info!(caller = caller.user_id().as_str(), ?report, "redrove dead letters");
    Ok(Json(report))
}

/// Receives up to `limit` messages, which other calls do not see for a minute, within half of the call's time.
async fn receive(api: &Call, limit: i64) -> Result<Vec<Received>, ApiError> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let deadline = api.deadline.share(1, 2);
    let mut letters = Vec::new();
    while letters.len() < limit {
        match api.dead_letters().receive(limit - letters.len(), HIDDEN, deadline).await {
            Ok(received) if received.is_empty() => break,
            Ok(received) => letters.extend(received),
            // This call works on the messages that it has; another call receives the rest.
            Err(_) if !letters.is_empty() => break,
            Err(error) => return Err(ApiError::QueueUnavailable(error)),
        }
    }
    Ok(letters)
}

/// Dead letters, by whether an order can be read from them.
struct Letters {
    orders: Vec<Letter>,
    unreadable: Vec<String>,
}

/// A dead letter of an order.
struct Letter {
    order_id: OrderId,
    receipt: String,
    group: Option<Group>,
}

impl Letters {
    fn new(letters: Vec<Received>) -> Self {
        let mut sorted = Self { orders: Vec::new(), unreadable: Vec::new() };
        for Received { body, receipt, group } in letters {
            match body.parse() {
                Ok(order_id) => sorted.orders.push(Letter { order_id, receipt, group }),
                Err(_) => sorted.unreadable.push(receipt),
            }
        }
        sorted
    }

    fn counted(&self) -> RedriveReport {
        let unreadable = self.unreadable.len();
        RedriveReport { found: self.orders.len() + unreadable, unreadable, ..RedriveReport::default() }
    }

    /// First the orders, then the messages: a call that is lost in between is repeated by the next, which does no harm.
    async fn redrive(&self, api: &Call, per_second: u32) -> Result<RedriveReport, ApiError> {
        let mut order_ids: Vec<_> = self.orders.iter().map(|letter| letter.order_id.clone()).collect();
        order_ids.sort();
        order_ids.dedup();
        let waiting = work::find_active(&api.db, &order_ids).await?;
        let retried = retry_paced(api, &order_ids, per_second).await?;
        let groups: HashMap<_, _> = self.orders.iter().map(|letter| (&letter.order_id, &letter.group)).collect();
        let group = |order_id| groups.get(order_id).copied().cloned().flatten();
        let messages: Vec<_> =
            waiting.iter().map(|(order_id, due_in)| Message::new(order_id, group(order_id), *due_in)).collect();
        let unsent = api.queue().send_all(&messages, api.deadline.share(1, 2)).await;
        let unsent: HashSet<_> = unsent.into_iter().map(|index| &waiting[index].0).collect();
        let handled = self.orders.iter().filter(|letter| !unsent.contains(&letter.order_id));
        let receipts: Vec<_> = handled.map(|letter| letter.receipt.clone()).collect();
        api.dead_letters().delete_all(&receipts, api.deadline).await;
        let active: HashSet<_> =
            waiting.iter().map(|(order_id, _)| order_id).chain(retried.iter().map(|order| &order.order_id)).collect();
        let done_with = order_ids.iter().filter(|order_id| !active.contains(order_id)).count();
        let sent_again = waiting.len() - unsent.len();
        Ok(RedriveReport { retried: retried.len(), sent_again, done_with, ..self.counted() })
    }

    /// Makes the messages that stay visible again.
    async fn give_back(&self, api: &Call, all: bool) {
        let of_orders = self.orders.iter().map(|letter| &letter.receipt).filter(|_| all);
        let stay = self.unreadable.iter().chain(of_orders);
        let visible: Vec<_> = stay.map(|receipt| (receipt.clone(), Duration::ZERO)).collect();
        api.dead_letters().set_visibility_all(&visible, api.deadline).await;
    }
}
