//! The messages that a batch sends, keeps or dead-letters. The caller learns which orders' messages could not be sent, and has
//! SQS deliver their old messages again.

use std::collections::HashSet;
use std::time::Duration;

use shared::config::{ConfigError, Env};
use shared::deadline::Deadline;
use shared::order::OrderId;
use shared::queue::{LONGEST_KEPT, Message, Queue, split};

use crate::batch::{Batch, Delivery};
use crate::decision::DeadLetter;

/// The shortest delay of a message for an order that was not due at the claim. The order can be due a moment later, and SQS would then
/// deliver the message at once.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// The orders' queue and its dead-letter queue.
pub struct Queues {
    orders: Queue,
    dead_letters: Queue,
}

impl Queues {
    /// Builds the client of both. It connects at its first call.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let orders = Queue::orders(env)?;
        let dead_letters = orders.dead_letters(env)?;
        Ok(Self { orders, dead_letters })
    }

    /// Sends malformed messages to the dead-letter queue. This comes after the orders, so that it does not delay them.
    pub async fn dead_letter_malformed(&self, batch: &mut Batch, deadline: Deadline) {
        let malformed = batch.remove_malformed();
        let letter = |message: &Delivery| {
            tracing::error!(message.id, "dead-lettering a message that is no order's identifier");
            Message::dead_letter(&message.body, message.group.clone(), "not an order's identifier")
        };
        let unsent = self.dead_letters.send_all(&malformed.iter().map(letter).collect::<Vec<_>>(), deadline).await;
        for index in unsent {
            batch.redeliver_message(malformed[index].id.clone());
        }
    }

    /// Dead-letters orders, before they are recorded as failed. If the worker crashes in between, another repeats both steps. Returns
    /// the letters that were sent, and the others.
    pub async fn dead_letter(
        &self,
        letters: Vec<DeadLetter>,
        batch: &Batch,
        deadline: Deadline,
    ) -> (Vec<DeadLetter>, Vec<DeadLetter>) {
        let message = |DeadLetter { order, failure, .. }: &DeadLetter| {
            Message::dead_letter(order.order_id.as_str(), batch.group(&order.order_id), failure)
        };
        let unsent = self.dead_letters.send_all(&letters.iter().map(message).collect::<Vec<_>>(), deadline).await;
        split(letters, &unsent)
    }

    /// Sends a new message for each of these orders, delayed by the time until it is due. Returns the orders whose messages could not be
    /// sent.
    pub async fn enqueue_later<'a>(
        &self,
        later: &[(&'a OrderId, Duration)],
        batch: &Batch,
        deadline: Deadline,
    ) -> Vec<&'a OrderId> {
        let message = |(order_id, delay): &(&OrderId, Duration)| {
            Message::new(order_id, batch.group(order_id), *delay).with_trace(batch.trace(order_id))
        };
        let unsent = self.orders.send_all(&later.iter().map(message).collect::<Vec<_>>(), deadline).await;
        unsent.into_iter().map(|index| later[index].0).collect()
    }

    /// Makes messages invisible until their orders are due. Returns the indexes of those that SQS did not confirm.
    pub async fn set_visibility(&self, kept: &[Kept<'_>], deadline: Deadline) -> HashSet<usize> {
        let times: Vec<_> = kept.iter().map(|kept| (kept.receipt.clone(), kept.due_in)).collect();
        self.orders.set_visibility_all(&times, deadline).await
    }
}

/// A message that stays in the queue, invisible, until its order is due.
pub struct Kept<'a> {
    /// The order.
    pub order_id: &'a OrderId,
    /// The time until it becomes visible: when the order is due.
    pub due_in: Duration,
    /// The message's identifier.
    pub message_id: String,
    /// The receipt handle of this delivery.
    receipt: String,
}

/// Splits orders that are not due into those that keep a message, as they are due soon and SQS delivers it for the first time, and the
/// others, which get a new one. `since_claim` is the part of their time that the work of the batch and its record took.
pub fn split_kept<'a>(
    not_due: &'a [(OrderId, Duration)],
    since_claim: Duration,
    batch: &Batch,
) -> (Vec<Kept<'a>>, Vec<(&'a OrderId, Duration)>) {
    let (mut kept, mut others) = (Vec::new(), Vec::new());
    for (order_id, due_in) in not_due {
        let due_in = due_in.saturating_sub(since_claim).max(SHORTEST_DELAY);
        let first = if due_in <= LONGEST_KEPT { batch.first_delivery(order_id) } else { None };
        match first {
            Some((message_id, receipt)) => kept.push(Kept { order_id, due_in, message_id, receipt }),
            None => others.push((order_id, due_in)),
        }
    }
    (kept, others)
}
