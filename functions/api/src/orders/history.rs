//! `GET /orders/{order_id}/history`

use axum::Json;
use serde::Serialize;
use shared::db::history::{History, HistoryEvent, MAX_AUTOMATIC};
use shared::order::{Author, ChangeKind, UserId};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::read::OrderPath;
use crate::call::Call;
use crate::caller::Caller;
use crate::problem::{ApiError, RefusalsOfOne};
use crate::schemas::OrderIdText;

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
    /// The number of the attempt; for an end, the number of attempts until then.
    #[schema(minimum = 0, required)]
    attempt: Option<i32>,
    /// Why the attempt or the order failed.
    #[schema(required)]
    cause: Option<String>,
    /// The part that made the change.
    by: Author,
    /// The subject of the token, if a caller made the change. Without `orders/read.all` it is null unless it is the caller's own.
    #[schema(required)]
    subject: Option<String>,
    /// The client that the token was issued to, if the token names it. It is null whenever `subject` is.
    #[schema(required)]
    client: Option<String>,
}

/// Read an order's history: every change, and who made it.
///
/// The creation, cancels, and the start and the end since the last retry are always there. Failed attempts and requeues are recorded
/// until the order has 100 recorded events, retries until it has 200. A retry that is not recorded leaves out the start and the failure
/// before it. The order's creator is not recorded.
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
    let user = caller.reads_only_for()?;
    let history = call.store.read_history(&order_id, user).await?.ok_or(ApiError::NoSuchOrder)?;
    let truncated = history.events.len() >= MAX_AUTOMATIC;
    let mut changes = changes(history);
    if let Some(own) = user {
        for change in &mut changes {
            change.show_only(own);
        }
    }
    Ok(Json(HistoryView { order_id: order_id.to_string(), changes, truncated }))
}

/// The changes that an order's row and its events tell, oldest first.
fn changes(mut history: History) -> Vec<ChangeView> {
    let mut changes = vec![ChangeView::new(history.created_at, ChangeKind::Created)];
    changes.extend(history.events.drain(..).flat_map(ChangeView::of_event));
    if let Some(started_at) = history.started_at {
        changes.extend(run(started_at, history.finished_at, Some(history.attempts), history.failure));
    }
    // A stable sort: changes of the same moment stay in this order.
    changes.sort_by_key(|change| change.at);
    changes
}

/// The start of processing, and its end if it has ended. A cancelled order has neither: its cancel is an event.
fn run(
    started_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
    attempts: Option<i32>,
    failure: Option<String>,
) -> impl Iterator<Item = ChangeView> {
    let start = ChangeView { attempt: Some(1), ..ChangeView::new(started_at, ChangeKind::Started) };
    let change = if failure.is_some() { ChangeKind::Failed } else { ChangeKind::Completed };
    let end = |at| ChangeView { attempt: attempts, cause: failure, ..ChangeView::new(at, change) };
    std::iter::once(start).chain(finished_at.map(end))
}

impl ChangeView {
    fn new(at: OffsetDateTime, change: ChangeKind) -> Self {
        Self { at, change, attempt: None, cause: None, by: change.author(), subject: None, client: None }
    }

    /// The changes that an event tells. A retry also tells the start and the failure that it took back.
    fn of_event(event: HistoryEvent) -> Vec<Self> {
        let HistoryEvent { at, change, attempt, cause, undone, subject, client } = event;
        let own = Self { subject, client, ..Self::new(at, change) };
        match undone {
            Some((started_at, failed_at)) => run(started_at, Some(failed_at), attempt, cause).chain([own]).collect(),
            None => vec![Self { attempt, cause, ..own }],
        }
    }

    /// Hides another caller's identity.
    fn show_only(&mut self, own: &UserId) {
        if self.subject.as_deref() != Some(own.as_str()) {
            (self.subject, self.client) = (None, None);
        }
    }
}
