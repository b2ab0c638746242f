//! The sweeper's statements: how overdue orders are, and which of them get another message.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::history::is_recorded;
use super::row::{order_id, seconds};
use super::schedule::lacks_message;
use super::{DbError, Param, Store, StoreError};
use crate::order::OrderId;
use crate::queue::LONGEST_DELAY;

impl Store {
    /// Counts the active orders that should have a message: all but those whose message the sweeper has still to send.
    pub async fn count_expected_messages(&self) -> Result<i64, StoreError> {
        let sql =
            format!("SELECT count(*) FILTER (WHERE ({}) IS NOT TRUE) AS active FROM order_work", lacks_message("$1"));
        let rows = self.query("count expected messages", &sql, &[(&LONGEST_DELAY.as_secs_f64(), Type::FLOAT8)]).await?;
        rows.value("active")
    }

    /// Finds how overdue orders are, and whether scheduled ones fall due within `ahead`, in one pass over the active orders.
    pub async fn find_overdue(&self, grace: Duration, ahead: Duration) -> Result<Overdue, StoreError> {
        let sql = format!(
            "SELECT extract(epoch FROM now() - paused_at)::float8 AS paused_seconds,
            CASE WHEN paused_at IS NULL AND first_due_at < now()
                THEN extract(epoch FROM now() - greatest(first_due_at, resumed_at)) ELSE 0 END::float8 AS overdue_seconds,
            paused_at IS NULL AND first_due_at < greatest(now() - make_interval(secs => $1), resumed_at) IS TRUE AS has_late,
            paused_at IS NULL AND has_scheduled IS TRUE AS has_scheduled
        FROM (
            SELECT min(due_at) AS first_due_at,
                bool_or({} AND due_at < now() + make_interval(secs => $3)) AS has_scheduled
            FROM order_work
        ) AS active LEFT JOIN processing_pause ON true",
            lacks_message("$2")
        );
        let (grace, ahead) = (grace.as_secs_f64(), ahead.as_secs_f64());
        let longest_delay = LONGEST_DELAY.as_secs_f64();
        let params: [Param; 3] = [(&grace, Type::FLOAT8), (&longest_delay, Type::FLOAT8), (&ahead, Type::FLOAT8)];
        let rows = self.query("find overdue orders", &sql, &params).await?;
        rows.one(|row| {
            Ok(Overdue {
                oldest: seconds(row.try_get("overdue_seconds")?),
                has_late: row.try_get("has_late")?,
                has_scheduled: row.try_get("has_scheduled")?,
                paused_for: row.try_get::<_, Option<f64>>("paused_seconds")?.map(seconds),
            })
        })
    }

    /// Finds at most `limit` orders whose messages must be lost: overdue by more than `grace`, and not requeued within `grace`. An order
    /// that was due before the last pause ended lost its message to the pause, so for it the end of the pause replaces the end of
    /// `grace`. Finds none while processing is paused.
    ///
    /// Records that they are requeued now, and counts them. If the answer gets lost, they wait for another grace period. An order whose
    /// lease ran out keeps its claim, so that the next claim counts an attempt.
    ///
    /// `order_work` has no user: only these few orders need one, and each create would pay for the column. The statement reads the user
    /// of each order by the key of `orders` instead of a join, which could read all orders under misleading statistics.
    ///
    /// Conflicts: the next run finds an order that another statement has locked.
    pub async fn requeue_overdue(&self, grace: Duration, limit: i64) -> Result<Vec<ToEnqueue>, StoreError> {
        let is_recorded = is_recorded("requeued");
        let sql = format!(
            "WITH overdue AS (
                SELECT order_id FROM order_work
                WHERE due_at < greatest(now() - make_interval(secs => $1), (SELECT resumed_at FROM processing_pause))
                    AND (requeued_at IS NULL OR requeued_at <
                        greatest(now() - make_interval(secs => $1), (SELECT resumed_at FROM processing_pause)))
                    AND NOT EXISTS (SELECT FROM processing_pause WHERE paused_at IS NOT NULL)
                ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ), requeued AS (
                UPDATE order_work SET requeued_at = now() WHERE order_id = ANY (ARRAY (SELECT order_id FROM overdue))
                RETURNING order_id
            ), counted AS (
                INSERT INTO order_outcomes (minute, requeued)
                SELECT date_trunc('minute', now()), count(*) FROM requeued HAVING count(*) > 0
            ), recorded AS (
                INSERT INTO order_events (order_id, event) SELECT order_id, 'requeued' FROM requeued WHERE {is_recorded}
            )
            SELECT order_id, (SELECT o.user_id FROM orders AS o WHERE o.order_id = requeued.order_id) AS user_id,
                0::float8 AS due_in_seconds
            FROM requeued"
        );
        let params: [Param; 2] = [(&grace.as_secs_f64(), Type::FLOAT8), (&limit, Type::INT8)];
        let rows = self.query("requeue overdue orders", &sql, &params).await?;
        rows.read(ToEnqueue::read)
    }

    /// Undoes [`Self::requeue_overdue`] for orders whose messages could not be sent, so that the next run finds them.
    ///
    /// Conflicts: an order that has ended since, or that another statement has locked, is left out: its message did arrive.
    pub async fn undo_requeue(&self, order_ids: &[&OrderId]) -> Result<(), StoreError> {
        let order_ids: Vec<_> = order_ids.iter().map(|order_id| order_id.as_str()).collect();
        let is_recorded = is_recorded("undone");
        let sql = format!(
            "WITH held AS (
            SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND requeued_at IS NOT NULL
            FOR UPDATE SKIP LOCKED
        ), undone AS (
            UPDATE order_work SET requeued_at = NULL WHERE order_id = ANY (ARRAY (SELECT order_id FROM held))
            RETURNING order_id
        ), recorded AS (
            INSERT INTO order_events (order_id, event) SELECT order_id, 'requeue_failed' FROM undone WHERE {is_recorded}
        )
        INSERT INTO order_outcomes (minute, requeued)
        SELECT date_trunc('minute', now()), -count(*) FROM undone HAVING count(*) > 0"
        );
        self.query("undo a requeue", &sql, &[(&order_ids, Type::TEXT_ARRAY)]).await.map(drop)
    }
}

/// The facts that a sweep needs before it requeues orders.
#[derive(Debug)]
pub struct Overdue {
    /// The time since the most overdue order was due, or since the last pause ended if that is shorter; zero if no order is overdue,
    /// or while processing is paused. Sending a message again does not change it.
    pub oldest: Duration,
    /// Whether [`Store::requeue_overdue`] has orders to consider.
    pub has_late: bool,
    /// Whether [`Store::find_scheduled`] has orders to consider.
    pub has_scheduled: bool,
    /// The time since processing was paused; `None` while it runs.
    pub paused_for: Option<Duration>,
}

/// An order that gets a message from the sweeper.
#[derive(Debug)]
pub struct ToEnqueue {
    /// The order.
    pub order_id: OrderId,
    /// Its user; `None` where the order's row is missing, which no statement of ours leads to.
    pub user_id: Option<String>,
    /// The time until it is due.
    pub due_in: Duration,
}

impl ToEnqueue {
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            order_id: order_id(row)?,
            user_id: row.try_get("user_id")?,
            due_in: seconds(row.try_get("due_in_seconds")?),
        })
    }
}
