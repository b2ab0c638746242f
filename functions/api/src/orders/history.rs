//! `GET /orders/{order_id}/history`

use axum::Json;
use serde::Serialize;
use shared::db::history::{EventKind, History, HistoryEvent, MAX_AUTOMATIC};
use shared::order::{Status, UserId};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::parameters::OrderIdText;
use super::read::OrderPath;
use crate::call::Call;
use crate::caller::Caller;
use crate::problem::{ApiError, RefusalsOfOne};

/// The history of an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderHistory, examples(json!({"order_id": "order-1001", "changes": [
    {"at": "2026-01-05T09:29:55.123456Z", "change": "created", "attempt": null, "cause": null, "by": "caller", "subject": null, "client": null}
], "truncated": false})))]
pub struct HistoryView {
    /// The order's identifier.
    #[schema(example = "order-1001")]
    order_id: String,
    /// The changes of the order, oldest first.
    #[schema(inline)]
    changes: Vec<ChangeView>,
    /// Whether changes are missing: an order with 100 recorded events records no more failed attempts and requeues.
    truncated: bool,
}

/// A change of an order.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeView {
    /// When it happened.
    #[serde(with = "shared::timestamp")]
    at: OffsetDateTime,
    /// What happened.
    change: ChangeKind,
    /// The number of the attempt; of an end the number of attempts.
    #[schema(minimum = 0)]
    attempt: Option<i32>,
    /// Why the attempt or the order failed.
    cause: Option<String>,
    /// The part that made the change.
    by: Author,
    /// The subject of the token, if a caller made the change. Without `orders/read.all` it is null unless it is the caller's own.
    subject: Option<String>,
    /// The client that the token was issued to, if the token names it. It is null whenever `subject` is.
    client: Option<String>,
}

/// A kind of change.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = OrderChange)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    /// The order became durable.
    Created,
    /// Processing started.
    Started,
    /// An attempt ended without an outcome, and another follows.
    AttemptFailed,
    /// The sweeper sent another message, because the order's message was lost.
    Requeued,
    /// The queue did not take that message. The sweeper tries again.
    RequeueFailed,
    /// The order failed.
    Failed,
    /// An operator made the failed order pending again.
    Retried,
    /// The order was cancelled.
    Cancelled,
    /// The order was completed.
    Completed,
}

/// A part that changes orders.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ChangeAuthor)]
#[serde(rename_all = "lowercase")]
enum Author {
    /// A caller of the API.
    Caller,
    /// The processor.
    Processor,
    /// The sweeper.
    Sweeper,
}

/// Read an order's history: every change, and who made it.
///
/// Creation, starts and ends are always there. Failed attempts and requeues are recorded until the
/// order has 100 recorded events. The order's creator is not recorded.
#[utoipa::path(
    get, path = "/orders/{order_id}/history", tag = "orders", security(("token" = ["orders/read"])),
    params(("order_id" = inline(OrderIdText), Path, description = "The order's identifier")),
    responses((status = 200, body = HistoryView, description = "The history"), RefusalsOfOne)
)]
pub async fn read_history(
    call: Call,
    caller: Caller,
    OrderPath(order_id): OrderPath,
) -> Result<Json<HistoryView>, ApiError> {
    let tenant = caller.may_read()?;
    let history = call.store.read_history(&order_id, tenant).await?.ok_or(ApiError::NoSuchOrder)?;
    let truncated = history.events.len() >= MAX_AUTOMATIC;
    let mut changes = changes(history);
    if let Some(own) = tenant {
        for change in &mut changes {
            change.show_only(own);
        }
    }
    Ok(Json(HistoryView { order_id: order_id.to_string(), changes, truncated }))
}

/// The changes that an order's row and its events tell, oldest first.
fn changes(mut history: History) -> Vec<ChangeView> {
    let mut changes = vec![ChangeView::new(history.created_at, ChangeKind::Created, Author::Caller)];
    changes.extend(history.events.drain(..).flat_map(ChangeView::of_event));
    changes.extend(history.started_at.map(|at| ChangeView::new(at, ChangeKind::Started, Author::Processor).attempt(1)));
    changes.extend(end(history));
    // A stable sort: changes of the same moment stay in this order.
    changes.sort_by_key(|change| change.at);
    changes
}

/// The end of an order. A cancel has an event.
fn end(history: History) -> Option<ChangeView> {
    let change = match history.status {
        Status::Completed => ChangeKind::Completed,
        Status::Failed => ChangeKind::Failed,
        Status::Cancelled | Status::Pending | Status::Processing => return None,
    };
    let end = ChangeView::new(history.finished_at?, change, Author::Processor).attempt(history.attempts);
    Some(ChangeView { cause: history.failure, ..end })
}

impl ChangeView {
    fn new(at: OffsetDateTime, change: ChangeKind, by: Author) -> Self {
        Self { at, change, attempt: None, cause: None, by, subject: None, client: None }
    }

    fn attempt(self, attempt: i32) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    /// The changes that an event tells. A retry also tells the start and the failure that it took back.
    fn of_event(HistoryEvent { at, kind, subject, client }: HistoryEvent) -> Vec<Self> {
        let by_caller = |change| Self { subject, client, ..Self::new(at, change, Author::Caller) };
        match kind {
            EventKind::AttemptFailed { attempt, cause } => {
                let failed = Self::new(at, ChangeKind::AttemptFailed, Author::Processor).attempt(attempt);
                vec![Self { cause: Some(cause), ..failed }]
            }
            EventKind::Requeued => vec![Self::new(at, ChangeKind::Requeued, Author::Sweeper)],
            EventKind::RequeueFailed => vec![Self::new(at, ChangeKind::RequeueFailed, Author::Sweeper)],
            EventKind::Cancelled => vec![by_caller(ChangeKind::Cancelled)],
            EventKind::Retried { started_at, failed_at, attempts, failure } => {
                let started = Self::new(started_at, ChangeKind::Started, Author::Processor).attempt(1);
                let failed = Self::new(failed_at, ChangeKind::Failed, Author::Processor).attempt(attempts);
                vec![started, Self { cause: Some(failure), ..failed }, by_caller(ChangeKind::Retried)]
            }
        }
    }

    /// Hides another caller's identity.
    fn show_only(&mut self, own: &UserId) {
        if self.subject.as_deref() != Some(own.as_str()) {
            (self.subject, self.client) = (None, None);
        }
    }
}
