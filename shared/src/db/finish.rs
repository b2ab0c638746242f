//! Finishing and rescheduling claimed orders: the statements that end a lease.
//!
//! Each is guarded by the token of the claim ([`super::claim`]), so that a worker that has lost its lease changes nothing. Each locks its
//! rows in the order of their keys: a cancel of many orders may wait for one of them while it holds another.
//!
//! A finish deletes the work, writes the end into `orders` and counts it, all in one statement, so that there is no moment when an order has
//! ended and is not counted, or is counted twice. It is 40 to 50 % of what a life costs the database: the only update of `orders`, a delete,
//! and a row of statistics for the batch.

use std::collections::HashSet;

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::claim::{ClaimToken, Claimed};
use super::history::is_recorded;
use super::row::order_id;
use super::stats::bucket;
use super::{Param, Store, StoreError};
use crate::order::OrderId;

/// The end of a claimed order.
#[derive(Debug)]
pub struct Finish {
    /// The order.
    pub order: Claimed,
    /// The number of attempts.
    pub attempts: i32,
    /// The cause of its failure; `None` if it completed.
    pub failure: Option<String>,
}

/// A claimed order that is due again later.
#[derive(Debug, Clone, Copy)]
pub struct Reschedule<'a> {
    /// The order.
    pub order_id: &'a OrderId,
    /// When it is due again.
    pub due_at: OffsetDateTime,
    /// The cause, if an attempt failed. It then counts as used up.
    pub failed_attempt: Option<&'a str>,
}

impl Store {
    /// Ends each order, as completed or as failed, and counts the outcomes in the same statement. Returns the orders that it ended.
    /// With an event bus it also keeps the ends for their announcement.
    ///
    /// Conflicts: an order that another worker has claimed or ended since stays unchanged and is not counted.
    pub async fn finish(&self, token: ClaimToken, orders: &[Finish]) -> Result<HashSet<OrderId>, StoreError> {
        let mut orders: Vec<_> = orders.iter().collect();
        orders.sort_by_key(|end| &end.order.order_id);
        let ids: Vec<_> = orders.iter().map(|end| end.order.order_id.as_str()).collect();
        let attempts: Vec<_> = orders.iter().map(|end| end.attempts).collect();
        let failures: Vec<_> = orders.iter().map(|end| end.failure.as_deref()).collect();
        let (processing, queueing) = (bucket("seconds"), bucket("queued"));
        let (retries, kept) = (self.with_bus(", o.retries"), self.keep_ends("ended"));
        let sql = format!(
            "WITH done AS (
                DELETE FROM order_work AS w
                USING unnest($1, $2, $3) AS ending (order_id, attempts, failure)
                WHERE w.order_id = ANY (ARRAY[ending.order_id]) AND w.claim = $4
                RETURNING ending.*, w.started_at, greatest(w.created_at, w.process_after) AS ready_at
            ), ended AS (
                UPDATE orders AS o
                SET started_at = done.started_at, finished_at = now(), attempts = done.attempts, failure = done.failure
                FROM done WHERE o.order_id = ANY (ARRAY[done.order_id])
                RETURNING o.order_id{retries}, o.failure IS NULL AS is_completed,
                    extract(epoch FROM o.finished_at - o.started_at)::float8 AS seconds,
                    extract(epoch FROM o.started_at - done.ready_at)::float8 AS queued
            ), counted AS (
                INSERT INTO order_outcomes (minute, completed, failed, seconds, processing, queueing)
                SELECT date_trunc('minute', now()),
                    count(*) FILTER (WHERE is_completed), count(*) FILTER (WHERE NOT is_completed),
                    coalesce(sum(seconds) FILTER (WHERE is_completed), 0),
                    coalesce(array_agg({processing}) FILTER (WHERE is_completed), '{{}}'),
                    coalesce(array_agg({queueing}) FILTER (WHERE is_completed), '{{}}')
                FROM ended HAVING count(*) > 0
            ){kept}
            SELECT order_id FROM ended"
        );
        let params: [Param; 4] = [
            (&ids, Type::TEXT_ARRAY),
            (&attempts, Type::INT4_ARRAY),
            (&failures, Type::TEXT_ARRAY),
            (&token.0, Type::UUID),
        ];
        let rows = self.query("finish orders", &sql, &params).await?;
        rows.read(order_id)
    }

    /// Ends the lease of each order and sets when it is due again. Records failed attempts in the order's history.
    ///
    /// Conflicts: an order that another worker has claimed since stays unchanged.
    pub async fn reschedule(&self, token: ClaimToken, orders: &[Reschedule<'_>]) -> Result<(), StoreError> {
        let mut orders = orders.to_vec();
        orders.sort_by_key(|order| order.order_id);
        let ids: Vec<_> = orders.iter().map(|order| order.order_id.as_str()).collect();
        let times: Vec<_> = orders.iter().map(|order| order.due_at).collect();
        let causes: Vec<_> = orders.iter().map(|order| order.failed_attempt).collect();
        let params: [Param; 4] = [
            (&ids, Type::TEXT_ARRAY),
            (&times, Type::TIMESTAMPTZ_ARRAY),
            (&token.0, Type::UUID),
            (&causes, Type::TEXT_ARRAY),
        ];
        // Most batches only wait. They use a statement without the history.
        if causes.iter().all(Option::is_none) {
            return self.query("reschedule orders", RESCHEDULE, &params[..3]).await.map(drop);
        }
        let sql = format!("{RESCHEDULE_FAILED} AND {}", is_recorded("rescheduled"));
        self.query("reschedule orders after a failed attempt", &sql, &params).await.map(drop)
    }
}

const RESCHEDULE: &str = "UPDATE order_work AS w SET claim = NULL, due_at = later.due_at
    FROM unnest($1, $2) AS later (order_id, due_at)
    WHERE w.order_id = ANY (ARRAY[later.order_id]) AND w.claim = $3";

const RESCHEDULE_FAILED: &str = "WITH rescheduled AS (
        UPDATE order_work AS w
        SET claim = NULL, due_at = later.due_at, attempts = w.attempts + (later.cause IS NOT NULL)::int
        FROM unnest($1, $2, $4) AS later (order_id, due_at, cause)
        WHERE w.order_id = ANY (ARRAY[later.order_id]) AND w.claim = $3
        RETURNING w.order_id, w.attempts, later.cause
    )
    INSERT INTO order_events (order_id, event, attempt, cause)
    SELECT order_id, 'attempt_failed', attempts, cause FROM rescheduled WHERE cause IS NOT NULL";
