//! Lambda's event for a batch of SQS messages, with only the fields that the processor reads. The type of `aws_lambda_events` has all
//! fields of each message, which is a third of a large batch's cost.

use serde::Deserialize;

/// A batch of messages, as Lambda delivers it.
#[derive(Debug, Clone, Deserialize)]
pub struct SqsEvent {
    /// The messages.
    #[serde(rename = "Records")]
    pub messages: Vec<SqsMessage>,
}

/// A message as SQS delivered it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsMessage {
    /// The identifier that SQS gave it.
    pub message_id: Option<String>,
    /// The receipt handle of this delivery.
    pub receipt_handle: Option<String>,
    /// The text.
    pub body: Option<String>,
    /// Its system attributes.
    pub attributes: Option<Attributes>,
}

/// The attributes of a message.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Attributes {
    /// The message group identifier.
    #[serde(rename = "MessageGroupId")]
    pub group: Option<String>,
    /// The sender's trace.
    #[serde(rename = "AWSTraceHeader")]
    pub trace: Option<String>,
    /// How often SQS has delivered it, this delivery included, as decimal digits.
    #[serde(rename = "ApproximateReceiveCount")]
    pub receives: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_read_by_the_members_that_are_used() {
        let event = r#"{"Records": [
            {"messageId": "m-1", "body": "order-1", "receiptHandle": "r", "eventSource": "aws:sqs", "messageAttributes": {"a": {"dataType": "String"}},
             "attributes": {"SentTimestamp": "1", "MessageGroupId": "g", "AWSTraceHeader": "Root=1", "ApproximateReceiveCount": "2"}},
            {"messageId": "m-2", "body": null, "attributes": {}},
            {"messageId": "m-3"}
        ]}"#;
        let SqsEvent { messages } = serde_json::from_str(event).unwrap();
        let read = messages.into_iter().map(|message| {
            let Attributes { group, trace, receives } = message.attributes.unwrap_or_default();
            (message.message_id.unwrap(), message.receipt_handle, message.body, [group, trace, receives])
        });
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            ("m-1".to_owned(), text("r"), text("order-1"), [text("g"), text("Root=1"), text("2")]),
            ("m-2".to_owned(), None, None, [const { None }; 3]),
            ("m-3".to_owned(), None, None, [const { None }; 3]),
        ];
        assert!(read.eq(expected));
    }
}
