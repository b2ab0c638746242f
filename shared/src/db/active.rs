//! Reading which orders are active, and which of them need a message: operators' calls ask before they send any.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::row::{due_in, keys};
use super::schedule::lacks_message;
use super::{Param, Store, StoreError};
use crate::order::OrderId;
use crate::queue::LONGEST_DELAY;

/// An order that has not ended.
#[derive(Debug)]
pub struct Active {
    /// The order.
    pub order_id: OrderId,
    /// The time until it is due.
    pub due_in: Duration,
    /// Whether a worker holds its lease.
    pub is_claimed: bool,
    /// Whether the sweeper is still to send its message ([`super::schedule`]).
    pub is_scheduled: bool,
}

impl Active {
    /// Whether the order needs a message now: no worker holds it, and the sweeper is not to send one later.
    #[must_use]
    pub const fn needs_message(&self) -> bool {
        !self.is_claimed && !self.is_scheduled
    }
}

impl Store {
    /// Finds the active ones among the orders.
    pub async fn find_active(&self, order_ids: &[OrderId]) -> Result<Vec<Active>, StoreError> {
        let order_ids = keys(order_ids);
        let sql = format!(
            "SELECT order_id, greatest(0, extract(epoch FROM due_at - now()))::float8 AS due_in_seconds,
                claim IS NOT NULL AND due_at > now() AS is_claimed, ({}) IS TRUE AS is_scheduled
            FROM order_work WHERE order_id = ANY ($1)",
            lacks_message("$2")
        );
        let params: [Param; 2] = [(&order_ids, Type::TEXT_ARRAY), (&LONGEST_DELAY.as_secs_f64(), Type::FLOAT8)];
        let rows = self.query("find active orders", &sql, &params).await?;
        rows.read(|row| {
            let (order_id, due_in) = due_in(row)?;
            let (is_claimed, is_scheduled) = (row.try_get("is_claimed")?, row.try_get("is_scheduled")?);
            Ok(Active { order_id, due_in, is_claimed, is_scheduled })
        })
    }
}
