//! The event source mapping: delivers a queue's messages to a function, as Lambda does with `ReportBatchItemFailures`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::queue::{Message, Queues};
use crate::runtime::Pool;

/// How long a poll waits for a message.
const WAIT: Duration = Duration::from_secs(1);

/// A batch of messages with a delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The delay of the delivery.
    pub late: Duration,
    /// The messages of the batch.
    pub messages: Vec<Message>,
}

/// Turns the received messages into deliveries. It can repeat, shuffle and delay them.
pub type Courier = Arc<dyn Fn(Vec<Message>) -> Vec<Delivery> + Send + Sync>;

/// The connection from the orders' queue to a function.
pub struct Mapping {
    /// The queues.
    pub queues: Arc<Queues>,
    /// The function's environments.
    pub pool: Arc<Pool>,
    /// The most messages in a batch.
    pub batch_size: usize,
    /// How long a batch that is not full waits for more messages.
    pub window: Duration,
    /// Decides how the messages are delivered.
    pub courier: Courier,
}

/// The courier that delivers every message once, in order and without delay.
pub fn reliable() -> Courier {
    Arc::new(|messages| vec![Delivery { late: Duration::ZERO, messages }])
}

impl Mapping {
    /// The mapping to a function, which delivers up to ten messages at a time, reliably and without a window.
    pub fn new(queues: Arc<Queues>, pool: Arc<Pool>) -> Self {
        Self { queues, pool, batch_size: 10, window: Duration::ZERO, courier: reliable() }
    }

    /// Starts this many pollers. Each delivers one batch at a time.
    #[must_use]
    pub fn start(self, concurrency: usize) -> Pollers {
        let (mapping, stop, mut tasks) = (Arc::new(self), watch::Sender::new(false), JoinSet::new());
        for _ in 0..concurrency {
            tasks.spawn(poll(Arc::clone(&mapping), stop.subscribe()));
        }
        Pollers { stop, tasks }
    }

    async fn batch(&self) -> Vec<Message> {
        let mut batch = self.queues.receive(self.batch_size, WAIT).await;
        if !batch.is_empty() && batch.len() < self.batch_size {
            sleep(self.window).await;
            batch.extend(self.queues.receive(self.batch_size - batch.len(), Duration::ZERO).await);
        }
        batch
    }

    /// Delivers one batch, and deletes the messages that did not fail. If the invocation fails, all messages stay and are
    /// visible again after their visibility timeout.
    async fn deliver(&self, messages: &[Message]) {
        let Ok(answer) = self.pool.invoke(event(messages)).await else { return };
        let is_of_batch = |id: &str| messages.iter().any(|message| message.id == id);
        let Some(failures) = failures(&answer, is_of_batch) else { return };
        for message in messages.iter().filter(|message| !failures.contains(&message.id)) {
            self.queues.delete(&message.receipt);
        }
    }
}

/// The pollers of a mapping. Dropping it aborts them.
pub struct Pollers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Pollers {
    /// Receives no more messages, and waits until the received ones are processed.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}

async fn poll(mapping: Arc<Mapping>, stop: watch::Receiver<bool>) {
    let mut late = JoinSet::new();
    while !*stop.borrow() {
        let batch = mapping.batch().await;
        let deliveries = if batch.is_empty() { Vec::new() } else { (mapping.courier)(batch) };
        for delivery in deliveries {
            if delivery.late.is_zero() {
                mapping.deliver(&delivery.messages).await;
            } else {
                late.spawn(deliver_late(Arc::clone(&mapping), delivery));
            }
        }
        while late.try_join_next().is_some() {}
    }
    late.join_all().await;
}

async fn deliver_late(mapping: Arc<Mapping>, delivery: Delivery) {
    sleep(delivery.late).await;
    mapping.deliver(&delivery.messages).await;
}

/// The event that Lambda sends for a batch.
pub fn event(messages: &[Message]) -> Bytes {
    let record = |message: &Message| {
        json!({
            "messageId": message.id,
            "receiptHandle": message.receipt,
            "body": message.body,
            "attributes": message.attributes(),
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:orders",
            "awsRegion": "us-east-1",
        })
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()}).to_string().into()
}

/// The event of a batch with these bodies. The messages' ids are `m0`, `m1`, … No queue has them, so none is at its first delivery, at
/// which the processor would keep it.
pub fn messages<T: AsRef<str>>(bodies: &[T]) -> Bytes {
    let message = |(index, body): (usize, &T)| Message {
        id: format!("m{index}"),
        receipt: format!("r{index}"),
        body: body.as_ref().to_owned(),
        group: None,
        receives: 2,
        trace: None,
    };
    event(&bodies.iter().enumerate().map(message).collect::<Vec<_>>())
}

/// The ids of the failed messages, by Lambda's rule. An empty answer, a null one and one without a list report no failure. Returns
/// `None` if the whole batch fails: the answer is not JSON, or an identifier is missing, empty or of no message of the batch.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
fn failures(answer: &[u8], is_of_batch: impl Fn(&str) -> bool) -> Option<HashSet<String>> {
    let answer = if answer.is_empty() { b"null" } else { answer };
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let failures = &answer["batchItemFailures"];
    if failures.is_null() {
        return Some(HashSet::new());
    }
    let id = |failure: &Value| failure["itemIdentifier"].as_str().filter(|id| is_of_batch(id)).map(str::to_owned);
    failures.as_array()?.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Option<Vec<String>> {
        failures(answer.as_bytes(), |id| id == "m-1").map(Vec::from_iter)
    }

    #[test]
    fn answer_without_failures_is_a_complete_success() {
        for answer in ["", "null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            assert_eq!(read(answer), Some(Vec::new()), "{answer}");
        }
        let one = r#"{"batchItemFailures":[{"itemIdentifier":"m-1"}]}"#;
        assert_eq!(read(one), Some(vec!["m-1".to_owned()]));
    }

    #[test]
    fn invalid_answer_fails_the_whole_batch() {
        assert_eq!(read("{"), None);
        for failure in ["{}", r#"{"itemIdentifier":null}"#, r#"{"itemIdentifier":""}"#, r#"{"itemIdentifier":"m-2"}"#] {
            let answer = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"m-1"}},{failure}]}}"#);
            assert_eq!(read(&answer), None, "{answer}");
        }
    }
}
