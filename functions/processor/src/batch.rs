//! A batch of messages: its orders, and the messages that SQS must deliver again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use aws_lambda_events::sqs::SqsBatchResponse;
use serde_json::json;
use shared::db::finish::Finish;
use shared::order::OrderId;
use shared::queue::Group;
use shared::telemetry::Trace;

use crate::event::SqsEvent;

/// A delivery of a message: what the event says about it, parsed.
#[derive(Debug)]
pub struct Delivery {
    /// The identifier that SQS gave it.
    pub id: String,
    /// The receipt handle of its first delivery; `None` if SQS delivered it before.
    first_receipt: Option<String>,
    /// The text: an order's identifier.
    pub body: String,
    /// The group of its message group identifier, if any.
    pub group: Option<Group>,
    /// The sender's trace, if it is recorded.
    trace: Option<Trace>,
}

/// The messages of a batch, by order.
pub struct Batch {
    began: SystemTime,
    messages: BTreeMap<OrderId, Vec<Delivery>>,
    malformed: Vec<Delivery>,
    /// The messages that Lambda must not delete: their step failed, or they are kept.
    to_redeliver: BTreeSet<String>,
    /// The number of messages.
    size: usize,
    /// Whether the database failed a claim, or the record of an outcome.
    has_database_failed: bool,
    /// The orders that have ended, and whose end may still have to be announced.
    pub ended: Vec<OrderId>,
}

impl Batch {
    /// Parses each message separately.
    pub fn new(event: SqsEvent) -> Self {
        let mut batch = Self {
            began: SystemTime::now(),
            messages: BTreeMap::new(),
            malformed: Vec::new(),
            to_redeliver: BTreeSet::new(),
            size: event.messages.len(),
            has_database_failed: false,
            ended: Vec::new(),
        };
        for message in event.messages {
            let attributes = message.attributes.unwrap_or_default();
            let message = Delivery {
                id: message.message_id.unwrap_or_default(),
                first_receipt: message.receipt_handle.filter(|_| attributes.receives.as_deref() == Some("1")),
                body: message.body.unwrap_or_default(),
                group: attributes.group.as_deref().map(Group::received),
                trace: attributes.trace.as_deref().and_then(Trace::of),
            };
            match message.body.parse() {
                Ok(order_id) => batch.messages.entry(order_id).or_default().push(message),
                Err(_) => batch.malformed.push(message),
            }
        }
        batch
    }

    /// The orders, each once, even if several messages name it.
    pub fn order_ids(&self) -> Vec<OrderId> {
        self.messages.keys().cloned().collect()
    }

    /// Removes the messages that hold no order's identifier from the batch and returns them.
    pub fn remove_malformed(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.malformed)
    }

    /// The group of the order's messages, for its next message.
    pub fn group(&self, order_id: &OrderId) -> Option<Group> {
        self.messages.get(order_id)?.iter().find_map(|message| message.group.clone())
    }

    /// The trace that the order's processing joins, if it is recorded.
    pub fn trace(&self, order_id: &OrderId) -> Option<Trace> {
        self.messages.get(order_id)?.iter().find_map(|message| message.trace.clone())
    }

    /// Adds the processing of these orders to the traces of the calls that created them.
    pub fn trace_ends(&self, ends: &[&Finish]) {
        for end in ends {
            if let Some(trace) = self.trace(&end.order.order_id) {
                let outcome = if end.failure.is_none() { "completed" } else { "failed" };
                let annotations = json!({"order_id": end.order.order_id.as_str(), "outcome": outcome});
                trace.add_segment("ordermill processor", self.began, &annotations);
            }
        }
    }

    /// The identifier and the receipt handle of the order's message that SQS delivers for the first time. A message is kept only once,
    /// because each receive brings it nearer to the dead-letter queue. If there are several, it is the one with the least identifier: two
    /// batches with the same messages could otherwise each keep the one that the other deletes.
    pub fn first_delivery(&self, order_id: &OrderId) -> Option<(String, String)> {
        let messages = self.messages.get(order_id)?.iter();
        messages.filter_map(|message| Some((message.id.clone(), message.first_receipt.clone()?))).min()
    }

    /// Has SQS deliver this message again.
    pub fn redeliver_message(&mut self, message_id: String) {
        self.to_redeliver.insert(message_id);
    }

    /// Has SQS deliver every message of this order again.
    pub fn redeliver(&mut self, order_id: &OrderId) {
        let messages = self.messages.get(order_id).into_iter().flatten();
        self.to_redeliver.extend(messages.map(|message| message.id.clone()));
    }

    /// Has SQS deliver every message of these orders again, because of an error of the database.
    pub fn redeliver_after_database_failure<'a>(&mut self, order_ids: impl Iterator<Item = &'a OrderId>) {
        self.has_database_failed = true;
        for order_id in order_ids {
            self.redeliver(order_id);
        }
    }

    /// The answer to Lambda: the messages that SQS delivers again. Lambda deletes the others.
    ///
    /// # Errors
    /// [`DatabaseFailed`] if the database failed, and no message is done.
    pub fn response(self) -> Result<SqsBatchResponse, DatabaseFailed> {
        if self.has_database_failed && self.to_redeliver.len() == self.size {
            return Err(DatabaseFailed);
        }
        let mut response = SqsBatchResponse::default();
        for id in self.to_redeliver {
            response.add_failure(id);
        }
        Ok(response)
    }
}

/// The database failed, so that no message of a batch is done. For SQS this is the same as a response with all messages. Lambda counts it
/// as an error of the function, so the alarm rings, and takes back a version whose statements fail.
#[derive(Debug, thiserror::Error)]
#[error("the database failed, and no message of the batch is done; SQS will deliver them again")]
pub struct DatabaseFailed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_with_the_same_messages_choose_the_same_one() {
        let message = |id: &str| json!({"messageId": id, "receiptHandle": id, "body": "o-1", "attributes": {"ApproximateReceiveCount": "1"}});
        let chosen = |messages: [&str; 2]| {
            let event = json!({"Records": messages.map(message)});
            let batch = Batch::new(serde_json::from_value(event).unwrap());
            batch.first_delivery(&"o-1".parse().unwrap()).map(|(id, _)| id)
        };
        assert_eq!((chosen(["a", "b"]), chosen(["b", "a"])), (Some("a".to_owned()), Some("a".to_owned())));
    }
}
