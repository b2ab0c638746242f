//! A batch of messages: which orders they speak of, and which of them have to come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use serde_json::json;
use shared::db::DbError;
use shared::db::work::Finish;
use shared::error::Chain;
use shared::order::OrderId;
use shared::queue::Group;
use shared::telemetry::Trace;

/// A message as the queue delivered it.
#[derive(Debug)]
pub struct Message {
    /// Its identifier.
    pub id: String,
    /// What it says.
    pub body: String,
    /// The group that it was sent with, if any.
    pub group: Option<Group>,
    /// The trace of whoever sent it, if that is recorded.
    trace: Option<Trace>,
}

/// The messages, by the orders they speak of.
pub struct Batch {
    began: SystemTime,
    messages: BTreeMap<OrderId, Vec<Message>>,
    malformed: Vec<Message>,
    failed: BTreeSet<String>,
}

impl Batch {
    /// Reads each message by itself.
    pub fn new(event: SqsEvent) -> Self {
        let (messages, malformed, failed) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        let mut batch = Self { began: SystemTime::now(), messages, malformed, failed };
        for record in event.records {
            let message = Message {
                id: record.message_id.unwrap_or_default(),
                body: record.body.unwrap_or_default(),
                group: record.attributes.get(Group::ATTRIBUTE).map(|attribute| Group::received(attribute)),
                trace: record.attributes.get("AWSTraceHeader").and_then(|header| Trace::of(header)),
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

    /// The messages that no order can be read from; they are then no longer in the batch.
    pub fn take_malformed(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.malformed)
    }

    /// The group of the order's messages, which its next message is sent with.
    pub fn group(&self, order_id: &OrderId) -> Option<Group> {
        self.messages.get(order_id)?.iter().find_map(|message| message.group.clone())
    }

    /// The trace that the order's processing belongs to, if it is recorded.
    pub fn trace(&self, order_id: &OrderId) -> Option<Trace> {
        self.messages.get(order_id)?.iter().find_map(|message| message.trace.clone())
    }

    /// Adds the processing of these orders to the traces of the calls that placed them.
    pub fn trace_ends<'a>(&self, ends: impl Iterator<Item = &'a Finish<'a>>) {
        for end in ends {
            if let Some(trace) = self.trace(&end.order.order_id) {
                let outcome = if end.failure.is_none() { "completed" } else { "failed" };
                let found_by = json!({"order_id": end.order.order_id.as_str(), "outcome": outcome});
                trace.add_segment("ordermill processor", self.began, &found_by);
            }
        }
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

    /// Lets every message of these orders come back, because of this error.
    pub fn fail_each<'a>(&mut self, order_ids: impl Iterator<Item = &'a OrderId>, error: &DbError) {
        tracing::error!(error = %Chain(error), "could not record outcomes; SQS will deliver their messages again");
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
