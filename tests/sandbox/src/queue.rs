//! An SQS of one's own: the JSON 1.0 protocol over a store in memory, with a hook that sees each call before it takes
//! effect.
//!
//! Its queues are fair as SQS's are: see `fair`. It is a small one of our own rather than the crate `winterbaume-sqs`: there each receive and each delete walks all
//! messages, delayed ones included, so that it slows down as a backlog grows, and its delayed messages follow the wall
//! clock.

mod fair;
mod protocol;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::Result;
use crate::gate::Gate;
use crate::server::Server;

pub use store::{Counts, Message};
use store::{Sent, Store};

/// The longest that a poll waits at a time: a message may fall due without anybody telling.
const POLL: Duration = Duration::from_millis(50);

/// A queue's attributes.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// How long a received message stays invisible.
    pub visibility: Duration,
    /// How often a message is received before it goes to the queue of this name.
    pub redrive: Option<(u32, String)>,
}

/// A call that is about to take effect.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The environment that calls; whatever access key another client has.
    pub environment: String,
    /// What it asks for: `SendMessage`.
    pub action: String,
    /// Of which queue.
    pub queue: String,
    /// The bodies it sends.
    pub bodies: Vec<String>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It takes effect.
    Pass,
    /// It takes no effect and is answered with this HTTP status.
    Refuse(u16),
    /// It takes no effect, and its connection is closed without an answer.
    Drop,
}

/// Sees each call first. It may take its time, which the caller then waits.
pub type Hook = Arc<dyn Fn(Sighting) -> BoxFuture<'static, Ruling> + Send + Sync>;

/// The hook of queues that are as slow as this gate.
#[must_use]
pub fn behind(gate: Arc<Gate>) -> Hook {
    Arc::new(move |_| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.pass().await;
            Ruling::Pass
        })
    })
}

/// Some queues and their endpoint.
pub struct Queues {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    stores: Mutex<HashMap<String, Store>>,
    hook: Option<Hook>,
    sent: Notify,
}

impl Queues {
    /// Serves empty queues of these names.
    pub async fn start(queues: &[(&str, Attributes)], hook: Option<Hook>) -> Result<Self> {
        let stores = queues.iter().map(|(name, attributes)| ((*name).to_owned(), Store::new(attributes.clone())));
        let shared = Arc::new(Shared { stores: Mutex::new(stores.collect()), hook, sent: Notify::new() });
        let serving = Arc::clone(&shared);
        let server = Server::start(move |request| protocol::answer(Arc::clone(&serving), request)).await?;
        Ok(Self { shared, server })
    }

    /// What `AWS_ENDPOINT_URL` is set to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// A queue's URL.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("{}/000000000000/{name}", self.endpoint())
    }

    /// Receives up to `max` messages, waiting up to `wait` for the first.
    pub async fn receive(&self, queue: &str, max: usize, wait: Duration) -> Vec<Message> {
        self.shared.receive(queue, max, wait).await
    }

    /// Deletes a received message.
    pub fn delete(&self, queue: &str, receipt: &str) {
        self.shared.with(queue, |store| store.delete(receipt));
    }

    /// Takes up to `max` messages away as if they had never been sent, whether visible or not, and gives their bodies.
    #[must_use]
    pub fn steal(&self, queue: &str, max: usize) -> Vec<String> {
        self.shared.with(queue, |store| store.steal(max)).unwrap_or_default()
    }

    /// How many messages there are.
    #[must_use]
    pub fn counts(&self, queue: &str) -> Counts {
        self.shared.with(queue, |store| store.counts()).unwrap_or_default()
    }
}

impl Shared {
    /// Gives what `f` makes of the queue, if there is one of this name.
    fn with<T>(&self, queue: &str, f: impl FnOnce(&mut Store) -> T) -> Option<T> {
        self.lock().get_mut(queue).map(f)
    }

    fn send(&self, queue: &str, message: Sent) -> Option<String> {
        let id = self.with(queue, |store| store.send(message));
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
        let mut stores = self.lock();
        let Some(store) = stores.get_mut(queue) else { return Vec::new() };
        let (received, dead) = store.receive(max);
        if let Some(target) = store.dead_letter_queue().and_then(|name| stores.get_mut(&name)) {
            for message in dead {
                target.send(message);
            }
        }
        received
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Store>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
