//! The queues. The body of a message is an order's identifier, and its attributes have the [`Group`] of the order's user. The order's row
//! is the truth, and a message is only a hint to look at it. A duplicate, a late message or a lost one therefore does no harm.
//!
//! Every call has a deadline. If the deadline ends part of a batch, that part counts as not done.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `QUEUE_URL` | the orders' queue | required |
//! | `DLQ_URL` | its dead-letter queue, for functions that read it or send to it | required |
//!
//! and those of [`crate::aws`].

mod group;
mod message;

use std::collections::HashSet;
use std::error::Error;
use std::hash::BuildHasher;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, QueueAttributeName,
};

use crate::aws::batch::{MAX_BATCH, parts, some_at_once};
use crate::aws::{Access, unlimited_retries};
use crate::config::{ConfigError, Env};
use crate::deadline::Deadline;
use crate::error::Chain;

pub use group::Group;
pub use message::{Message, Received};

/// The longest delay of a message: 15 minutes, `DelaySeconds` of the SQS API. A longer wait takes several messages.
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);
/// The longest time that the processor keeps a message for an order that is not due. A kept message is in flight, and a queue has about
/// 120,000 of these at most: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>
pub const LONGEST_KEPT: Duration = Duration::from_secs(10);
/// The longest wait of a receive, `WaitTimeSeconds` of the SQS API. Any wait above zero is a long poll, which asks all of SQS's
/// servers. A short poll asks some of them and may miss messages.
const LONG_POLL: Duration = Duration::from_secs(1);

/// A call to the queue failed. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The deadline passed before the queue answered.
    #[error("the queue did not answer in time")]
    OutOfTime,
    /// The queue refused the call, or the connection failed.
    #[error("the call to the queue failed")]
    Failed(#[source] SdkFailure),
    /// The queue answered without one of the numbers of its messages.
    #[error("the call to the queue failed: the answer lacks a number of messages")]
    NoDepth,
}

/// An error of the SDK. Its text has all causes and the answer. The causes alone lack the answer's status and the request's identifier.
#[derive(Debug, thiserror::Error)]
#[error("{}", DisplayErrorContext(&*self.0))]
pub struct SdkFailure(Box<dyn Error + Send + Sync>);

impl QueueError {
    fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed(SdkFailure(Box::new(error)))
    }
}

/// One queue.
pub struct Queue {
    client: Client,
    url: String,
}

/// The attributes whose sum is a queue's depth: its visible messages, the delayed ones and those in flight.
pub const DEPTH: [QueueAttributeName; 3] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
];

impl Queue {
    /// The orders' queue.
    pub fn orders(env: &Env) -> Result<Self, ConfigError> {
        let url = env.required("QUEUE_URL")?;
        let config = Builder::from(&Access::from_env(env)?.sdk_config()).retry_partition(unlimited_retries());
        Ok(Self { client: Client::from_conf(config.build()), url })
    }

    /// The dead-letter queue, over the same client.
    pub fn dead_letters(&self, env: &Env) -> Result<Self, ConfigError> {
        Ok(Self { client: self.client.clone(), url: env.required("DLQ_URL")? })
    }

    /// Sends one message.
    pub async fn send(&self, message: &Message, deadline: Deadline) -> Result<(), QueueError> {
        let call = self.client.send_message().queue_url(&self.url).message_body(message.body());
        let call = call.set_message_system_attributes(message.system_attributes()?);
        let call = call.set_message_attributes(message.attributes()?).delay_seconds(message.delay_seconds());
        let call = call.set_message_group_id(message.group_id());
        // Boxed, because every handler's future would otherwise have room for this one, which is large.
        Box::pin(within(deadline, call.send())).await.map(drop)
    }

    /// Sends messages, ten a call and several calls at once, until the deadline. Returns the indexes of the messages that the
    /// queue did not confirm.
    pub async fn send_all(&self, messages: &[Message], deadline: Deadline) -> HashSet<usize> {
        let parts = parts(messages.iter().map(|message| message.body().len()));
        let sent = some_at_once(parts.iter().map(|part| self.send_ten(&messages[part.clone()], deadline))).await;
        of_all_parts(
            &parts,
            sent,
            |error, messages| tracing::warn!(error = %Chain(&error), messages, "could not send messages"),
        )
    }

    async fn send_ten(&self, messages: &[Message], deadline: Deadline) -> Result<Vec<usize>, QueueError> {
        let entries = messages.iter().enumerate().map(|(index, message)| message.entry(index));
        let entries = entries.collect::<Result<_, _>>()?;
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = within(deadline, call.send()).await?;
        for failure in &answer.failed {
            tracing::warn!(code = failure.code, reason = failure.message, "could not send a message");
        }
        Ok(unconfirmed(messages.len(), answer.successful.iter().map(|message| message.id.as_str())))
    }

    /// Sets how long received messages stay invisible from now on, in whole seconds, rounded up. Returns the indexes of the messages
    /// that the queue did not confirm: they become visible at the end of their visibility timeout.
    pub async fn set_visibility_all(&self, messages: &[(String, Duration)], deadline: Deadline) -> HashSet<usize> {
        let parts = parts(messages.iter().map(|(receipt, _)| receipt.len()));
        let calls = parts.iter().map(|part| self.set_visibility_of_ten(&messages[part.clone()], deadline));
        of_all_parts(&parts, some_at_once(calls).await, |error, messages| {
            tracing::warn!(error = %Chain(&error), messages, "could not set the visibility of messages");
        })
    }

    async fn set_visibility_of_ten(
        &self,
        messages: &[(String, Duration)],
        deadline: Deadline,
    ) -> Result<Vec<usize>, QueueError> {
        let entry = |(index, (receipt, time)): (usize, &(String, Duration))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(whole_seconds(*time))
                .build()
        };
        let entries = messages.iter().enumerate().map(entry).collect::<Result<_, _>>().map_err(QueueError::new)?;
        let call = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = within(deadline, call.send()).await?;
        for failure in &answer.failed {
            tracing::warn!(code = failure.code, reason = failure.message, "could not set the visibility of a message");
        }
        Ok(unconfirmed(messages.len(), answer.successful.iter().map(|message| message.id.as_str())))
    }

    /// Receives up to `most` messages, ten at most, and makes them invisible for `invisible`, in whole seconds. Waits up to a
    /// second for messages. An empty list means that the queue has none.
    pub async fn receive(
        &self,
        most: usize,
        invisible: Duration,
        deadline: Deadline,
    ) -> Result<Vec<Received>, QueueError> {
        let most = i32::try_from(most.clamp(1, MAX_BATCH)).unwrap_or(1);
        let call = self.client.receive_message().queue_url(&self.url).max_number_of_messages(most);
        let call = call.wait_time_seconds(whole_seconds(LONG_POLL)).visibility_timeout(whole_seconds(invisible));
        let received = within(deadline, call.send()).await?.messages.unwrap_or_default().into_iter();
        Ok(received.filter_map(Received::read).collect())
    }

    /// Deletes received messages by their receipts. The queue delivers a message again if it could not delete it.
    pub async fn delete_all(&self, receipts: &[String], deadline: Deadline) {
        let calls = receipts.chunks(MAX_BATCH).map(|receipts| self.delete_ten(receipts, deadline));
        for deleted in some_at_once(calls).await {
            if let Err(error) = deleted {
                tracing::warn!(error = %Chain(&error), "could not delete up to ten messages; SQS will deliver them again");
            }
        }
    }

    async fn delete_ten(&self, receipts: &[String], deadline: Deadline) -> Result<(), QueueError> {
        let entry = |(index, receipt): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt).build()
        };
        let entries = receipts.iter().enumerate().map(entry).collect::<Result<_, _>>().map_err(QueueError::new)?;
        let call = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        for failure in within(deadline, call.send()).await?.failed {
            tracing::warn!(
                code = failure.code,
                reason = failure.message,
                "could not delete a message; SQS will deliver it again"
            );
        }
        Ok(())
    }

    /// The approximate number of messages: visible, delayed and in flight.
    pub async fn depth(&self, deadline: Deadline) -> Result<i64, QueueError> {
        let call = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(DEPTH.to_vec()));
        let found = within(deadline, call.send()).await?.attributes.unwrap_or_default();
        // A missing count is an error. As a zero it would let the sweeper send a message for every order.
        let numbers: Option<Vec<i64>> = DEPTH.iter().map(|name| found.get(name)?.parse().ok()).collect();
        Ok(numbers.ok_or(QueueError::NoDepth)?.iter().sum())
    }
}

/// Splits items into those that the queue confirmed and the others, whose indexes a call has returned.
#[must_use]
pub fn split<T>(
    items: impl IntoIterator<Item = T>,
    unconfirmed: &HashSet<usize, impl BuildHasher>,
) -> (Vec<T>, Vec<T>) {
    let (mut confirmed, mut others) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        if unconfirmed.contains(&index) { &mut others } else { &mut confirmed }.push(item);
    }
    (confirmed, others)
}

/// The indexes of the entries of a call whose ids are not among the confirmed ones.
fn unconfirmed<'a>(entries: usize, confirmed: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let confirmed: HashSet<_> = confirmed.collect();
    (0..entries).filter(|index| !confirmed.contains(index.to_string().as_str())).collect()
}

/// The indexes in the whole batch of the entries that were not confirmed, from those of each part. If a part's call failed, this is all of
/// its entries, and `log` gets the error and their number.
fn of_all_parts(
    parts: &[Range<usize>],
    unconfirmed: Vec<Result<Vec<usize>, QueueError>>,
    log: impl Fn(QueueError, usize),
) -> HashSet<usize> {
    let unconfirmed = parts.iter().zip(unconfirmed).map(|(part, unconfirmed)| match unconfirmed {
        Ok(indexes) => indexes.into_iter().map(|index| part.start + index).collect(),
        Err(error) => {
            log(error, part.len());
            part.clone().collect::<Vec<_>>()
        }
    });
    unconfirmed.flatten().collect()
}

/// Makes a call, unless the deadline passes first.
async fn within<T, E: Error + Send + Sync + 'static>(
    deadline: Deadline,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, QueueError> {
    if deadline.is_over() {
        return Err(QueueError::OutOfTime);
    }
    deadline.bound(call).await.map_or(Err(QueueError::OutOfTime), |made| made.map_err(QueueError::new))
}

fn whole_seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::batch::MAX_BYTES;

    #[test]
    fn messages_are_split_by_ten_and_by_size() {
        let of = |sizes: &[usize]| {
            let message = |size: &usize| Message::dead_letter(&"x".repeat(*size), None, "why");
            parts(sizes.iter().map(message).map(|message| message.body().len()))
        };
        assert!(of(&[]).is_empty());
        assert_eq!(of(&[1; 21]), [0..10, 10..20, 20..21]);
        assert_eq!(of(&[1, MAX_BYTES, 2, 250_000, 3]), [0..1, 1..2, 2..3, 3..4, 4..5]);
    }

    #[test]
    fn log_of_a_failed_call_has_its_causes_once_and_its_details() {
        let error = QueueError::new(std::io::Error::other("connection reset"));
        let text =
            "the call to the queue failed: connection reset (Custom { kind: Other, error: \"connection reset\" })";
        assert_eq!(Chain(&error).to_string(), text);
    }

    #[test]
    fn delay_is_rounded_up_and_cut_at_fifteen_minutes() {
        let order_id = "a".parse().unwrap();
        let seconds = |millis| Message::new(&order_id, None, Duration::from_millis(millis)).delay_seconds();
        assert_eq!([seconds(0), seconds(1), seconds(5000), seconds(899_001), seconds(3_600_000)], [0, 1, 5, 900, 900]);
    }
}
