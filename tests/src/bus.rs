//! An event bus of a single test, with a rule that sends its events to a queue.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::Target;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Stack, eventually};

/// A fresh bus on the stack's emulated AWS.
pub struct Bus {
    /// The name, the value for `EVENT_BUS`.
    pub name: String,
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

impl Bus {
    /// Creates a bus, a queue, and a rule that sends the bus's events to the queue.
    pub async fn new() -> Self {
        let stack = Stack::running();
        let (sqs, events) = (stack.sqs(), stack.events());
        let name = format!("test-{}-bus", Uuid::new_v4().simple());
        let made = sqs.create_queue().queue_name(format!("{name}-events")).send().await;
        let queue_url = made.expect("a queue can be created").queue_url.expect("a URL");
        let asked = sqs.get_queue_attributes().queue_url(&queue_url).attribute_names(QueueAttributeName::QueueArn);
        let attributes = asked.send().await.expect("the queue answers").attributes.expect("attributes");
        let arn = &attributes[&QueueAttributeName::QueueArn];
        events.create_event_bus().name(&name).send().await.expect("a bus can be created");
        let bus = Self { name, sqs, queue_url };
        bus.receive_from(&events, &bus.name, "all", r#"{"source": ["ordermill"]}"#, arn).await;
        bus
    }

    /// Receives the events of this order too, from the default bus.
    pub async fn add_default(&self, order_id: &str) {
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{}-events", self.name);
        let pattern = json!({"source": ["ordermill"], "detail": {"order": {"order_id": [order_id]}}});
        let events = Stack::running().events();
        self.receive_from(&events, "default", &self.name, &pattern.to_string(), &arn).await;
    }

    async fn receive_from(&self, events: &Client, bus: &str, rule: &str, pattern: &str, queue_arn: &str) {
        let made = events.put_rule().name(rule).event_bus_name(bus).event_pattern(pattern).send();
        made.await.expect("a rule can be created");
        let target = Target::builder().id("queue").arn(queue_arn).build().expect("a target");
        let targets = events.put_targets().rule(rule).event_bus_name(bus).targets(target);
        targets.send().await.expect("a target can be added");
    }

    /// Receives and deletes the events that have arrived, and waits for none.
    pub async fn arrived(&self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let asked = self.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(10).send();
            let messages = asked.await.expect("the queue answers").messages.unwrap_or_default();
            if messages.is_empty() {
                return events;
            }
            for message in messages {
                let done = self.sqs.delete_message().queue_url(&self.queue_url);
                done.set_receipt_handle(message.receipt_handle).send().await.expect("the queue answers");
                events.push(serde_json::from_str(&message.body.expect("a body")).expect("an event is JSON"));
            }
        }
    }

    /// Waits until events of so many ends have arrived, and returns one of each end that arrived. An event comes again if the answer of the
    /// bus came too late.
    pub async fn events(&self, ends: usize) -> Vec<Value> {
        let events = tokio::sync::Mutex::new(BTreeMap::new());
        eventually(&format!("events of {ends} ends"), Duration::from_mins(1), async || {
            let mut events = events.lock().await;
            events
                .extend(self.arrived().await.into_iter().map(|event| (event["detail"]["event_id"].to_string(), event)));
            (events.len() >= ends).then_some(())
        })
        .await;
        events.into_inner().into_values().collect()
    }
}
