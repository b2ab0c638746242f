//! What happened to each order, as its client, the fulfilment endpoint and the harness saw it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// A moment: seconds since the run began.
pub type Moment = f64;

/// One order's story.
#[allow(clippy::struct_excessive_bools, reason = "they are facts that have nothing to do with one another")]
#[derive(Debug, Default, Clone)]
pub struct Story {
    /// When its client was told that it is durable.
    pub accepted: Option<Moment>,
    /// Whether its client got an error, or no answer, at least once.
    pub saw_error: bool,
    /// Whether its client was told that it is cancelled.
    pub cancelled: bool,
    /// Whether an operator wanted it to be tried again.
    pub retried: bool,
    /// Whether the endpoint refuses it, until an operator has it tried again.
    pub refused: bool,
    /// Whether the endpoint has acted on it.
    pub acted: bool,
    /// Whether the endpoint was called while another call about it was under way.
    pub overlapped: bool,
    /// How often the endpoint was called after it had acted.
    pub calls_after_acting: usize,
    /// The calls that the endpoint got.
    pub calls: Vec<Call>,
    /// Everything, in order.
    pub events: Vec<(Moment, Cow<'static, str>)>,
}

/// A call to the endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// When it began.
    pub begin: Moment,
    /// When it was answered, or its connection found closed.
    pub end: Option<Moment>,
    /// Whether it was answered.
    pub is_answered: bool,
}

/// All stories.
pub struct Journal {
    /// By the machine's clock, which is the database's too, so that their times can be compared.
    begin: SystemTime,
    stories: Mutex<HashMap<String, Story>>,
    violations: Mutex<Vec<String>>,
    /// When an order was last accepted.
    pub last_accept: watch::Sender<Moment>,
    /// When orders were last recorded as finished.
    pub last_finish: watch::Sender<Moment>,
}

impl Journal {
    /// An empty journal; the run begins now.
    pub fn new() -> Self {
        Self {
            begin: SystemTime::now(),
            stories: Mutex::default(),
            violations: Mutex::default(),
            last_accept: watch::Sender::new(0.0),
            last_finish: watch::Sender::new(0.0),
        }
    }

    /// How long the run has lasted.
    pub fn now(&self) -> Moment {
        self.begin.elapsed().unwrap_or_default().as_secs_f64()
    }

    /// The same of a time on the machine's clock, in seconds since 1970.
    pub fn moment(&self, unix: f64) -> Moment {
        unix - self.begin.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }

    /// Adds to an order's story.
    pub fn note(&self, order: &str, what: impl Into<Cow<'static, str>>) {
        self.change(order, what, |_| ());
    }

    /// Adds to an order's story and changes what is known of it.
    pub fn change<T>(&self, order: &str, what: impl Into<Cow<'static, str>>, f: impl FnOnce(&mut Story) -> T) -> T {
        let now = self.now();
        let mut stories = self.lock();
        let story = stories.entry(order.to_owned()).or_default();
        story.events.push((now, what.into()));
        f(story)
    }

    /// The order is durable, its client was told.
    pub fn accepted(&self, order: &str) {
        let now = self.now();
        self.change(order, "accepted", |story| story.accepted.get_or_insert(now).to_owned());
        self.last_accept.send_replace(now);
    }

    /// Something that must not happen has happened.
    pub fn violation(&self, what: String) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What must not have happened and did.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many orders were accepted so far.
    pub fn count_accepted(&self) -> usize {
        self.lock().values().filter(|story| story.accepted.is_some()).count()
    }

    /// All stories, to read or to change.
    pub fn lock(&self) -> MutexGuard<'_, HashMap<String, Story>> {
        self.stories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Story {
    /// The story as text, for whoever has to find out what went wrong.
    pub fn told(&self) -> String {
        let line = |(at, what): &(Moment, Cow<str>)| format!("      {at:9.3} s  {what}\n");
        self.events.iter().map(line).collect()
    }
}
