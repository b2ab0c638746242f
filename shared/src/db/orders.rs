//! Orders as clients see them: read, list, cancel.

use rust_decimal::Decimal;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Db, DbError};
use crate::order::{Order, OrderId, Status, UserId};

/// The order, or nothing where there is none or it is not `tenant`'s.
pub async fn get(db: &Db, order_id: &OrderId, tenant: Option<&UserId>) -> Result<Option<Order>, DbError> {
    let rows = db
        .query(
            &format!("SELECT {COLUMNS} FROM {EVERY} WHERE o.order_id = $1 AND ($2::text IS NULL OR o.user_id = $2)"),
            &[(&order_id.as_str(), Type::TEXT), (&tenant.map(UserId::as_str), Type::TEXT)],
        )
        .await?;
    rows.first().map(order).transpose()
}

/// An order's status, and while it is active the seconds until something may happen: it falls due, or is being worked on
/// just now (0).
pub async fn get_status(
    db: &Db,
    order_id: &OrderId,
    tenant: Option<&UserId>,
) -> Result<Option<(Status, Option<f64>)>, DbError> {
    let rows = db
        .query(
            "SELECT o.status,
                CASE WHEN w.claim IS NOT NULL THEN 0
                    WHEN w.due_at IS NOT NULL THEN greatest(0, extract(epoch FROM w.due_at - now())) END::float8 AS due_in_seconds
            FROM orders AS o LEFT JOIN order_work AS w USING (order_id)
            WHERE o.order_id = $1 AND ($2::text IS NULL OR o.user_id = $2)",
            &[(&order_id.as_str(), Type::TEXT), (&tenant.map(UserId::as_str), Type::TEXT)],
        )
        .await?;
    rows.first().map(|row| Ok((status(row)?, row.try_get("due_in_seconds")?))).transpose()
}

/// Which orders a list holds.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// Only those in this state.
    pub status: Option<Status>,
    /// Only this user's.
    pub user_id: Option<&'a UserId>,
    /// Only those after this one in the list, which runs from the newest to the oldest.
    pub after: Option<&'a Position>,
}

/// A place in the list: that of an order. Times are kept to the microsecond, as PostgreSQL does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// When the order was created.
    pub created_at: OffsetDateTime,
    /// Its identifier, which orders those of the same microsecond.
    pub order_id: OrderId,
}

/// The newest `limit` orders that pass the filter.
pub async fn list(db: &Db, filter: &Filter<'_>, limit: i64) -> Result<Vec<Order>, DbError> {
    // Active orders are few, however many there are, and what is left to do on them knows which; what has failed has an
    // index of its own; and a user's orders have one too.
    let (from, only) = match filter.status {
        Some(status) if status.is_active() && filter.user_id.is_none() => (ACTIVE_PAGE, "o.status = $1"),
        Some(Status::Failed) => (EVERY, "o.status = $1 AND o.failure IS NOT NULL"),
        Some(_) => (EVERY, "o.status = $1"),
        None => (EVERY, "$1::text IS NULL"),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM {from}
        WHERE {only} AND ($2::text IS NULL OR o.user_id = $2)
            AND ($3::timestamptz IS NULL OR (o.created_at, o.order_id) < ($3, $4))
        ORDER BY o.created_at DESC, o.order_id DESC LIMIT $5"
    );
    let params: [super::Param; 5] = [
        (&filter.status.map(Status::as_str), Type::TEXT),
        (&filter.user_id.map(UserId::as_str), Type::TEXT),
        (&filter.after.map(|position| position.created_at), Type::TIMESTAMPTZ),
        (&filter.after.map(|position| position.order_id.as_str()), Type::TEXT),
        (&limit, Type::INT8),
    ];
    db.query(&sql, &params).await?.iter().map(order).collect()
}

/// Cancels an order that is still pending and counts it; false where it is not, or is not there, or not `tenant`'s.
pub async fn cancel(db: &Db, order_id: &OrderId, tenant: Option<&UserId>, shard: i16) -> Result<bool, DbError> {
    let rows = db
        .query(
            "WITH held AS (
                SELECT order_id FROM order_work WHERE order_id = $1 FOR UPDATE
            ), cancelled AS (
                UPDATE orders AS o SET status = 'cancelled', finished_at = now()
                FROM held
                WHERE o.order_id = held.order_id AND o.status = 'pending' AND ($2::text IS NULL OR o.user_id = $2)
                RETURNING o.order_id
            ), done AS (
                DELETE FROM order_work AS w USING cancelled AS c WHERE w.order_id = c.order_id
            ), counted AS (
                INSERT INTO order_stats AS s (minute, shard, cancelled)
                SELECT date_trunc('minute', now()), $3, 1 FROM cancelled
                ON CONFLICT (minute, shard) DO UPDATE SET cancelled = s.cancelled + excluded.cancelled
            )
            SELECT FROM cancelled",
            &[(&order_id.as_str(), Type::TEXT), (&tenant.map(UserId::as_str), Type::TEXT), (&shard, Type::INT2)],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// Every order, with what is left to do on it.
pub(super) const EVERY: &str = "orders AS o LEFT JOIN order_work AS w USING (order_id)";
/// A page of the pending or of the processing orders, found in `order_work` alone.
const ACTIVE_PAGE: &str = "(
        SELECT order_id, attempts FROM order_work
        WHERE started = ($1 = 'processing') AND ($3::timestamptz IS NULL OR (created_at, order_id) < ($3, $4))
        ORDER BY created_at DESC, order_id DESC LIMIT $5
    ) AS w JOIN orders AS o USING (order_id)";
/// What [`order`] reads. While an order is active its attempts are counted with its work: those that ended without an
/// outcome, and the one under way.
pub(super) const COLUMNS: &str = "o.order_id, o.user_id, o.item_ids, o.total_amount, o.status, o.created_at, o.started_at, \
    o.finished_at, coalesce(w.attempts + (o.status = 'processing')::int, o.attempts) AS attempts, o.failure";

pub(super) fn order(row: &Row) -> Result<Order, DbError> {
    Ok(Order {
        order_id: order_id(row)?,
        user_id: row.try_get("user_id")?,
        item_ids: row.try_get("item_ids")?,
        total_amount: row.try_get::<_, Decimal>("total_amount")?.into(),
        status: status(row)?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        attempts: row.try_get("attempts")?,
        failure: row.try_get("failure")?,
    })
}

fn status(row: &Row) -> Result<Status, DbError> {
    let text: &str = row.try_get("status")?;
    text.parse().map_err(|_| DbError::Corrupt(format!("status {text}")))
}

pub(super) fn order_id(row: &Row) -> Result<OrderId, DbError> {
    let text: &str = row.try_get("order_id")?;
    text.parse().map_err(|_| DbError::Corrupt(format!("order_id {text}")))
}
