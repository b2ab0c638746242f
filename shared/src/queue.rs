//! The queues. A message says an order's identifier and nothing else: the order's row is the truth, and a message
//! only ever a hint to look, so a duplicate, a late one or a lost one does no harm.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `QUEUE_URL` | the orders' queue | required |
//! | `DLQ_URL` | its dead-letter queue, for those who look at it or put something in | required |
//!
//! and those of [`crate::aws`].

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
    MessageSystemAttributeNameForSends as SystemAttribute, MessageSystemAttributeValue as SystemAttributeValue,
    QueueAttributeName, SendMessageBatchRequestEntry,
};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use crate::aws::Access;
use crate::config::{ConfigError, Env};
use crate::gather::Gather;
use crate::order::OrderId;
use crate::telemetry::Trace;

/// The longest delay of a message: 15 minutes, `DelaySeconds` of the SQS API. What waits longer is delayed again.
const MAX_DELAY: Duration = Duration::from_mins(15);
/// The most messages of one call, of the same API.
const MAX_BATCH: usize = 10;
/// The most messages that are sent together for several calls: as many as go at once.
const MOST_TOGETHER: usize = MAX_BATCH * CALLS_AT_ONCE;
/// How many calls for parts of the same batch are under way at once.
const CALLS_AT_ONCE: usize = 8;

/// How long a call may take, the SDK's own retries included: an order that was accepted must not wait for the queue.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);

/// A call to the queue failed. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("the queue can't be used: {0}")]
pub struct QueueError(String);

impl QueueError {
    fn new(error: impl std::error::Error) -> Self {
        Self(DisplayErrorContext(error).to_string())
    }
}

/// What the queue is told: that an order wants attention.
#[derive(Debug, Clone)]
pub struct Wake {
    order_id: OrderId,
    delay: Duration,
    trace: Option<Trace>,
}

impl Wake {
    /// That the order will want attention after `delay`, rounded up to whole seconds and cut at 15 minutes. Whoever attends to
    /// it is part of the trace of this invocation.
    #[must_use]
    pub fn new(order_id: &OrderId, delay: Duration) -> Self {
        Self { order_id: order_id.clone(), delay, trace: Trace::current() }
    }

    /// The same, of another trace.
    #[must_use]
    pub fn with_trace(self, trace: Option<Trace>) -> Self {
        Self { trace, ..self }
    }

    fn attributes(&self) -> Result<Option<HashMap<SystemAttribute, SystemAttributeValue>>, QueueError> {
        let Some(trace) = &self.trace else { return Ok(None) };
        let value = SystemAttributeValue::builder().data_type("String").string_value(trace.header()).build();
        Ok(Some(HashMap::from([(SystemAttribute::AwsTraceHeader, value.map_err(QueueError::new)?)])))
    }
}

/// One queue.
pub struct Queue {
    client: Client,
    url: String,
    gather: Gather<Wake, Result<(), QueueError>>,
}

impl Queue {
    /// The orders' queue.
    pub fn orders(env: &Env) -> Result<Self, ConfigError> {
        let url = env.required("QUEUE_URL")?;
        let config = Access::from_env(env)?.sdk_config(OPERATION_TIMEOUT);
        Ok(Self::new(Client::new(&config), url))
    }

    /// The dead-letter queue, over the same client.
    pub fn dead_letters(&self, env: &Env) -> Result<Self, ConfigError> {
        Ok(Self::new(self.client.clone(), env.required("DLQ_URL")?))
    }

    const fn new(client: Client, url: String) -> Self {
        Self { client, url, gather: Gather::new(MOST_TOGETHER) }
    }

    /// Tells the queue of an order. What is to be told at the same time is told together.
    pub async fn send(&self, wake: Wake) -> Result<(), QueueError> {
        let sent = timeout(OPERATION_TIMEOUT, self.gather.submit(wake, |wakes| self.send_each(wakes))).await;
        sent.ok().flatten().unwrap_or_else(|| Err(QueueError("the call took too long".to_owned())))
    }

    async fn send_each(&self, wakes: Vec<Wake>) -> Vec<Result<(), QueueError>> {
        if let [wake] = wakes.as_slice() {
            return vec![self.send_one(wake).await];
        }
        let unsent = self.send_all(&wakes).await;
        let refused = || QueueError("the queue refused a message of several".to_owned());
        (0..wakes.len()).map(|index| if unsent.contains(&index) { Err(refused()) } else { Ok(()) }).collect()
    }

    async fn send_one(&self, wake: &Wake) -> Result<(), QueueError> {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(wake.order_id.as_str())
            .delay_seconds(delay_seconds(wake.delay))
            .set_message_system_attributes(wake.attributes()?)
            .send()
            .await
            .map(drop)
            .map_err(QueueError::new)
    }

    /// Tells the queue of many orders, ten a call and several calls at once. Gives the indexes of those that it could not be
    /// told of.
    pub async fn send_all(&self, wakes: &[Wake]) -> Vec<usize> {
        let sent = some_at_once(wakes.chunks(MAX_BATCH).map(|wakes| self.send_ten(wakes))).await;
        let unsent = sent.into_iter().zip(wakes.chunks(MAX_BATCH)).map(|(sent, wakes)| {
            sent.unwrap_or_else(|error| {
                tracing::warn!(%error, messages = wakes.len(), "messages could not be sent");
                (0..wakes.len()).collect()
            })
        });
        let number =
            |(chunk, unsent): (usize, Vec<usize>)| unsent.into_iter().map(move |index| chunk * MAX_BATCH + index);
        unsent.enumerate().flat_map(number).collect()
    }

    async fn send_ten(&self, wakes: &[Wake]) -> Result<Vec<usize>, QueueError> {
        let entry = |(index, wake): (usize, &Wake)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(wake.order_id.as_str())
                .delay_seconds(delay_seconds(wake.delay))
                .set_message_system_attributes(wake.attributes()?)
                .build()
                .map_err(QueueError::new)
        };
        let entries = wakes.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
        let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let failed = sent.map_err(QueueError::new)?.failed;
        for failure in &failed {
            tracing::warn!(code = failure.code, message = failure.message, "a message could not be sent");
        }
        Ok(failed.iter().filter_map(|failure| failure.id.parse().ok()).collect())
    }

    /// Keeps messages, by their receipts, from being delivered again before these times are over, rounded up to whole
    /// seconds. Where that fails they come back when their visibility timeout is over, which does no harm.
    pub async fn hide_all(&self, messages: &[(String, Duration)]) {
        for hidden in some_at_once(messages.chunks(MAX_BATCH).map(|messages| self.hide_ten(messages))).await {
            if let Err(error) = hidden {
                tracing::warn!(%error, "up to ten messages come back later than they should");
            }
        }
    }

    async fn hide_ten(&self, messages: &[(String, Duration)]) -> Result<(), QueueError> {
        let entry = |(index, (receipt, time)): (usize, &(String, Duration))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(whole_seconds(*time))
                .build()
        };
        let entries = messages.iter().enumerate().map(entry).collect::<Result<_, _>>().map_err(QueueError::new)?;
        let call = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        for failure in call.send().await.map_err(QueueError::new)?.failed {
            tracing::warn!(code = failure.code, message = failure.message, "a message comes back later than it should");
        }
        Ok(())
    }

    /// Sends any text, with the reason why beside it: for the dead-letter queue.
    pub async fn bury(&self, body: &str, reason: &str) -> Result<(), QueueError> {
        let reason = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .message_attributes("reason", reason.map_err(QueueError::new)?)
            .send()
            .await
            .map(drop)
            .map_err(QueueError::new)
    }

    /// Takes up to ten messages, which stay hidden from everybody else for this long, whole seconds.
    pub async fn take(&self, hidden: Duration) -> Result<Vec<Taken>, QueueError> {
        let most = i32::try_from(MAX_BATCH).unwrap_or(1);
        let call = self.client.receive_message().queue_url(&self.url).max_number_of_messages(most);
        let received = call.visibility_timeout(whole_seconds(hidden)).send().await.map_err(QueueError::new)?;
        let taken = received.messages.unwrap_or_default().into_iter();
        Ok(taken.filter_map(|message| Some(Taken { body: message.body?, receipt: message.receipt_handle? })).collect())
    }

    /// Deletes messages by their receipts. What can't be deleted comes back.
    pub async fn delete_all(&self, receipts: &[String]) {
        for deleted in some_at_once(receipts.chunks(MAX_BATCH).map(|receipts| self.delete_ten(receipts))).await {
            if let Err(error) = deleted {
                tracing::warn!(%error, "up to ten messages could not be deleted; they come back");
            }
        }
    }

    async fn delete_ten(&self, receipts: &[String]) -> Result<(), QueueError> {
        let entry = |(index, receipt): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt).build()
        };
        let entries = receipts.iter().enumerate().map(entry).collect::<Result<_, _>>().map_err(QueueError::new)?;
        let call = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        for failure in call.send().await.map_err(QueueError::new)?.failed {
            tracing::warn!(
                code = failure.code,
                message = failure.message,
                "a message could not be deleted; it comes back"
            );
        }
        Ok(())
    }

    /// How many messages there are, about, whether visible, delayed or in flight.
    pub async fn depth(&self) -> Result<i64, QueueError> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let asked =
            self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(counts.to_vec())).send();
        let found = asked.await.map_err(QueueError::new)?.attributes.unwrap_or_default();
        Ok(counts.iter().filter_map(|name| found.get(name)?.parse::<i64>().ok()).sum())
    }
}

/// A message that was taken from a queue, and is still there until it is deleted.
#[derive(Debug)]
pub struct Taken {
    /// What it says.
    pub body: String,
    /// What deletes it, or makes it visible again.
    pub receipt: String,
}

/// Makes the calls, some at once, and gives what they gave, in their order.
async fn some_at_once<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let calls: Vec<_> = calls.collect();
    stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await
}

fn delay_seconds(delay: Duration) -> i32 {
    whole_seconds(delay.min(MAX_DELAY))
}

fn whole_seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_and_cut_at_fifteen_minutes() {
        let seconds = |millis| delay_seconds(Duration::from_millis(millis));
        assert_eq!([seconds(0), seconds(1), seconds(5000), seconds(899_001), seconds(3_600_000)], [0, 1, 5, 900, 900]);
    }
}
