//! A batch of messages: which orders they speak of, and which of them have to come back.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use shared::db::DbError;
use shared::order::OrderId;

/// A message whose body is no order's identifier.
#[derive(Debug)]
pub struct Malformed {
    /// The message's identifier.
    pub id: String,
    /// What it says.
    pub body: String,
}

/// The messages, by the orders they speak of.
pub struct Batch {
    messages: BTreeMap<OrderId, Vec<String>>,
    malformed: Vec<Malformed>,
    failed: BTreeSet<String>,
}

impl Batch {
    /// Reads each message by itself.
    pub fn new(event: SqsEvent) -> Self {
        let mut batch = Self { messages: BTreeMap::new(), malformed: Vec::new(), failed: BTreeSet::new() };
        for record in event.records {
            let (id, body) = (record.message_id.unwrap_or_default(), record.body.unwrap_or_default());
            match body.parse() {
                Ok(order_id) => batch.messages.entry(order_id).or_default().push(id),
                Err(_) => batch.malformed.push(Malformed { id, body }),
            }
        }
        batch
    }

    /// Each order once, however many messages speak of it.
    pub fn order_ids(&self) -> Vec<OrderId> {
        self.messages.keys().cloned().collect()
    }

    /// The messages that no order can be read from; they are then no longer in the batch.
    pub fn take_malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }

    /// Lets this message come back.
    pub fn fail_message(&mut self, message_id: String) {
        self.failed.insert(message_id);
    }

    /// Lets every message of this order come back.
    pub fn fail(&mut self, order_id: &OrderId) {
        self.failed.extend(self.messages.get(order_id).into_iter().flatten().cloned());
    }

    /// Lets every message of these orders come back, because of this error.
    pub fn fail_each<'a>(&mut self, order_ids: impl Iterator<Item = &'a OrderId>, error: &DbError) {
        tracing::error!(error = error as &dyn Error, "outcomes could not be recorded; their messages come back");
        for order_id in order_ids {
            self.fail(order_id);
        }
    }

    /// Lets every message come back.
    pub fn fail_all(&mut self) {
        self.failed.extend(self.messages.values().flatten().cloned());
    }

    /// What the queue is told: the messages that have to come back; the others are done with.
    pub fn response(self) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for id in self.failed {
            response.add_failure(id);
        }
        response
    }
}
