//! Clients' statements on existing orders: read, list, cancel.

use rust_decimal::Decimal;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::ends::Announce;
use super::history::Actor;
use super::{Db, DbError};
use crate::order::{Amount, Currency, Metadata, Order, OrderId, Status, UserId};

/// Reads an order. Returns `None` if there is none, or if it is not `tenant`'s.
pub async fn get(db: &Db, order_id: &OrderId, tenant: Option<&UserId>) -> Result<Option<Order>, DbError> {
    let rows = db
        .query(
            &format!("SELECT {COLUMNS} FROM order_states WHERE order_id = $1 AND ($2::text IS NULL OR user_id = $2)"),
            &[(&order_id.as_str(), Type::TEXT), (&tenant.map(UserId::as_str), Type::TEXT)],
        )
        .await?;
    rows.first().map(order).transpose()
}

/// Reads an order's status and, while it is active, the seconds until it is due, or 0 while a worker holds it.
pub async fn get_status(
    db: &Db,
    order_id: &OrderId,
    tenant: Option<&UserId>,
) -> Result<Option<(Status, Option<f64>)>, DbError> {
    let rows = db
        .query(
            "SELECT status,
                CASE WHEN claim IS NOT NULL THEN 0
                    WHEN due_at IS NOT NULL THEN greatest(0, extract(epoch FROM due_at - now())) END::float8 AS due_in_seconds
            FROM order_states WHERE order_id = $1 AND ($2::text IS NULL OR user_id = $2)",
            &[(&order_id.as_str(), Type::TEXT), (&tenant.map(UserId::as_str), Type::TEXT)],
        )
        .await?;
    rows.first().map(|row| Ok((status(row)?, row.try_get("due_in_seconds")?))).transpose()
}

/// A filter on the orders of a list.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// Orders in this status.
    pub status: Option<Status>,
    /// The orders of this user.
    pub user_id: Option<&'a UserId>,
    /// These orders, a hundred at most.
    pub order_ids: Option<&'a [OrderId]>,
    /// Orders that were created at this time or later.
    pub created_from: Option<OffsetDateTime>,
    /// Orders that were created before this time.
    pub created_before: Option<OffsetDateTime>,
    /// Failed orders whose `failure` contains this text.
    pub cause: Option<&'a str>,
    /// Orders after this position in the list, which runs from newest to oldest.
    pub after: Option<&'a Position>,
}

/// The position of an order in the list. Its time has microseconds, as in PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// When the order was created.
    pub created_at: OffsetDateTime,
    /// The order's identifier, which sorts orders of the same microsecond.
    pub order_id: OrderId,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The newest orders that match the filter.
    pub orders: Vec<Order>,
    /// The position at which the next page begins; `None` at the end of the list.
    pub next: Option<Position>,
}

/// The most orders read for a page whose orders have no index of their own.
const MAX_SCANNED: i64 = 10_000;

/// Reads the newest `limit` orders that match the filter.
///
/// The work is bounded, however few orders match. Active orders come from `order_work`; failed and cancelled ones have an index.
/// For completed orders, for one user's orders of one status, and for a cause, this reads the next [`MAX_SCANNED`] orders (for a
/// cause the next failed ones) and picks the matches. Such a page can hold fewer than `limit` orders, or none, and `next` is the
/// position to continue from. A range of times bounds the scan of the same index.
pub async fn list(db: &Db, filter: &Filter<'_>, limit: i64) -> Result<Page, DbError> {
    let is_scan = filter.is_scan();
    // One order more than `limit` shows whether there is a next page.
    let most = limit + 1;
    let sql = format!(
        "SELECT {LISTED} FROM ({} LIMIT $4) AS candidate JOIN order_states AS s USING (order_id) {}
        ORDER BY candidate.created_at DESC, candidate.order_id DESC LIMIT $5",
        filter.candidates(),
        filter.picked(),
    );
    let rows = filter.query(db, &sql, if is_scan { MAX_SCANNED } else { most }, most).await?;
    let mut orders: Vec<_> = rows.iter().map(order).collect::<Result<_, _>>()?;
    let has_more = orders.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    orders.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = match orders.last() {
        Some(last) if has_more => Some(Position { created_at: last.created_at, order_id: last.order_id.clone() }),
        _ if is_scan && filter.order_ids.is_none() => filter.end_of_scan(db).await?,
        _ => None,
    };
    Ok(Page { orders, next })
}

impl Filter<'_> {
    /// Whether no index holds exactly the list's orders, so that others are read too.
    fn is_scan(&self) -> bool {
        self.status == Some(Status::Completed)
            || self.status.is_some() && self.user_id.is_some()
            || self.order_ids.is_some()
            || self.cause.is_some()
    }

    /// Picks the matches of a scan.
    fn picked(&self) -> String {
        let by_status = self.status.filter(|_| self.is_scan()).map(|_| "s.status = $6");
        let by_cause = self.cause.map(|_| "strpos(s.failure, $10) > 0");
        all_of(&by_status.into_iter().chain(by_cause).collect::<Vec<_>>())
    }

    /// The end of the range of times, unless the page begins before it anyway. Two upper bounds of one index would make the scan
    /// begin at the first, and read all orders between them.
    fn upper_bound(&self) -> Option<OffsetDateTime> {
        self.created_before.filter(|before| self.after.is_none_or(|after| *before <= after.created_at))
    }

    /// Selects the identifiers of the list, in its order, from the index that has them. Identifiers that the caller names are selected
    /// without an order, so that only the primary key can serve them.
    fn candidates(&self) -> String {
        let is_active = self.status.is_some_and(Status::is_active) && !self.is_scan();
        let table = if is_active { "order_work" } else { "orders" };
        let mut conditions = match self.status {
            _ if self.cause.is_some() && self.user_id.is_none() && self.order_ids.is_none() => {
                vec!["failure IS NOT NULL"]
            }
            _ if self.is_scan() => vec![],
            Some(Status::Pending) => vec!["started_at IS NULL"],
            Some(Status::Processing) => vec!["started_at IS NOT NULL"],
            Some(Status::Failed) => vec!["failure IS NOT NULL"],
            Some(Status::Cancelled) => vec!["cancelled"],
            Some(Status::Completed) | None => vec![],
        };
        conditions.extend(self.user_id.map(|_| "user_id = $1"));
        conditions.extend(self.order_ids.map(|_| "order_id = ANY ($7)"));
        conditions.extend(self.created_from.map(|_| "created_at >= $8"));
        conditions.extend(match (self.upper_bound(), self.after) {
            (Some(_), _) => Some("created_at < $9"),
            (None, Some(_)) => Some("(created_at, order_id) < ($2, $3)"),
            (None, None) => None,
        });
        let order = if self.order_ids.is_some() { "" } else { "ORDER BY created_at DESC, order_id DESC" };
        format!("SELECT order_id, created_at FROM {table} {} {order}", all_of(&conditions))
    }

    /// The last order of a scan: the next page starts after it. `None` if the scan reached the end of the list.
    async fn end_of_scan(&self, db: &Db) -> Result<Option<Position>, DbError> {
        let sql = format!("{} OFFSET $4 LIMIT $5", self.candidates());
        let rows = self.query(db, &sql, MAX_SCANNED - 1, 1).await?;
        let position = |row: &Row| Ok(Position { created_at: row.try_get("created_at")?, order_id: order_id(row)? });
        rows.first().map(position).transpose()
    }

    async fn query(&self, db: &Db, sql: &str, fourth: i64, fifth: i64) -> Result<Vec<Row>, DbError> {
        let order_ids: Option<Vec<_>> = self.order_ids.map(|ids| ids.iter().map(OrderId::as_str).collect());
        let params: [super::Param; 10] = [
            (&self.user_id.map(UserId::as_str), Type::TEXT),
            (&self.after.map(|position| position.created_at), Type::TIMESTAMPTZ),
            (&self.after.map(|position| position.order_id.as_str()), Type::TEXT),
            (&fourth, Type::INT8),
            (&fifth, Type::INT8),
            (&self.status.map(Status::as_str), Type::TEXT),
            (&order_ids, Type::TEXT_ARRAY),
            (&self.created_from, Type::TIMESTAMPTZ),
            (&self.upper_bound(), Type::TIMESTAMPTZ),
            (&self.cause, Type::TEXT),
        ];
        db.query(sql, &params).await
    }
}

/// A `WHERE` with all of the conditions; nothing if there are none.
fn all_of(conditions: &[&str]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}

/// Cancels an order that is still pending, counts it, and records who did it. Returns whether it did.
///
/// Conflicts: the order stays unchanged if a worker has claimed or ended it first, or if it is missing or not `tenant`'s.
pub async fn cancel(
    db: &Db,
    order_id: &OrderId,
    tenant: Option<&UserId>,
    actor: Actor<'_>,
    announce: Announce,
) -> Result<bool, DbError> {
    let rows = db
        .query(
            &format!(
                "WITH held AS (
                SELECT order_id FROM order_work WHERE order_id = $1 AND started_at IS NULL FOR UPDATE
            ), cancelled AS (
                UPDATE orders AS o SET cancelled = true, finished_at = now()
                FROM held
                WHERE o.order_id = held.order_id AND o.order_id = $1 AND ($2::text IS NULL OR o.user_id = $2)
                RETURNING o.order_id{}
            ), done AS (
                DELETE FROM order_work AS w USING cancelled AS c WHERE w.order_id = c.order_id AND w.order_id = $1
            ), counted AS (
                INSERT INTO order_outcomes (minute, cancelled) SELECT date_trunc('minute', now()), 1 FROM cancelled
            ), recorded AS (
                INSERT INTO order_events (order_id, event, subject, client) SELECT order_id, 'cancelled', $3, $4 FROM cancelled
            ){}
            SELECT FROM cancelled",
                announce.only(", o.retries"),
                announce.keep("cancelled")
            ),
            &[
                (&order_id.as_str(), Type::TEXT),
                (&tenant.map(UserId::as_str), Type::TEXT),
                (&actor.subject.as_str(), Type::TEXT),
                (&actor.client, Type::TEXT),
            ],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// The columns of `order_states` that [`order`] reads.
pub(super) const COLUMNS: &str = "order_id, user_id, item_ids, total_amount, currency, metadata::text AS metadata, \
    process_after, status, created_at, started_at, finished_at, attempts, failure";
/// The same columns, qualified: for a query with another relation that has some of the names too.
const LISTED: &str = "s.order_id, s.user_id, s.item_ids, s.total_amount, s.currency, s.metadata::text AS metadata, \
    s.process_after, s.status, s.created_at, s.started_at, s.finished_at, s.attempts, s.failure";

pub(super) fn order(row: &Row) -> Result<Order, DbError> {
    Ok(Order {
        order_id: order_id(row)?,
        user_id: row.try_get("user_id")?,
        item_ids: row.try_get("item_ids")?,
        total_amount: amount(row)?,
        metadata: metadata(row)?,
        process_after: row.try_get("process_after")?,
        status: status(row)?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        attempts: row.try_get("attempts")?,
        failure: row.try_get("failure")?,
    })
}

fn amount(row: &Row) -> Result<Amount, DbError> {
    let code: &str = row.try_get("currency")?;
    let currency = Currency::stored(code).ok_or_else(|| DbError::Corrupt(format!("currency {code}")))?;
    Ok(Amount::stored(row.try_get::<_, Decimal>("total_amount")?, currency))
}

fn metadata(row: &Row) -> Result<Metadata, DbError> {
    Metadata::stored(row.try_get("metadata")?)
        .ok_or_else(|| DbError::Corrupt("metadata is no object of strings".to_owned()))
}

pub(super) fn status(row: &Row) -> Result<Status, DbError> {
    let text: &str = row.try_get("status")?;
    text.parse().map_err(|_| DbError::Corrupt(format!("status {text}")))
}

pub(super) fn order_id(row: &Row) -> Result<OrderId, DbError> {
    let text: &str = row.try_get("order_id")?;
    text.parse().map_err(|_| DbError::Corrupt(format!("order_id {text}")))
}
