//! The history of an order: what its row tells, and the unusual from `order_events`.
//!
//! Creation, start and end are facts of the order's row and are not stored again, so an ordinary order has no event and costs
//! nothing. An event is inserted by the statement that makes the change, and so exists exactly if the change does.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{DbError, Param, Store, StoreError};
use crate::order::{ChangeKind, OrderId, UserId};

/// Failed attempts and requeues of an order are recorded until it has this many events.
pub const MAX_AUTOMATIC: usize = 100;
/// Retries are recorded until it has this many. The difference is kept for what people do.
pub(super) const MAX_RETRIED: usize = 200;

/// A condition: whether the order of the alias has fewer than `most` events. It reads at most 200 entries of an index.
pub(super) fn has_room(alias: &str, most: usize) -> String {
    format!("(SELECT count(*) FROM order_events AS kept WHERE kept.order_id = {alias}.order_id) < {most}")
}

/// A condition: whether a failed attempt or a requeue of the order of the alias is recorded. The database's owner may have deleted the
/// order without its work, and an event of no order would fail the statement for the others.
pub(super) fn is_recorded(alias: &str) -> String {
    let exists = format!("EXISTS (SELECT FROM orders AS o WHERE o.order_id = ANY (ARRAY[{alias}.order_id]))");
    format!("{} AND {exists}", has_room(alias, MAX_AUTOMATIC))
}

/// The caller that makes a change.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The subject of its token.
    pub subject: &'a UserId,
    /// The client that the token was issued to, if the token names it.
    pub client: Option<&'a str>,
}

/// The facts of an order's row that tell its history, and its events.
#[derive(Debug)]
pub struct History {
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When its processing started, since the last retry.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
    /// The number of attempts, since the last retry.
    pub attempts: i32,
    /// Why it failed.
    pub failure: Option<String>,
    /// Its recorded changes, oldest first.
    pub events: Vec<HistoryEvent>,
}

/// A recorded change.
#[derive(Debug)]
pub struct HistoryEvent {
    /// When it happened.
    pub at: OffsetDateTime,
    /// What happened.
    pub change: ChangeKind,
    /// The number of the failed attempt. A retry has the number of attempts until then.
    pub attempt: Option<i32>,
    /// The cause of the failed attempt. A retry has the failure that it took back.
    pub cause: Option<String>,
    /// When work had started and when the order had failed, before a retry took both back.
    pub undone: Option<(OffsetDateTime, OffsetDateTime)>,
    /// The subject of the caller's token, if a caller did it.
    pub subject: Option<String>,
    /// The client of the caller's token, if the token names one.
    pub client: Option<String>,
}

impl Store {
    /// Reads the cause of an order's last failed attempt; `None` if none is recorded since its last retry.
    pub async fn last_cause(&self, order_id: &OrderId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT CASE WHEN event = 'attempt_failed' THEN cause END AS cause FROM order_events
            WHERE order_id = $1 AND event IN ('attempt_failed', 'retried') ORDER BY at DESC LIMIT 1";
        let rows = self.query("read why an order failed", sql, &[(&order_id.as_str(), Type::TEXT)]).await?;
        Ok(rows.first(|row| Ok(row.try_get::<_, Option<String>>("cause")?))?.flatten())
    }

    /// Reads an order's history. Returns `None` if there is no such order, or if it is not `user`'s. Without a `user` it is any user's.
    pub async fn read_history(&self, order_id: &OrderId, user: Option<&UserId>) -> Result<Option<History>, StoreError> {
        let sql = "SELECT s.created_at, s.started_at, s.finished_at, s.attempts, s.failure, e.at, e.event, e.attempt, e.cause,
                e.started_at AS undone_start, e.finished_at AS undone_end, e.subject, e.client
            FROM order_states AS s LEFT JOIN order_events AS e ON e.order_id = s.order_id
            WHERE s.order_id = $1 AND ($2::text IS NULL OR s.user_id = $2)
            ORDER BY e.at";
        let params: [Param; 2] = [(&order_id.as_str(), Type::TEXT), (&user.map(UserId::as_str), Type::TEXT)];
        let rows = self.query("read an order's history", sql, &params).await?;
        let events: Vec<Option<HistoryEvent>> = rows.read(event)?;
        // Each row repeats the order's facts.
        let history = |row: &Row| {
            Ok(History {
                created_at: row.try_get("created_at")?,
                started_at: row.try_get("started_at")?,
                finished_at: row.try_get("finished_at")?,
                attempts: row.try_get("attempts")?,
                failure: row.try_get("failure")?,
                events: events.into_iter().flatten().collect(),
            })
        };
        rows.first(history)
    }
}

/// The event of a row; `None` if the order has no event.
fn event(row: &Row) -> Result<Option<HistoryEvent>, DbError> {
    let Some(name) = row.try_get::<_, Option<&str>>("event")? else { return Ok(None) };
    let (start, end): (Option<_>, Option<_>) = (row.try_get("undone_start")?, row.try_get("undone_end")?);
    Ok(Some(HistoryEvent {
        at: row.try_get("at")?,
        change: name.parse().map_err(|_| DbError::Corrupt(format!("event {name}")))?,
        attempt: row.try_get("attempt")?,
        cause: row.try_get("cause")?,
        undone: start.zip(end),
        subject: row.try_get("subject")?,
        client: row.try_get("client")?,
    }))
}
