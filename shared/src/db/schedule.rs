//! Orders with a `process_after`.
//!
//! Such an order is due then, and pending until it is due. A message can wait for 15 minutes at most. An order that is due within
//! 15 minutes of its creation gets its message when it is created, like any other. An order that is due later gets none then: the
//! sweeper runs each minute and sends the message ten minutes before the order is due, with a delay until then. An order that waits
//! for weeks therefore costs one message.
//!
//! `requeued_at` records that the message was sent. From then on the order is like any other: if its message is lost, the order
//! becomes overdue, and the sweeper requeues it.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::active::{ToEnqueue, user_of};
use super::pause::IS_PAUSED;
use super::requeue::Slice;
use super::{Param, Store, StoreError};
use crate::order::{Order, OrderId};
use crate::queue::LONGEST_DELAY;

/// The delay of the message that an order gets when it is created; `None` if the sweeper sends the message later.
///
/// A repeat of the create sends a message with the same delay, from now. If that is long after the order is due and the first message is
/// lost, the sweeper sends another before.
#[must_use]
pub fn delay_of_first_message(order: &Order, cancel_window: Duration) -> Option<Duration> {
    let Some(process_after) = order.process_after else { return Some(cancel_window) };
    let wait = Duration::try_from(process_after - order.created_at).unwrap_or_default();
    (wait <= LONGEST_DELAY).then_some(wait.max(cancel_window))
}

/// The condition that the sweeper is still to send an order's first message.
pub(super) fn lacks_message() -> String {
    let longest_delay = LONGEST_DELAY.as_secs();
    format!("process_after > created_at + make_interval(secs => {longest_delay}) AND requeued_at IS NULL")
}

impl Store {
    /// Finds at most `limit` orders of a slice that have no message yet and are due within `ahead`, the first to be due first, each with
    /// the time until then. Finds none while processing is paused.
    pub async fn find_scheduled(
        &self,
        slice: Slice,
        ahead: Duration,
        limit: i64,
    ) -> Result<Vec<ToEnqueue>, StoreError> {
        let [first, end] = slice.bounds();
        let params: [Param; 4] =
            [(&first, Type::TEXT), (&end, Type::TEXT), (&ahead.as_secs_f64(), Type::FLOAT8), (&limit, Type::INT8)];
        let (in_slice, lacks_message, user) = (Slice::HOLDS_ROW, lacks_message(), user_of("scheduled"));
        let sql = format!(
            "SELECT order_id, {user}, greatest(0, extract(epoch FROM due_at - now()))::float8 AS due_in_seconds
            FROM (
                SELECT order_id, due_at FROM order_work
                WHERE {in_slice} AND {lacks_message}
                    AND due_at < now() + make_interval(secs => $3)
                    AND NOT {IS_PAUSED}
                ORDER BY due_at LIMIT $4
            ) AS scheduled"
        );
        let rows = self.query("find scheduled orders", &sql, &params).await?;
        rows.read(ToEnqueue::read)
    }

    /// Records that these scheduled orders have their message. The message is sent before: if this fails, the next run sends another,
    /// which does no harm. The other way round, an order without a message would look as if it had one. Returns the number of recorded
    /// orders.
    ///
    /// Conflicts: an order that has ended since, or that another statement has locked, is left out.
    pub async fn mark_enqueued(&self, order_ids: &[&OrderId]) -> Result<usize, StoreError> {
        let order_ids: Vec<_> = order_ids.iter().map(|order_id| order_id.as_str()).collect();
        let sql = "WITH held AS (
                SELECT order_id FROM order_work WHERE order_id = ANY ($1) AND requeued_at IS NULL
                ORDER BY order_id FOR UPDATE SKIP LOCKED
            )
            UPDATE order_work SET requeued_at = now() WHERE order_id = ANY (ARRAY (SELECT order_id FROM held))
            RETURNING order_id";
        Ok(self.query("mark enqueued orders", sql, &[(&order_ids, Type::TEXT_ARRAY)]).await?.len())
    }
}
