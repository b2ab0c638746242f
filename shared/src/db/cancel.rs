//! Cancelling: one order by its user, or many pending orders by an operator.

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::history::Actor;
use super::params::{Params, where_all};
use super::row::{Rows, keys, order_id};
use super::{Param, Store, StoreError};
use crate::order::{OrderId, UserId};

/// A filter on pending orders. An absent criterion matches every order.
#[derive(Debug, Default)]
pub struct PendingFilter {
    /// These orders.
    pub order_ids: Option<Vec<OrderId>>,
    /// Orders that were created at this time or later.
    pub created_from: Option<OffsetDateTime>,
    /// Orders that were created before this time.
    pub created_before: Option<OffsetDateTime>,
    /// The orders of this user.
    pub user_id: Option<UserId>,
}

impl Store {
    /// Cancels the pending ones among the orders, or among those of this user, counts them, and records who did it. Returns how many. It
    /// locks no order of another user.
    ///
    /// Conflicts: an order that a worker has claimed, or that another call has ended first, is left out.
    pub async fn cancel(
        &self,
        order_ids: &[OrderId],
        user: Option<&UserId>,
        actor: Actor<'_>,
    ) -> Result<usize, StoreError> {
        let order_ids = keys(order_ids);
        let sql = format!(
            "WITH held AS (
                SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND started_at IS NULL
                    AND ($2::text IS NULL OR $2 = (SELECT o.user_id FROM orders AS o WHERE o.order_id = order_work.order_id))
                ORDER BY order_id FOR UPDATE
            ), cancelled AS (
                UPDATE orders SET cancelled = true, finished_at = now()
                WHERE order_id = ANY (ARRAY (SELECT order_id FROM held))
                RETURNING order_id{}
            ), done AS (
                DELETE FROM order_work WHERE order_id = ANY (ARRAY (SELECT order_id FROM cancelled))
            ), recorded AS (
                INSERT INTO order_events (order_id, event, subject, client) SELECT order_id, 'cancelled', $3, $4 FROM cancelled
            ), counted AS (
                INSERT INTO order_outcomes (minute, cancelled)
                SELECT date_trunc('minute', now()), count(*) FROM cancelled HAVING count(*) > 0
            ){}
            SELECT FROM cancelled",
            self.with_bus(", retries"),
            self.keep_ends("cancelled")
        );
        let params: [Param; 4] = [
            (&order_ids, Type::TEXT_ARRAY),
            (&user.map(UserId::as_str), Type::TEXT),
            (&actor.subject.as_str(), Type::TEXT),
            (&actor.client, Type::TEXT),
        ];
        let rows = self.query("cancel orders", &sql, &params).await?;
        Ok(rows.len())
    }

    /// Counts the pending orders that match.
    pub async fn count_pending(&self, filter: &PendingFilter) -> Result<i64, StoreError> {
        self.select_pending("count(*) AS matched", "", filter, 1).await?.value("matched")
    }

    /// Finds the oldest `limit` pending orders that match, oldest first.
    pub async fn find_pending(&self, filter: &PendingFilter, limit: i64) -> Result<Vec<OrderId>, StoreError> {
        self.select_pending("order_id", "ORDER BY created_at, order_id", filter, limit).await?.read(order_id)
    }

    /// Selects from the pending orders that match. `order_work` holds only active orders, so their number bounds the work. A filter by
    /// user looks each of them up in `orders`; without one the statement does not read that table. The `OFFSET` keeps the planner from a
    /// join that begins at all orders of the user.
    async fn select_pending(
        &self,
        what: &str,
        how: &str,
        filter: &PendingFilter,
        limit: i64,
    ) -> Result<Rows, StoreError> {
        let with_user =
            "CROSS JOIN LATERAL (SELECT o.user_id FROM orders AS o WHERE o.order_id = w.order_id OFFSET 0) AS o";
        let with_user = if filter.user_id.is_some() { with_user } else { "" };
        let mut params = Params::default();
        let criteria = where_all([
            Some("started_at IS NULL".to_owned()),
            params.when("created_at >= ?", filter.created_from, Type::TIMESTAMPTZ),
            params.when("created_at < ?", filter.created_before, Type::TIMESTAMPTZ),
            params.when("user_id = ?", filter.user_id.as_ref().map(UserId::as_str), Type::TEXT),
            params.when("order_id = ANY (?)", filter.order_ids.as_deref().map(keys), Type::TEXT_ARRAY),
        ]);
        let limit = params.bind(limit, Type::INT8);
        let sql = format!("SELECT {what} FROM order_work AS w {with_user} {criteria} {how} LIMIT {limit}");
        self.query("find pending orders", &sql, &params.all()).await
    }
}
