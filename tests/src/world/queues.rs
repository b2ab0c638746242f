//! A world's queues, and batches of messages for its processor.

use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use processor::event::SqsEvent;
use processor::{Outcome, Processor, Simulated, Work};
use sandbox::mapping;
use shared::db::Store;
use shared::db::claim::Claimed;
use shared::deadline::Deadline;

use super::World;

impl World {
    /// The orders' queue.
    pub fn queue_url(&self) -> &str {
        &self.queue_url
    }

    /// The number of messages in the orders' queue: visible, delayed and in flight.
    pub async fn queue_depth(&self) -> i64 {
        self.depth(&self.queue_url, "ApproximateNumberOfMessages").await
    }

    /// The number of delayed messages in the orders' queue.
    pub async fn delayed(&self) -> i64 {
        self.depth(&self.queue_url, "ApproximateNumberOfMessagesDelayed").await
    }

    /// The number of messages in the dead-letter queue.
    pub async fn dead_letters(&self) -> i64 {
        self.depth(&self.dlq_url, "ApproximateNumberOfMessages").await
    }

    /// The sum of the queue's attributes whose names begin so.
    async fn depth(&self, url: &str, names: &str) -> i64 {
        let all = aws_sdk_sqs::types::QueueAttributeName::All;
        let asked = self.sqs.get_queue_attributes().queue_url(url).attribute_names(all).send();
        let attributes = asked.await.expect("the queue answers").attributes.unwrap_or_default();
        let counts = attributes.iter().filter(|(name, _)| name.as_str().starts_with(names));
        counts.map(|(_, count)| count.parse::<i64>().expect("a count")).sum()
    }

    /// Processes a batch of these messages without a delay. Asserts that none fails.
    pub async fn process<T: AsRef<str>>(&self, bodies: &[T]) {
        self.process_with(Simulated { delay: Duration::ZERO }, bodies).await;
    }

    /// The same with this work.
    pub async fn process_with<W: Work, T: AsRef<str>>(&self, work: W, bodies: &[T]) {
        let response = handle(&self.processor_with(work), bodies).await;
        assert_eq!(failures(&response), [""; 0]);
    }

    /// Has the work of these orders fail for good, with this cause.
    pub async fn refuse<T: AsRef<str>>(&self, order_ids: &[T], cause: &str) {
        self.process_with(OutcomeBy(|_: &str| Outcome::Fail(cause.to_owned())), order_ids).await;
    }

    /// Receives and deletes the next message of the orders' queue. Waits up to ten seconds, and returns its body.
    pub async fn receive(&self) -> Option<String> {
        self.receive_from(&self.queue_url).await?.body
    }

    /// Receives the next message of the orders' queue, as Lambda delivers it. It stays in the queue.
    pub async fn deliver(&self) -> SqsEvent {
        let message = self.receive_and_keep(&self.queue_url).await.expect("a message");
        let receives = &message.attributes.expect("attributes")[&MessageSystemAttributeName::ApproximateReceiveCount];
        let mut event = batch(&[message.body.expect("a body")]);
        event.messages[0].receipt_handle = message.receipt_handle;
        event.messages[0].attributes.as_mut().expect("attributes").receives = Some(receives.clone());
        event
    }

    /// Receives and deletes the next message of the dead-letter queue.
    pub async fn receive_dead_letter(&self) -> Option<String> {
        self.receive_from(&self.dlq_url).await?.body
    }

    /// Takes the next message from the orders' queue; gives the group that it was sent with.
    pub async fn receive_group(&self) -> Option<String> {
        group(self.receive_from(&self.queue_url).await.expect("a message"))
    }

    /// The same from the dead-letter queue.
    pub async fn receive_dead_letters_group(&self) -> Option<String> {
        group(self.receive_from(&self.dlq_url).await.expect("a message"))
    }

    async fn receive_and_keep(&self, url: &str) -> Option<Message> {
        let call = self.sqs.receive_message().queue_url(url).wait_time_seconds(10);
        let asked = call.message_system_attribute_names(MessageSystemAttributeName::All).send();
        asked.await.expect("the queue answers").messages.unwrap_or_default().pop()
    }

    async fn receive_from(&self, url: &str) -> Option<Message> {
        let message = self.receive_and_keep(url).await?;
        let done = self.sqs.delete_message().queue_url(url).set_receipt_handle(message.receipt_handle.clone());
        done.send().await.expect("the queue answers");
        Some(message)
    }

    /// Sends a message to the dead-letter queue.
    pub async fn send_dead_letter(&self, body: &str) {
        let call = self.sqs.send_message().queue_url(&self.dlq_url).message_body(body);
        call.send().await.expect("the queue answers");
    }

    /// Sends messages for these orders to the orders' queue, ten in a call.
    pub async fn send_many(&self, order_ids: &[String]) {
        for ten in order_ids.chunks(10) {
            let entries = ten.iter().enumerate().map(|(index, order_id)| {
                let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(order_id);
                entry.build().expect("an entry")
            });
            let call = self.sqs.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries.collect()));
            call.send().await.expect("the queue answers");
        }
    }
}

/// Creates a queue, and returns its URL.
pub(super) async fn create(sqs: &aws_sdk_sqs::Client, name: String) -> String {
    sqs.create_queue().queue_name(name).send().await.expect("a queue can be created").queue_url.expect("a URL")
}

/// The group that a message was sent with.
fn group(message: Message) -> Option<String> {
    message.attributes?.remove(&MessageSystemAttributeName::MessageGroupId)
}

/// The batch of [`mapping::messages`] with these bodies.
pub fn batch<T: AsRef<str>>(bodies: &[T]) -> SqsEvent {
    serde_json::from_slice(&mapping::messages(bodies)).expect("an event")
}

/// Work that does nothing, and returns at once the outcome that this function chooses by the order's id.
pub struct OutcomeBy<F>(pub F);

impl<F: Fn(&str) -> Outcome + Sync> Work for OutcomeBy<F> {
    async fn run(&self, order: &Claimed, _: &Store, _: Deadline) -> Outcome {
        (self.0)(order.order_id.as_str())
    }
}

/// Invokes the processor with a batch of these messages.
pub async fn handle<W: Work, T: AsRef<str>>(processor: &Processor<W>, bodies: &[T]) -> SqsBatchResponse {
    let batch = batch(bodies);
    let ids: Vec<_> = batch.messages.iter().map(|message| message.message_id.clone().unwrap_or_default()).collect();
    // SQS delivers all messages again after an error.
    processor.handle(batch).await.unwrap_or_else(|_| {
        let mut response = SqsBatchResponse::default();
        for id in ids {
            response.add_failure(id);
        }
        response
    })
}

/// The ids of the messages that failed and have to be delivered again.
pub fn failures(response: &SqsBatchResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}
