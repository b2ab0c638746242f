//! Operators' statements: count the causes of failures, and retry failed orders.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::active::ToEnqueue;
use super::history::{Actor, MAX_RETRIED, has_room};
use super::params::{Params, named, where_all};
use super::row::{Rows, keys, order_id};
use super::{Param, Store, StoreError};
use crate::order::{OrderId, UserId};

/// The condition that a row of `orders` which the statement locks has not been retried since the statement began. `FOR UPDATE` reads
/// `retries` anew after a wait, the subquery does not.
pub(super) const IS_AS_SEEN: &str = "retries IS NOT DISTINCT FROM \
    (SELECT s.retries FROM orders AS s WHERE s.order_id = ANY (ARRAY[orders.order_id]))";

/// A filter on failed orders. An absent criterion matches every order.
#[derive(Debug, Default)]
pub struct FailedFilter {
    /// These orders.
    pub order_ids: Option<Vec<OrderId>>,
    /// Orders that were created at this time or later.
    pub created_from: Option<OffsetDateTime>,
    /// Orders that were created before this time.
    pub created_before: Option<OffsetDateTime>,
    /// Orders that failed at this time or later.
    pub failed_from: Option<OffsetDateTime>,
    /// Orders that failed before this time.
    pub failed_before: Option<OffsetDateTime>,
    /// The orders of this user.
    pub user_id: Option<UserId>,
    /// Orders whose `failure` contains this text.
    pub cause: Option<String>,
}

/// A cause of failures, and the number of orders that have it.
#[derive(Debug)]
pub struct Cause {
    /// The orders' `failure`.
    pub failure: String,
    /// The number of orders.
    pub orders: i64,
}

impl Store {
    /// Counts the failed orders that match, and finds the `limit` most frequent causes among them.
    pub async fn count_failed(&self, filter: &FailedFilter, limit: i64) -> Result<(i64, Vec<Cause>), StoreError> {
        let what = "failure, count(*) AS orders, sum(count(*)) OVER ()::bigint AS matched";
        let rows = self.select_failed(what, "GROUP BY failure ORDER BY orders DESC, failure", filter, limit).await?;
        let matched = rows.first(|row| Ok(row.try_get("matched")?))?.unwrap_or(0);
        let causes = rows.read(|row| Ok(Cause { failure: row.try_get("failure")?, orders: row.try_get("orders")? }))?;
        Ok((matched, causes))
    }

    /// Finds the oldest `limit` failed orders that match, oldest first.
    pub async fn find_failed(&self, filter: &FailedFilter, limit: i64) -> Result<Vec<OrderId>, StoreError> {
        let rows = self.select_failed("order_id", "ORDER BY created_at, order_id", filter, limit).await?;
        rows.read(order_id)
    }

    /// Selects from the failed orders that match: those that the caller names, or those of the index `orders_failed`, which holds failed
    /// orders alone, by their creation. `|| ''` keeps the planner from the index of all orders of a user. An absent criterion is no part of
    /// the statement: the one plan for all values could not use the index for `$1 IS NULL OR …`. An order fails after its creation, so the
    /// end of one range bounds the other.
    async fn select_failed(
        &self,
        what: &str,
        how: &str,
        filter: &FailedFilter,
        limit: i64,
    ) -> Result<Rows, StoreError> {
        let created_before = [filter.created_before, filter.failed_before].into_iter().flatten().min();
        let mut params = Params::default();
        let orders = match &filter.order_ids {
            Some(order_ids) => named("orders", &params.bind(keys(order_ids), Type::TEXT_ARRAY)),
            None => "orders".to_owned(),
        };
        let criteria = where_all([
            Some("failure IS NOT NULL".to_owned()),
            params.when("finished_at >= ?", filter.failed_from, Type::TIMESTAMPTZ),
            params.when("finished_at < ?", filter.failed_before, Type::TIMESTAMPTZ),
            params.when("user_id || '' = ?", filter.user_id.as_ref().map(UserId::as_str), Type::TEXT),
            params.when("strpos(failure, ?) > 0", filter.cause.as_deref(), Type::TEXT),
            params.when("created_at >= ?", filter.created_from, Type::TIMESTAMPTZ),
            params.when("created_at < ?", created_before, Type::TIMESTAMPTZ),
        ]);
        let sql = format!("SELECT {what} FROM {orders} AS o {criteria} {how} LIMIT {}", params.bind(limit, Type::INT8));
        self.query("find failed orders", &sql, &params.all()).await
    }

    /// Makes the failed ones among the orders pending, takes their failures out of the statistics, and records in each order's history
    /// what it takes back and who did it. An end that is not announced yet keeps what the retry takes back. The orders fall due one after
    /// the other, `interval` apart. Returns them in that order.
    ///
    /// Conflicts: an order that another call has retried first is left out, even if it has failed again since. This statement would not
    /// see its new end, and so not keep the failure.
    ///
    /// The caller sends the messages. `requeued_at` says so for a scheduled order, whose message the sweeper would send otherwise.
    ///
    /// `num_nulls` keeps the planner from the index of all failed orders, for a role without `enable_sort = off`: it would read fifty rows for
    /// each order of a large batch.
    pub async fn retry(
        &self,
        order_ids: &[OrderId],
        interval: Duration,
        actor: Actor<'_>,
    ) -> Result<Vec<ToEnqueue>, StoreError> {
        let room = has_room("held", MAX_RETRIED);
        let order_ids = keys(order_ids);
        let sql = format!("WITH held AS (
                SELECT order_id, started_at, finished_at, attempts, failure FROM orders
                WHERE order_id = ANY ($1) AND num_nulls(failure) = 0 AND {IS_AS_SEEN}
                ORDER BY order_id FOR UPDATE
            ), pending AS (
                UPDATE orders AS o
                SET started_at = NULL, finished_at = NULL, attempts = 0, failure = NULL, retries = coalesce(retries, 0) + 1
                WHERE o.order_id = ANY (ARRAY (SELECT order_id FROM held))
                RETURNING o.order_id, o.user_id, o.created_at, o.process_after
            ), lined_up AS (
                SELECT order_id, user_id, created_at, process_after, $2 * (row_number() OVER (ORDER BY created_at, order_id) - 1) AS due_in_seconds
                FROM pending
            ), work AS (
                INSERT INTO order_work (order_id, created_at, due_at, process_after, requeued_at)
                SELECT order_id, created_at, now() + make_interval(secs => due_in_seconds), process_after,
                    CASE WHEN process_after IS NOT NULL THEN now() END
                FROM lined_up
            ), counted AS (
                INSERT INTO order_outcomes (minute, failed)
                SELECT date_trunc('minute', now()), -count(*) FROM pending HAVING count(*) > 0
            ), recorded AS (
                INSERT INTO order_events (order_id, event, attempt, cause, started_at, finished_at, subject, client)
                SELECT held.order_id, 'retried', held.attempts, held.failure, held.started_at, held.finished_at, $3, $4
                FROM held WHERE {room}
            ), kept AS (
                UPDATE order_ends AS e SET started_at = held.started_at, attempts = held.attempts, failure = held.failure
                FROM held WHERE e.order_id = ANY (ARRAY[held.order_id]) AND e.failure IS NULL
            )
            SELECT order_id, user_id, due_in_seconds FROM lined_up ORDER BY due_in_seconds");
        let params: [Param; 4] = [
            (&order_ids, Type::TEXT_ARRAY),
            (&interval.as_secs_f64(), Type::FLOAT8),
            (&actor.subject.as_str(), Type::TEXT),
            (&actor.client, Type::TEXT),
        ];
        let rows = self.query("retry failed orders", &sql, &params).await?;
        rows.read(ToEnqueue::read)
    }
}
