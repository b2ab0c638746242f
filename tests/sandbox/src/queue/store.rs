//! A queue's messages, ordered by the time at which they become visible.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::fair::Groups;

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message id.
    pub id: String,
    /// The receipt handle, which deletes the message or changes its visibility.
    pub receipt: String,
    /// The body.
    pub body: String,
    /// Its message group identifier.
    pub group: Option<String>,
    /// How often it was received, this receive included.
    pub receives: u32,
    /// The trace header that it was sent with.
    pub trace: Option<String>,
}

impl Message {
    /// Its attributes, as SQS names them.
    pub fn attributes(&self) -> Value {
        let mut attributes = json!({"ApproximateReceiveCount": self.receives.to_string()});
        for (name, value) in [("AWSTraceHeader", &self.trace), ("MessageGroupId", &self.group)] {
            if let Some(value) = value {
                attributes[name] = value.as_str().into();
            }
        }
        attributes
    }
}

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that can be received now.
    pub visible: usize,
    /// Messages whose delay is not over.
    pub delayed: usize,
    /// Received messages whose visibility timeout is not over.
    pub in_flight: usize,
}

impl Counts {
    /// All messages.
    pub fn total(self) -> usize {
        self.visible + self.delayed + self.in_flight
    }
}

/// A message as it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// What it says.
    pub body: String,
    /// The group it is sent with.
    pub group: Option<String>,
    /// The trace it is sent with.
    pub trace: Option<String>,
    /// How long it stays invisible.
    pub delay: Duration,
}

/// A queue.
pub struct Queue {
    visibility: Duration,
    most_receives: u32,
    messages: HashMap<u64, Stored>,
    groups: Groups,
    sent: u64,
}

struct Stored {
    body: String,
    group: Option<String>,
    trace: Option<String>,
    visible_at: Instant,
    received_at: Option<Instant>,
    receives: u32,
}

impl Queue {
    /// An empty queue.
    pub fn new(visibility: Duration, most_receives: u32) -> Self {
        Self { visibility, most_receives, messages: HashMap::new(), groups: Groups::default(), sent: 0 }
    }

    /// Adds a message, and returns its id.
    pub fn send(&mut self, message: Sent) -> String {
        self.sent += 1;
        let (number, Sent { body, group, trace, delay }) = (self.sent, message);
        let visible_at = Instant::now() + delay;
        self.groups.wait(&group, (visible_at, number));
        self.messages.insert(number, Stored { body, group, trace, visible_at, received_at: None, receives: 0 });
        id(number)
    }

    /// Returns up to `max` visible messages. Also removes the messages that were received too often, and returns them.
    pub fn receive(&mut self, max: usize) -> (Vec<Message>, Vec<Sent>) {
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        while received.len() < max {
            let Some(number) = self.groups.next(Instant::now()) else { break };
            if self.is_received_too_often(number) {
                dead.extend(self.remove(number));
            } else {
                received.extend(self.receive_one(number));
            }
        }
        (received, dead)
    }

    /// Deletes the message. Returns false if it does not exist.
    pub fn delete(&mut self, receipt: &str) -> bool {
        number(receipt).and_then(|number| self.remove(number)).is_some()
    }

    /// Makes the message visible after `time`. Returns false if it does not exist.
    pub fn change_visibility(&mut self, receipt: &str, time: Duration) -> bool {
        number(receipt).is_some_and(|number| self.show_at(number, Instant::now() + time))
    }

    /// Removes up to `max` random messages, and returns their bodies.
    pub fn steal(&mut self, max: usize) -> Vec<String> {
        let mut numbers: Vec<_> = self.messages.keys().copied().collect();
        fastrand::shuffle(&mut numbers);
        numbers.into_iter().take(max).filter_map(|number| self.remove(number)).map(|message| message.body).collect()
    }

    /// Ends the delay of every message that was never received, and returns their bodies.
    pub fn hasten(&mut self) -> Vec<String> {
        let (now, mut hastened) = (Instant::now(), Vec::new());
        let delayed = self.messages.iter_mut().filter(|(_, message)| message.receives == 0 && message.visible_at > now);
        for (number, message) in delayed {
            self.groups.remove(&message.group, (message.visible_at, *number), Duration::ZERO);
            message.visible_at = now;
            self.groups.wait(&message.group, (now, *number));
            hastened.push(message.body.clone());
        }
        hastened
    }

    /// How many messages the queue holds.
    pub fn counts(&self) -> Counts {
        let now = Instant::now();
        let mut counts = Counts::default();
        for message in self.messages.values() {
            match (message.visible_at <= now, message.receives) {
                (true, _) => counts.visible += 1,
                (false, 0) => counts.delayed += 1,
                (false, _) => counts.in_flight += 1,
            }
        }
        counts
    }

    fn is_received_too_often(&self, number: u64) -> bool {
        self.messages.get(&number).is_some_and(|message| message.receives >= self.most_receives)
    }

    fn receive_one(&mut self, number: u64) -> Option<Message> {
        let now = Instant::now();
        self.show_at(number, now + self.visibility);
        let message = self.messages.get_mut(&number)?;
        message.receives += 1;
        message.received_at = Some(now);
        let receipt = format!("{}#{}", id(number), message.receives);
        let (body, group, trace) = (message.body.clone(), message.group.clone(), message.trace.clone());
        Some(Message { id: id(number), receipt, body, group, receives: message.receives, trace })
    }

    fn show_at(&mut self, number: u64, at: Instant) -> bool {
        let Some(message) = self.messages.get_mut(&number) else { return false };
        self.groups.remove(&message.group, (message.visible_at, number), Duration::ZERO);
        message.visible_at = at;
        self.groups.deliver(&message.group, (at, number));
        true
    }

    fn remove(&mut self, number: u64) -> Option<Sent> {
        let Stored { body, group, trace, visible_at, received_at, .. } = self.messages.remove(&number)?;
        let busy = received_at.map(|at| at.elapsed()).unwrap_or_default();
        self.groups.remove(&group, (visible_at, number), busy);
        Some(Sent { body, group, trace, delay: Duration::ZERO })
    }
}

fn id(number: u64) -> String {
    format!("message-{number}")
}

/// The number of the message that a receipt belongs to. As on SQS, an old receipt stays valid as long as the message exists.
fn number(receipt: &str) -> Option<u64> {
    receipt.strip_prefix("message-")?.split('#').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new(Duration::from_secs(30), 2)
    }

    #[test]
    fn message_is_invisible_while_delayed_and_while_in_flight() {
        let mut queue = queue();
        queue.send(Sent { body: "late".to_owned(), delay: Duration::from_mins(1), ..Sent::default() });
        queue.send(Sent { body: "now".to_owned(), ..Sent::default() });
        let (received, _) = queue.receive(10);
        assert_eq!(received.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["now"]);
        assert_eq!(queue.counts(), Counts { visible: 0, delayed: 1, in_flight: 1 });
        assert!(queue.change_visibility(&received[0].receipt, Duration::ZERO));
        let (again, _) = queue.receive(10);
        assert_eq!(again[0].receives, 2);
        assert!(queue.delete(&received[0].receipt) && !queue.delete(&again[0].receipt));
    }

    #[test]
    fn message_received_too_often_becomes_a_dead_letter() {
        let mut queue = queue();
        let message = Sent { body: "o-1".to_owned(), group: Some("alice".to_owned()), ..Sent::default() };
        queue.send(message.clone());
        for _ in 0..2 {
            let (received, dead) = queue.receive(1);
            assert!(dead.is_empty() && queue.change_visibility(&received[0].receipt, Duration::ZERO));
        }
        assert_eq!(queue.receive(1), (Vec::new(), vec![message]));
        assert_eq!(queue.counts().total(), 0);
    }
}
