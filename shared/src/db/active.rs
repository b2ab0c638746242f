//! Which orders are active. Operators' calls ask before they send messages.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::row::{keys, order_id, seconds};
use super::schedule::lacks_message;
use super::{DbError, Store, StoreError};
use crate::order::OrderId;
use crate::queue::{Group, Message};

/// An order that gets a message.
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
    /// Its message, delayed until it is due.
    #[must_use]
    pub fn message(&self) -> Message {
        Message::new(&self.order_id, self.user_id.as_deref().map(Group::of), self.due_in)
    }

    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            order_id: order_id(row)?,
            user_id: row.try_get("user_id")?,
            due_in: seconds(row.try_get("due_in_seconds")?),
        })
    }
}

/// An order that has not ended.
#[derive(Debug)]
pub struct Active {
    /// The order.
    pub order: ToEnqueue,
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

/// The user of a row of `order_work`, as a column. The table stores no user: only the few orders that get another message need it, and each
/// create would pay for it. A join instead could read all orders under misleading statistics.
pub(super) fn user_of(work: &str) -> String {
    format!("(SELECT o.user_id FROM orders AS o WHERE o.order_id = {work}.order_id) AS user_id")
}

impl Store {
    /// Finds the active ones among the orders.
    pub async fn find_active(&self, order_ids: &[OrderId]) -> Result<Vec<Active>, StoreError> {
        let order_ids = keys(order_ids);
        let sql = format!(
            "SELECT order_id, {}, greatest(0, extract(epoch FROM due_at - now()))::float8 AS due_in_seconds,
                claim IS NOT NULL AND due_at > now() AS is_claimed, ({}) IS TRUE AS is_scheduled
            FROM order_work WHERE order_id = ANY ($1)",
            user_of("order_work"),
            lacks_message()
        );
        let rows = self.query("find active orders", &sql, &[(&order_ids, Type::TEXT_ARRAY)]).await?;
        rows.read(|row| {
            let (is_claimed, is_scheduled) = (row.try_get("is_claimed")?, row.try_get("is_scheduled")?);
            Ok(Active { order: ToEnqueue::read(row)?, is_claimed, is_scheduled })
        })
    }
}
