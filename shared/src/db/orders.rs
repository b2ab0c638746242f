//! Clients' statements on existing orders: read, list, cancel.

use rust_decimal::Decimal;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::ends::Announce;
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

/// The most orders read for a page whose status has no index.
const MAX_SCANNED: i64 = 10_000;

/// Reads the newest `limit` orders that match the filter.
///
/// The work is bounded, however few orders match. Active orders come from `order_work`; failed and cancelled ones have an index.
/// For completed orders, and for one user's orders of one status, this reads the next [`MAX_SCANNED`] orders and picks the
/// matches. Such a page can hold fewer than `limit` orders, or none, and `next` is the position to continue from.
pub async fn list(db: &Db, filter: &Filter<'_>, limit: i64) -> Result<Page, DbError> {
    let is_scan = filter.is_scan();
    // One order more than `limit` shows whether there is a next page.
    let most = limit + 1;
    let sql = format!(
        "SELECT {LISTED} FROM ({} LIMIT $4) AS candidate JOIN order_states AS s USING (order_id) {}
        ORDER BY candidate.created_at DESC, candidate.order_id DESC LIMIT $5",
        filter.candidates(),
        if is_scan { "WHERE s.status = $6" } else { "" },
    );
    let rows = filter.query(db, &sql, if is_scan { MAX_SCANNED } else { most }, most).await?;
    let mut orders: Vec<_> = rows.iter().map(order).collect::<Result<_, _>>()?;
    let has_more = orders.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    orders.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = match orders.last() {
        Some(last) if has_more => Some(Position { created_at: last.created_at, order_id: last.order_id.clone() }),
        _ if is_scan => filter.end_of_scan(db).await?,
        _ => None,
    };
    Ok(Page { orders, next })
}

impl Filter<'_> {
    /// Whether no index holds exactly the list's orders, so that others are read too.
    fn is_scan(&self) -> bool {
        self.status == Some(Status::Completed) || self.status.is_some() && self.user_id.is_some()
    }

    /// Selects the identifiers of the list, in its order, from the index that has them.
    fn candidates(&self) -> String {
        let is_active = self.status.is_some_and(Status::is_active) && !self.is_scan();
        let table = if is_active { "order_work" } else { "orders" };
        let mut conditions = match self.status {
            _ if self.is_scan() => vec![],
            Some(Status::Pending) => vec!["started_at IS NULL"],
            Some(Status::Processing) => vec!["started_at IS NOT NULL"],
            Some(Status::Failed) => vec!["failure IS NOT NULL"],
            Some(Status::Cancelled) => vec!["cancelled"],
            Some(Status::Completed) | None => vec![],
        };
        conditions.extend(self.user_id.map(|_| "user_id = $1"));
        conditions.extend(self.after.map(|_| "(created_at, order_id) < ($2, $3)"));
        let conditions =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        format!("SELECT order_id, created_at FROM {table} {conditions} ORDER BY created_at DESC, order_id DESC")
    }

    /// The last order of a scan: the next page starts after it. `None` if the scan reached the end of the list.
    async fn end_of_scan(&self, db: &Db) -> Result<Option<Position>, DbError> {
        let sql = format!("{} OFFSET $4 LIMIT $5", self.candidates());
        let rows = self.query(db, &sql, MAX_SCANNED - 1, 1).await?;
        let position = |row: &Row| Ok(Position { created_at: row.try_get("created_at")?, order_id: order_id(row)? });
        rows.first().map(position).transpose()
    }

    async fn query(&self, db: &Db, sql: &str, fourth: i64, fifth: i64) -> Result<Vec<Row>, DbError> {
        let params: [super::Param; 6] = [
            (&self.user_id.map(UserId::as_str), Type::TEXT),
            (&self.after.map(|position| position.created_at), Type::TIMESTAMPTZ),
            (&self.after.map(|position| position.order_id.as_str()), Type::TEXT),
            (&fourth, Type::INT8),
            (&fifth, Type::INT8),
            (&self.status.map(Status::as_str), Type::TEXT),
        ];
        db.query(sql, &params).await
    }
}

/// Cancels an order that is still pending, and counts it. Returns whether it did.
///
/// Conflicts: the order stays unchanged if a worker has claimed or ended it first, or if it is missing or not `tenant`'s.
pub async fn cancel(db: &Db, order_id: &OrderId, tenant: Option<&UserId>, announce: Announce) -> Result<bool, DbError> {
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
            ){}
            SELECT FROM cancelled",
                announce.only(", o.retries"),
                announce.keep("cancelled")
            ),
            &[(&order_id.as_str(), Type::TEXT), (&tenant.map(UserId::as_str), Type::TEXT)],
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

fn status(row: &Row) -> Result<Status, DbError> {
    let text: &str = row.try_get("status")?;
    text.parse().map_err(|_| DbError::Corrupt(format!("status {text}")))
}

pub(super) fn order_id(row: &Row) -> Result<OrderId, DbError> {
    let text: &str = row.try_get("order_id")?;
    text.parse().map_err(|_| DbError::Corrupt(format!("order_id {text}")))
}
