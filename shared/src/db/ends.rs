//! The ends of orders that are not announced yet: statements on `order_ends`, only for deployments with an event bus.
//!
//! The statement that ends an order inserts its row here ([`Store::finish`], [`Store::cancel`]). The row is deleted once
//! the bus has taken the event. A row proves that the order ended, so no event is lost and none precedes its end. A crash between the
//! two announces the end again, with the same event id.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::row::{CONTENT, keys, order, order_id, seconds};
use super::{DbError, Param, Store, StoreError};
use crate::order::{Order, OrderId};

/// The most ends to read at once. Each is read with its whole order, which can take 320 KB.
pub const MAX_ENDS: usize = 100;

/// The most ends that a page of [`Store::find_old_ends`] has.
pub const MAX_OLD_ENDS: usize = 2000;

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

/// An end that an earlier invocation left behind, without the order. [`Store::find_ends`] reads the order.
#[derive(Debug, Clone)]
pub struct OldEnd {
    /// The order's identifier.
    pub order_id: OrderId,
    /// The place of the row on disk, which sorts the ends. Rows are written one after the other, so this is mostly the order of time.
    place: String,
}

impl Store {
    /// Whether there is an event bus, so that the ends of orders are announced. A deployment chooses once, at start.
    #[must_use]
    pub fn announces_ends(&self) -> bool {
        self.database.config.announces_ends
    }

    /// The part of a statement that only a deployment with a bus has.
    pub(super) fn with_bus<'a>(&self, part: &'a str) -> &'a str {
        if self.announces_ends() { part } else { "" }
    }

    /// A further part of the `WITH` of a statement that ends orders: it keeps the ends. `ended` has the columns `order_id` and `retries`.
    pub(super) fn keep_ends(&self, ended: &str) -> String {
        let kept = format!(
            ", kept AS (
                INSERT INTO order_ends (order_id, sequence, ended_at)
                SELECT order_id, coalesce(retries, 0) + 1, now() FROM {ended}
            )"
        );
        self.with_bus(&kept).to_owned()
    }

    /// Finds the ends of these orders that are not announced. The caller passes at most [`MAX_ENDS`] orders. An end whose order can't be
    /// read is left out.
    pub async fn find_ends(&self, order_ids: &[OrderId]) -> Result<Vec<End>, StoreError> {
        let order_ids = keys(order_ids);
        let sql = format!("SELECT {} FROM order_ends AS e JOIN {ORDERS} WHERE e.order_id = ANY ($1)", columns());
        let rows = self.query("find ends", &sql, &[(&order_ids, Type::TEXT_ARRAY)]).await?;
        Ok(rows.readable(end))
    }

    /// Finds the next [`MAX_OLD_ENDS`] ends after this one that are older than `age`: their function had its time to announce them.
    /// A full page reads from its first row to its last, and the last page to the end of the table.
    pub async fn find_old_ends(&self, age: Duration, after: Option<&OldEnd>) -> Result<Vec<OldEnd>, StoreError> {
        let sql = format!(
            "SELECT order_id, ctid::text AS place FROM order_ends
        WHERE ctid > $2::text::tid AND ended_at < now() - make_interval(secs => $1) LIMIT {MAX_OLD_ENDS}"
        );
        // No row has the place (0,0): the first one of a page is 1.
        let after = after.map_or("(0,0)", |end| &end.place);
        let params: [Param; 2] = [(&age.as_secs_f64(), Type::FLOAT8), (&after, Type::TEXT)];
        let rows = self.query("find ends that were left behind", &sql, &params).await?;
        rows.read(|row| Ok(OldEnd { order_id: order_id(row)?, place: row.try_get("place")? }))
    }

    /// Deletes ends whose events the bus has taken, in the order of their keys: a retry locks them in the same order.
    ///
    /// Conflicts: an end that another invocation has deleted first is left out.
    pub async fn delete_ends(&self, ends: &[&End]) -> Result<(), StoreError> {
        let mut ends = ends.to_vec();
        ends.sort_by_key(|end| (&end.order.order_id, end.sequence));
        let order_ids: Vec<_> = ends.iter().map(|end| end.order.order_id.as_str()).collect();
        let sequences: Vec<_> = ends.iter().map(|end| end.sequence).collect();
        let sql = "DELETE FROM order_ends AS e USING unnest($1, $2) AS taken (order_id, sequence)
        WHERE e.order_id = ANY (ARRAY[taken.order_id]) AND e.sequence = taken.sequence";
        self.query("delete announced ends", sql, &[(&order_ids, Type::TEXT_ARRAY), (&sequences, Type::INT4_ARRAY)])
            .await
            .map(drop)
    }

    /// The time since the oldest end that is not announced; zero if there is none.
    pub async fn age_of_oldest_end(&self) -> Result<Duration, StoreError> {
        let sql =
            "SELECT coalesce(extract(epoch FROM now() - min(ended_at)), 0)::float8 AS oldest_seconds FROM order_ends";
        let rows = self.query("read the age of the oldest end", sql, &[]).await?;
        rows.value("oldest_seconds").map(seconds)
    }
}

/// The columns that [`end`] reads. An end that a retry has taken back since has its own start, attempts and failure.
fn columns() -> String {
    format!(
        "{CONTENT}, s.created_at, e.ended_at AS finished_at, e.sequence, \
        CASE WHEN coalesce(e.failure, s.failure) IS NOT NULL THEN 'failed' \
            WHEN s.cancelled THEN 'cancelled' ELSE 'completed' END AS status, \
        CASE WHEN e.failure IS NULL THEN s.started_at ELSE e.started_at END AS started_at, \
        coalesce(e.attempts, s.attempts) AS attempts, coalesce(e.failure, s.failure) AS failure, e.ended_at"
    )
}

/// The orders, each found by the key of its end. A row of an end says that the order ended, so its work need not be read.
const ORDERS: &str = "orders AS s ON s.order_id = ANY (ARRAY[e.order_id])";

fn end(row: &Row) -> Result<End, DbError> {
    Ok(End { order: order(row)?, sequence: row.try_get("sequence")?, ended_at: row.try_get("ended_at")? })
}
