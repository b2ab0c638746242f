//! Erasure: replaces a user's identifier in the user's ended orders.
//!
//! Each order gets a pseudonym of its own, a random one: nothing leads from it to the user, nor from one of the orders to another.

use tokio_postgres::types::Type;

use super::ends::Announce;
use super::{Store, StoreError};
use crate::order::UserId;

impl Store {
    /// Counts the user's orders that have not ended, or whose end is still to be announced.
    pub async fn count_active_of(&self, user_id: &UserId, announce: Announce) -> Result<i64, StoreError> {
        let is_active = match announce {
            Announce::Never => "finished_at IS NULL",
            Announce::Ends => {
                "(finished_at IS NULL OR EXISTS (SELECT FROM order_ends AS e WHERE e.order_id = orders.order_id))"
            }
        };
        let sql = format!("SELECT count(*) AS active FROM orders WHERE user_id = $1 AND {is_active}");
        let rows = self.query("count a user's active orders", &sql, &[(&user_id.as_str(), Type::TEXT)]).await?;
        rows.value("active")
    }

    /// Replaces the user in up to `limit` of the user's ended orders; a trigger replaces it in their histories. Drops the digests of their
    /// idempotency keys, which the user's identifier is part of. Returns the number of orders.
    ///
    /// Conflicts: an order that another statement has locked, or whose end is still to be announced, keeps its user for a later call.
    pub async fn erase_user(&self, user_id: &UserId, limit: i64, announce: Announce) -> Result<u64, StoreError> {
        let and_announced =
            announce.only(" AND NOT EXISTS (SELECT FROM order_ends AS e WHERE e.order_id = orders.order_id)");
        let sql = format!(
            "WITH held AS (
                SELECT order_id FROM orders WHERE user_id = $1 AND finished_at IS NOT NULL{and_announced}
                ORDER BY created_at DESC, order_id DESC LIMIT $2 FOR UPDATE SKIP LOCKED
            ), erased AS (
                UPDATE orders SET user_id = 'erased-' || gen_random_uuid(), metadata = NULL, idempotency_key = NULL
                WHERE order_id = ANY (ARRAY(SELECT order_id FROM held)) AND finished_at IS NOT NULL
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
