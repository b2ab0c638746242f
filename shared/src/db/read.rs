//! Reading one order.

use tokio_postgres::types::Type;

use super::row::{COLUMNS, order, status};
use super::{Param, Store, StoreError};
use crate::order::{Order, OrderId, Status, UserId};

impl Store {
    /// Reads an order. Returns `None` if there is none, or if it is not `user`'s. Without a `user` it is any user's.
    pub async fn read_order(&self, order_id: &OrderId, user: Option<&UserId>) -> Result<Option<Order>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM order_states AS s WHERE s.order_id = $1 AND ($2::text IS NULL OR s.user_id = $2)"
        );
        let params: [Param; 2] = [(&order_id.as_str(), Type::TEXT), (&user.map(UserId::as_str), Type::TEXT)];
        let rows = self.query("read an order", &sql, &params).await?;
        rows.first(order)
    }

    /// Reads an order's status and, while it is active, the seconds until it is due: negative if it is overdue, 0 while a worker's lease
    /// lasts.
    pub async fn read_status(
        &self,
        order_id: &OrderId,
        user: Option<&UserId>,
    ) -> Result<Option<(Status, Option<f64>)>, StoreError> {
        let sql = "SELECT status,
                CASE WHEN claim IS NOT NULL AND due_at > now() THEN 0
                    WHEN due_at IS NOT NULL THEN extract(epoch FROM due_at - now()) END::float8 AS due_in_seconds
            FROM order_states WHERE order_id = $1 AND ($2::text IS NULL OR user_id = $2)";
        let params: [Param; 2] = [(&order_id.as_str(), Type::TEXT), (&user.map(UserId::as_str), Type::TEXT)];
        let rows = self.query("read an order's status", sql, &params).await?;
        rows.first(|row| Ok((status(row)?, row.try_get("due_in_seconds")?)))
    }
}
