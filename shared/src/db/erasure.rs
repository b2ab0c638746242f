//! Erasure: replaces a user's identifier in the user's ended orders.
//!
//! Each order gets a pseudonym of its own, a random one: nothing leads from it to the user, nor from one of the orders to another.

use tokio_postgres::types::Type;

use super::{Db, DbError};
use crate::order::UserId;

/// Counts the user's orders that have not ended.
pub async fn count_active(db: &Db, user_id: &UserId) -> Result<i64, DbError> {
    let sql = "SELECT count(*) AS active FROM orders WHERE user_id = $1 AND finished_at IS NULL";
    let rows = db.query(sql, &[(&user_id.as_str(), Type::TEXT)]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.try_get("active"))?)
}

/// Replaces the user in up to `limit` of the user's ended orders; a trigger replaces it in their histories. Drops the digests of their
/// idempotency keys, which the user's identifier is part of. Returns the number of orders.
///
/// Conflicts: an order that another statement has locked keeps its user for a later call.
pub async fn erase(db: &Db, user_id: &UserId, limit: i64) -> Result<u64, DbError> {
    let rows = db
        .query(
            "WITH held AS (
                SELECT order_id FROM orders WHERE user_id = $1 AND finished_at IS NOT NULL
                ORDER BY created_at DESC, order_id DESC LIMIT $2 FOR UPDATE SKIP LOCKED
            ), erased AS (
                UPDATE orders SET user_id = 'erased-' || gen_random_uuid(), metadata = NULL, idempotency_key = NULL
                WHERE order_id = ANY (ARRAY(SELECT order_id FROM held)) AND finished_at IS NOT NULL
                RETURNING order_id
            )
            SELECT count(*) AS erased FROM erased",
            &[(&user_id.as_str(), Type::TEXT), (&limit, Type::INT8)],
        )
        .await?;
    let erased: i64 = rows.first().map_or(Ok(0), |row| row.try_get("erased"))?;
    Ok(erased.unsigned_abs())
}

/// Whether the user has any order.
pub async fn has_orders(db: &Db, user_id: &UserId) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT FROM orders WHERE user_id = $1) AS has_orders";
    let rows = db.query(sql, &[(&user_id.as_str(), Type::TEXT)]).await?;
    Ok(rows.first().map_or(Ok(false), |row| row.try_get("has_orders"))?)
}
