//! The ends of orders that are not announced yet: statements on `order_ends`, for deployments with an event bus alone.
//!
//! The statement that ends an order inserts its row here ([`super::work::finish`], [`super::orders::cancel`]). The row is deleted once
//! the bus has taken the event. A row proves that the order ended, so no event is lost and none precedes its end. A crash between the
//! two announces the end again, with the same event id.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::orders::{Position, order};
use super::work::seconds;
use super::{Db, DbError};
use crate::order::{Order, OrderId};

/// What the statements that end an order do about its announcement. A deployment chooses once, at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// Nothing: there is no bus.
    Never,
    /// Each end is kept until the bus has taken its event.
    Ends,
}

impl Announce {
    /// The part of a statement that only a deployment with a bus has.
    pub(super) const fn only(self, part: &str) -> &str {
        match self {
            Self::Never => "",
            Self::Ends => part,
        }
    }

    /// A further part of the `WITH` of a statement that ends orders: it keeps the ends. `ended` has the columns `order_id` and `retries`.
    pub(super) fn keep(self, ended: &str) -> String {
        let kept = format!(
            ", kept AS (
                INSERT INTO order_ends (order_id, sequence, ended_at)
                SELECT order_id, coalesce(retries, 0) + 1, now() FROM {ended}
            )"
        );
        self.only(&kept).to_owned()
    }
}

/// An end that is not announced yet.
#[derive(Debug)]
pub struct End {
    /// The order as it ended, even if it was retried since.
    pub order: Order,
    /// 1 for the first end of the order, 2 for the end after its first retry, and so on.
    pub sequence: i32,
    /// When it ended.
    pub ended_at: OffsetDateTime,
}

/// Finds the ends among the orders that are not announced.
pub async fn find(db: &Db, order_ids: &[OrderId]) -> Result<Vec<End>, DbError> {
    let order_ids: Vec<_> = order_ids.iter().map(OrderId::as_str).collect();
    let sql = format!("SELECT {READ} FROM order_ends AS e JOIN {STATES} WHERE e.order_id = ANY ($1)");
    let rows = db.query(&sql, &[(&order_ids, Type::TEXT_ARRAY)]).await?;
    rows.iter().map(end).collect()
}

/// A page of ends that were left behind.
#[derive(Debug)]
pub struct Page {
    /// The ends, the oldest first.
    pub ends: Vec<End>,
    /// The position of the next page; `None` if there is none.
    pub next: Option<Position>,
}

/// Finds at most `limit` ends that are older than `age`: their function had its time to announce them. The oldest come first.
pub async fn find_old(db: &Db, age: Duration, after: Option<&Position>, limit: i64) -> Result<Page, DbError> {
    let sql = format!(
        "WITH e AS MATERIALIZED (
            SELECT order_id, sequence, ended_at, started_at, attempts, failure FROM order_ends
            WHERE ended_at < now() - make_interval(secs => $1) AND (ended_at, order_id) > (coalesce($2, '-infinity'), $3)
            ORDER BY ended_at, order_id LIMIT $4
        )
        SELECT {READ} FROM e JOIN {STATES} ORDER BY e.ended_at, e.order_id"
    );
    let params: [super::Param; 4] = [
        (&age.as_secs_f64(), Type::FLOAT8),
        (&after.map(|position| position.created_at), Type::TIMESTAMPTZ),
        (&after.map_or("", |position| position.order_id.as_str()), Type::TEXT),
        (&limit, Type::INT8),
    ];
    let ends: Vec<_> = db.query(&sql, &params).await?.iter().map(end).collect::<Result<_, _>>()?;
    let is_full = i64::try_from(ends.len()).is_ok_and(|found| found >= limit);
    let position = |end: &End| Position { created_at: end.ended_at, order_id: end.order.order_id.clone() };
    let next = ends.last().filter(|_| is_full).map(position);
    Ok(Page { ends, next })
}

/// Deletes ends whose events the bus has taken.
pub async fn delete(db: &Db, ends: &[&End]) -> Result<(), DbError> {
    let order_ids: Vec<_> = ends.iter().map(|end| end.order.order_id.as_str()).collect();
    let sequences: Vec<_> = ends.iter().map(|end| end.sequence).collect();
    db.query(
        "DELETE FROM order_ends AS e USING unnest($1, $2) AS taken (order_id, sequence)
        WHERE e.order_id = taken.order_id AND e.sequence = taken.sequence",
        &[(&order_ids, Type::TEXT_ARRAY), (&sequences, Type::INT4_ARRAY)],
    )
    .await
    .map(drop)
}

/// The time since the oldest end that is not announced; zero if there is none.
pub async fn oldest(db: &Db) -> Result<Duration, DbError> {
    let sql = "SELECT coalesce(extract(epoch FROM now() - min(ended_at)), 0)::float8 AS oldest_seconds FROM order_ends";
    let rows = db.query(sql, &[]).await?;
    Ok(seconds(rows.first().map_or(Ok(0.0), |row| row.try_get("oldest_seconds"))?))
}

/// The columns that [`end`] reads. An end that a retry has taken back since has its own start, attempts and failure.
const READ: &str = "s.order_id, s.user_id, s.item_ids, s.total_amount, s.currency, s.metadata::text AS metadata, s.process_after, \
    s.created_at, e.ended_at AS finished_at, e.sequence, \
    CASE WHEN e.failure IS NULL THEN s.status ELSE 'failed' END AS status, \
    CASE WHEN e.failure IS NULL THEN s.started_at ELSE e.started_at END AS started_at, \
    coalesce(e.attempts, s.attempts) AS attempts, coalesce(e.failure, s.failure) AS failure, e.ended_at";
/// The orders, each found by the key of its end.
const STATES: &str = "order_states AS s ON s.order_id = e.order_id";

fn end(row: &Row) -> Result<End, DbError> {
    Ok(End { order: order(row)?, sequence: row.try_get("sequence")?, ended_at: row.try_get("ended_at")? })
}
