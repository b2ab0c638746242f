//! Sends messages to orders whose message is lost, and to those that have none yet.
//!
//! Each active order has a message in the queue, except one whose `process_after` is far. If the queue holds as many messages as there
//! should be, overdue orders only wait for a worker, and a run requeues at most [`LEAST_LIMIT`] of them. If messages are missing, it
//! requeues as many as are missing. An order that was requeued is not requeued again within the grace period.
//!
//! While processing is paused, a run requeues nothing: the processor has acknowledged the messages of the orders that are due. The
//! first runs after the pause requeue these orders, because their messages are missing.
//!
//! A run also sends the first messages of orders whose `process_after` is near ([`shared::db::schedule`]), each delayed until its order
//! is due. It looks [`AHEAD`], so that orders are due in time even if some runs fail. The number of these messages is limited by
//! the run's time alone: a lower limit would let one user's orders hold up those of others for longer.

use std::time::Duration;

use shared::db::active::ToEnqueue;
use shared::db::requeue::Slice;
use shared::db::{Store, StoreError};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::order::OrderId;
use shared::queue::split;

use crate::survey::Survey;
use crate::{CHUNK_SHARE, Sweeper, Swept};

/// The least limit of a run. Duplicate messages hide missing ones from the count, so each run requeues a few in any case.
pub const LEAST_LIMIT: i64 = 100;
/// The most orders of one statement.
const CHUNK: i64 = 1000;
/// An order with a far `process_after` gets its message this long before it is due, which is ten runs of the sweeper. SQS delays a message
/// by 15 minutes at most.
pub const AHEAD: Duration = Duration::from_mins(10);

impl Sweeper {
    /// Sends the messages of scheduled orders, starting in the first half of the time, and then those that are lost. A slice that fails
    /// holds up no others. Returns the first error.
    pub(crate) async fn enqueue_all(
        &self,
        survey: &Survey,
        deadline: Deadline,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let (scheduled, late) = (survey.scheduled(), survey.late());
        let last_start = deadline.minus(self.timeout / CHUNK_SHARE);
        // Scheduled orders first. Late ones have half of the time for starting chunks.
        let last_scheduled = if late.is_empty() { deadline.share(1, 2) } else { last_start.share(1, 2) };
        let mut sender = Sender::new(self, i64::MAX, last_scheduled, deadline);
        let mut result = Ok(());
        for slice in scheduled {
            result = result.and(sender.send_scheduled(slice).await);
        }
        (swept.enqueued, swept.unsent) = (sender.sent, sender.unsent);
        if late.is_empty() {
            return result;
        }
        let missing = self.missing_messages(survey.expected_messages(), deadline).await;
        let mut sender = Sender::new(self, missing, last_start, deadline);
        for slice in late {
            result = result.and(sender.requeue(slice).await);
        }
        swept.requeued = sender.sent;
        swept.unsent += sender.unsent;
        result
    }

    /// The number of missing messages, and so the most orders that this run may requeue.
    async fn missing_messages(&self, expected: i64, deadline: Deadline) -> i64 {
        match self.queue.depth(deadline.share(1, 4)).await {
            Ok(messages) => (expected - messages).clamp(LEAST_LIMIT, self.sweep_limit),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not read the queue's depth; requeueing as few orders as possible");
                LEAST_LIMIT
            }
        }
    }
}

/// Sends the messages of a run, chunk by chunk, until no order is left, its limit is reached, or the queue refuses messages.
struct Sender<'a> {
    sweeper: &'a Sweeper,
    store: Store,
    /// No chunk starts after this.
    last_start: Deadline,
    deadline: Deadline,
    /// How many more orders may get a message.
    left: i64,
    sent: usize,
    unsent: usize,
}

impl<'a> Sender<'a> {
    fn new(sweeper: &'a Sweeper, limit: i64, last_start: Deadline, deadline: Deadline) -> Self {
        Self { sweeper, store: sweeper.database.until(deadline), last_start, deadline, left: limit, sent: 0, unsent: 0 }
    }

    fn may_start(&self) -> bool {
        self.left > 0 && self.unsent == 0 && !self.last_start.is_over()
    }

    /// Requeues the late orders of a slice. They are marked before the send, so that a crash sends no message twice.
    async fn requeue(&mut self, slice: Slice) -> Result<(), StoreError> {
        while self.may_start() {
            let orders = self.store.requeue_overdue(slice, self.sweeper.timing.grace, CHUNK.min(self.left)).await?;
            if orders.is_empty() {
                break;
            }
            let (_, unsent) = self.send(&orders).await;
            if !unsent.is_empty() {
                self.store.undo_requeue(&unsent).await?;
            }
        }
        Ok(())
    }

    /// Sends the first messages of a slice's scheduled orders. They are marked after the send, so that a crash loses no message.
    async fn send_scheduled(&mut self, slice: Slice) -> Result<(), StoreError> {
        while self.may_start() {
            let orders = self.store.find_scheduled(slice, AHEAD, CHUNK).await?;
            let (sent, _) = self.send(&orders).await;
            let marked = self.store.mark_enqueued(&sent).await?;
            let is_full = i64::try_from(orders.len()) == Ok(CHUNK);
            // Orders that another statement has locked are not marked. They would be found again and again.
            if marked == 0 || !is_full {
                break;
            }
        }
        Ok(())
    }

    /// Sends a message for each of these orders, with its delay. Returns the orders whose messages were sent, and the others.
    async fn send<'b>(&mut self, orders: &'b [ToEnqueue]) -> (Vec<&'b OrderId>, Vec<&'b OrderId>) {
        let messages: Vec<_> = orders.iter().map(ToEnqueue::message).collect();
        // Half of the time. The other half is for undoing the sends that a hanging queue did not accept.
        let unsent = self.sweeper.queue.send_all(&messages, self.deadline.share(1, 2)).await;
        let (sent, unsent) = split(orders.iter().map(|order| &order.order_id), &unsent);
        self.left -= i64::try_from(orders.len()).unwrap_or(self.left);
        self.sent += sent.len();
        self.unsent += unsent.len();
        (sent, unsent)
    }
}
