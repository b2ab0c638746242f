//! A batch of messages: which orders they speak of, and which of them have to come back.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use shared::db::DbError;
use shared::error::Chain;
use shared::order::OrderId;

/// A message as the queue delivered it.
#[derive(Debug)]
pub struct Message {
    /// Its identifier.
    pub id: String,
    /// What changes its visibility.
    pub receipt: String,
    /// What it says.
    pub body: String,
}

/// The messages, by the orders they speak of.
pub struct Batch {
    messages: BTreeMap<OrderId, Vec<Message>>,
    malformed: Vec<Message>,
    failed: BTreeSet<String>,
}

impl Batch {
    /// Reads each message by itself.
    pub fn new(event: SqsEvent) -> Self {
        let mut batch = Self { messages: BTreeMap::new(), malformed: Vec::new(), failed: BTreeSet::new() };
        for record in event.records {
            let message = Message {
                id: record.message_id.unwrap_or_default(),
                receipt: record.receipt_handle.unwrap_or_default(),
                body: record.body.unwrap_or_default(),
            };
            match message.body.parse() {
                Ok(order_id) => batch.messages.entry(order_id).or_default().push(message),
                Err(_) => batch.malformed.push(message),
            }
        }
        batch
    }

    /// Each order once, however many messages speak of it.
    pub fn order_ids(&self) -> Vec<OrderId> {
        self.messages.keys().cloned().collect()
    }

    /// How many orders there are messages of.
    pub fn order_count(&self) -> usize {
        self.messages.len()
    }

    /// The messages that no order can be read from; they are then no longer in the batch.
    pub fn take_malformed(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.malformed)
    }

    /// Lets this message come back.
    pub fn fail_message(&mut self, message_id: String) {
        self.failed.insert(message_id);
    }

    /// Lets every message of this order come back.
    pub fn fail(&mut self, order_id: &OrderId) {
        let messages = self.messages.get(order_id).into_iter().flatten();
        self.failed.extend(messages.map(|message| message.id.clone()));
    }

    /// Lets one message of this order come back, which is enough, and gives its receipt.
    pub fn keep_one(&mut self, order_id: &OrderId) -> Option<String> {
        let message = self.messages.get(order_id)?.first()?;
        self.failed.insert(message.id.clone());
        Some(message.receipt.clone())
    }

    /// Lets every message of these orders come back, because of this error.
    pub fn fail_each<'a>(&mut self, order_ids: impl Iterator<Item = &'a OrderId>, error: &DbError) {
        tracing::error!(error = %Chain(error), "outcomes could not be recorded; their messages come back");
        for order_id in order_ids {
            self.fail(order_id);
        }
    }

    /// Lets every message come back.
    pub fn fail_all(&mut self) {
        let messages = self.messages.values().flatten();
        self.failed.extend(messages.map(|message| message.id.clone()));
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
