//! Messages: what is sent to a queue, and what is received.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends as SystemAttribute,
    MessageSystemAttributeValue as SystemAttributeValue, SendMessageBatchRequestEntry,
};

use super::{Group, LONGEST_DELAY, QueueError, whole_seconds};
use crate::order::OrderId;
use crate::telemetry::Trace;

/// The most characters of a dead letter's reason.
const MAX_REASON: usize = 256;

/// A message to send.
#[derive(Debug, Clone)]
pub struct Message {
    body: String,
    group: Option<Group>,
    delay: Duration,
    trace: Option<Trace>,
    reason: Option<String>,
}

impl Message {
    /// A message that makes the processor look at the order after `delay`. The delay is rounded up to whole seconds and cut at 15
    /// minutes. `group` is the group of the order's user. The order's processing joins this invocation's trace.
    #[must_use]
    pub fn new(order_id: &OrderId, group: Option<Group>, delay: Duration) -> Self {
        Self { body: order_id.to_string(), group, delay, trace: Trace::current(), reason: None }
    }

    /// A dead letter: any text, with the attribute `reason`, cut at 256 characters. It keeps the group of the message it was.
    #[must_use]
    pub fn dead_letter(body: &str, group: Option<Group>, reason: &str) -> Self {
        let reason = Some(reason.chars().take(MAX_REASON).collect());
        Self { body: body.to_owned(), group, delay: Duration::ZERO, trace: None, reason }
    }

    /// The same message in another trace.
    #[must_use]
    pub fn with_trace(self, trace: Option<Trace>) -> Self {
        Self { trace, ..self }
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    pub(super) fn delay_seconds(&self) -> i32 {
        whole_seconds(self.delay.min(LONGEST_DELAY))
    }

    pub(super) fn group_id(&self) -> Option<String> {
        self.group.as_ref().map(|group| group.as_str().to_owned())
    }

    pub(super) fn system_attributes(
        &self,
    ) -> Result<Option<HashMap<SystemAttribute, SystemAttributeValue>>, QueueError> {
        let Some(trace) = &self.trace else { return Ok(None) };
        let value = SystemAttributeValue::builder().data_type("String").string_value(trace.header()).build();
        Ok(Some(HashMap::from([(SystemAttribute::AwsTraceHeader, value.map_err(QueueError::new)?)])))
    }

    pub(super) fn attributes(&self) -> Result<Option<HashMap<String, MessageAttributeValue>>, QueueError> {
        let Some(reason) = &self.reason else { return Ok(None) };
        let value = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        Ok(Some(HashMap::from([("reason".to_owned(), value.map_err(QueueError::new)?)])))
    }

    pub(super) fn entry(&self, index: usize) -> Result<SendMessageBatchRequestEntry, QueueError> {
        let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(&self.body);
        let entry = entry.set_message_system_attributes(self.system_attributes()?);
        let entry = entry.set_message_attributes(self.attributes()?).delay_seconds(self.delay_seconds());
        entry.set_message_group_id(self.group_id()).build().map_err(QueueError::new)
    }
}

/// A received message. It stays in the queue until it is deleted.
#[derive(Debug)]
pub struct Received {
    /// The text.
    pub body: String,
    /// The receipt handle, which deletes the message or sets its visibility.
    pub receipt: String,
}

impl Received {
    /// A message as SQS delivers it; `None` without a body or a receipt, which SQS never sends.
    pub(super) fn read(message: aws_sdk_sqs::types::Message) -> Option<Self> {
        Some(Self { body: message.body?, receipt: message.receipt_handle? })
    }
}
