//! Erasure: replaces a user's identifier in the user's ended orders, and drops their metadata.
//!
//! Each order gets a pseudonym of its own, a random one: nothing leads from it to the user, nor from one of the orders to another.
//!
//! A user's orders are read by user and time, as in a list: `BETWEEN` keeps the user in the order.

use tokio_postgres::types::Type;

use super::retry::IS_AS_SEEN;
use super::{Param, Store, StoreError};
use crate::order::UserId;

/// The most orders of a user that are read to count the active ones.
const READ: i64 = 1000;

impl Store {
    /// Counts the user's orders that have not ended, or whose end is still to be announced.
    ///
    /// The work does not grow with the user's orders: it reads up to `READ` of them. If there are more, it looks up the service's active
    /// orders, which `order_work` holds, and the ends that wait, one by one in `orders`. The `OFFSET` keeps the planner from a join that
    /// begins at the user's orders.
    pub async fn count_active_of(&self, user_id: &UserId) -> Result<i64, StoreError> {
        let or_waits =
            self.with_bus(" OR EXISTS (SELECT FROM order_ends AS e WHERE e.order_id = ANY (ARRAY[orders.order_id]))");
        let and_waiting = self.with_bus(" UNION SELECT order_id FROM order_ends");
        let sql = format!(
            "WITH newest AS (
                SELECT finished_at IS NULL{or_waits} AS is_active FROM orders WHERE user_id BETWEEN $1 AND $1
                ORDER BY user_id DESC, created_at DESC, order_id DESC LIMIT $2 + 1
            )
            SELECT CASE WHEN count(*) <= $2 THEN count(*) FILTER (WHERE is_active) ELSE (
                SELECT count(*) FROM (SELECT order_id FROM order_work{and_waiting}) AS w
                CROSS JOIN LATERAL (SELECT user_id FROM orders WHERE order_id = w.order_id OFFSET 0) AS o
                WHERE o.user_id = $1
            ) END AS active FROM newest"
        );
        let params: [Param; 2] = [(&user_id.as_str(), Type::TEXT), (&READ, Type::INT8)];
        let rows = self.query("count a user's active orders", &sql, &params).await?;
        rows.value("active")
    }

    /// Replaces the user in up to `limit` of the user's ended orders; a trigger replaces it in their histories. Drops their metadata, and
    /// the digests of their idempotency keys, which the user's identifier is part of. Returns the number of orders.
    ///
    /// Conflicts: an order that another statement has locked, or whose end is still to be announced, keeps its user for a later call. So
    /// does an order that was retried and ended again after this statement began, which would not see the new row in `order_ends`.
    pub async fn erase_user(&self, user_id: &UserId, limit: i64) -> Result<u64, StoreError> {
        let and_announced = self
            .with_bus(" AND NOT EXISTS (SELECT FROM order_ends AS e WHERE e.order_id = ANY (ARRAY[orders.order_id]))");
        let sql = format!(
            "WITH held AS (
                SELECT order_id FROM orders
                WHERE user_id BETWEEN $1 AND $1 AND finished_at IS NOT NULL AND {IS_AS_SEEN}{and_announced}
                ORDER BY user_id DESC, created_at DESC, order_id DESC LIMIT $2 FOR UPDATE SKIP LOCKED
            ), erased AS (
                UPDATE orders SET user_id = 'erased-' || gen_random_uuid(), metadata = NULL, idempotency_key = NULL
                WHERE order_id = ANY (ARRAY(SELECT order_id FROM held))
                RETURNING order_id
            )
            SELECT count(*) AS erased FROM erased"
        );
        let rows = self.query("erase a user", &sql, &[(&user_id.as_str(), Type::TEXT), (&limit, Type::INT8)]).await?;
        rows.value("erased").map(i64::unsigned_abs)
    }

    /// Whether the user has any order.
    pub async fn has_orders_of(&self, user_id: &UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT FROM orders WHERE user_id = $1) AS has_orders";
        let rows = self.query("look for orders of a user", sql, &[(&user_id.as_str(), Type::TEXT)]).await?;
        rows.value("has_orders")
    }
}
