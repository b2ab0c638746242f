//! A local SQS with the service's two queues, and an event bus: the JSON 1.0 protocol over queues in memory, with a hook that
//! sees each call before it takes effect. The queues are fair, as those of SQS are: see `fair`.
//!
//! This implements SQS itself instead of using the crate `winterbaume-sqs`. In that crate each receive and each delete walks all
//! messages, delayed ones included, so that it slows down as a backlog grows. Its delayed messages also follow the wall clock.

mod bus;
mod fair;
mod protocol;
mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::Result;
use crate::server::Server;

pub use bus::Taken;
pub use store::{Counts, Message};
use store::{Queue, Sent};

/// The longest wait before a poll looks again: no notification announces that a delay or a visibility timeout is over.
const POLL: Duration = Duration::from_millis(50);

/// The name of the orders' queue.
pub const ORDERS: &str = "orders";
/// The name of its dead-letter queue.
pub const DEAD_LETTERS: &str = "dead-letters";

/// A call that is about to take effect.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The caller's access key: for a function, the name of its environment.
    pub environment: String,
    /// The action, for instance `SendMessage`.
    pub action: String,
    /// The name of the queue, or of the event bus.
    pub queue: String,
    /// The bodies of the messages to send, or the details of the events.
    pub bodies: Vec<String>,
}

/// The hook's decision about a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallRuling {
    /// Executes it.
    #[default]
    Pass,
    /// Executes it after this time.
    Late(Duration),
    /// Does not execute it, and answers with this HTTP status.
    Refuse(u16),
    /// Does not execute it, and closes the connection without an answer.
    LoseCall,
    /// Executes it, and closes the connection without an answer.
    LoseAnswer,
    /// Does not execute it, and never answers.
    Hang,
    /// Executes it for every second entry, and refuses the others. This is for the event bus alone.
    Half,
    /// Answers as `EventBridge` does for a bus that does not exist. This is for the event bus alone.
    NoBus,
}

/// Decides about each call before it takes effect. The caller waits for the decision.
pub type CallHook = Arc<dyn Fn(Sighting) -> BoxFuture<'static, CallRuling> + Send + Sync>;

/// A hook that decides at once, by this rule.
pub fn ruled_by(rule: impl Fn(Sighting) -> CallRuling + Send + Sync + 'static) -> CallHook {
    Arc::new(move |call| Box::pin(std::future::ready(rule(call))))
}

/// Both queues, and their endpoint.
pub struct Queues {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    queues: Mutex<HashMap<&'static str, Queue>>,
    bus: bus::Bus,
    hook: CallHook,
    sent: Notify,
}

impl Queues {
    /// Starts both queues, empty. A received message stays invisible for `visibility`. After `most_receives` it is a dead letter.
    pub async fn start(visibility: Duration, most_receives: u32, hook: CallHook) -> Result<Self> {
        let queues = [(ORDERS, most_receives), (DEAD_LETTERS, u32::MAX)];
        let queues = queues.map(|(name, most_receives)| (name, Queue::new(visibility, most_receives)));
        let (queues, bus) = (Mutex::new(queues.into()), bus::Bus::default());
        let shared = Arc::new(Shared { queues, bus, hook, sent: Notify::new() });
        let serving = Arc::clone(&shared);
        let server = Server::start(move |request| protocol::answer(Arc::clone(&serving), request)).await?;
        Ok(Self { shared, server })
    }

    /// The functions' variables that lead to them.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        let endpoint = self.server.url();
        let url = |name| format!("{endpoint}/000000000000/{name}");
        [("QUEUE_URL", url(ORDERS)), ("DLQ_URL", url(DEAD_LETTERS)), ("AWS_ENDPOINT_URL", endpoint)]
    }

    /// Receives up to `max` messages of orders. Waits up to `wait` for the first.
    pub async fn receive(&self, max: usize, wait: Duration) -> Vec<Message> {
        self.shared.receive(ORDERS, max, wait).await
    }

    /// Sends a message with each of these bodies, and receives them at once.
    pub fn deliver(&self, bodies: impl IntoIterator<Item = String>) -> Vec<Message> {
        let deliver = |queue: &mut Queue| {
            let count = bodies.into_iter().map(|body| queue.send(Sent { body, ..Sent::default() })).count();
            queue.receive(count).0
        };
        self.shared.with(ORDERS, deliver).unwrap_or_default()
    }

    /// Deletes a received message of an order.
    pub fn delete(&self, receipt: &str) {
        self.shared.with(ORDERS, |queue| queue.delete(receipt));
    }

    /// Removes up to `max` random messages of orders, visible or not, as if they had never been sent. Returns their bodies.
    pub fn steal(&self, max: usize) -> Vec<String> {
        self.shared.with(ORDERS, |queue| queue.steal(max)).unwrap_or_default()
    }

    /// Ends the delay of every delayed message of an order. Returns their bodies.
    pub fn hasten(&self) -> Vec<String> {
        self.shared.with(ORDERS, Queue::hasten).unwrap_or_default()
    }

    /// The events that the event bus has taken.
    pub fn events(&self) -> Vec<Taken> {
        self.shared.bus.taken()
    }

    /// How many messages the queue holds.
    pub fn counts(&self, queue: &str) -> Counts {
        self.shared.with(queue, |queue| queue.counts()).unwrap_or_default()
    }
}

impl Shared {
    /// Calls `f` with the queue of this name. Returns `None` if there is no such queue.
    fn with<T>(&self, queue: &str, f: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        self.queues.lock().get_mut(queue).map(f)
    }

    fn send(&self, queue: &str, message: Sent) -> Option<String> {
        let id = self.with(queue, |queue| queue.send(message));
        self.sent.notify_one();
        id
    }

    async fn receive(&self, queue: &str, max: usize, wait: Duration) -> Vec<Message> {
        let end = Instant::now() + wait;
        loop {
            let received = self.receive_now(queue, max);
            if !received.is_empty() || Instant::now() >= end {
                return received;
            }
            let _ = timeout_at(end.min(Instant::now() + POLL), self.sent.notified()).await; // Either way, look again.
        }
    }

    fn receive_now(&self, queue: &str, max: usize) -> Vec<Message> {
        let mut queues = self.queues.lock();
        let Some(source) = queues.get_mut(queue) else { return Vec::new() };
        let (received, dead) = source.receive(max);
        let target = queues.get_mut(DEAD_LETTERS).expect("this queue always exists");
        for message in dead {
            target.send(message);
        }
        received
    }
}
