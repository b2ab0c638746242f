//! The journal: what the client, the fulfilment endpoint and the harness saw of each order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;

/// A moment: seconds since the run began.
pub type Moment = f64;

/// One order's story.
#[expect(clippy::struct_excessive_bools, reason = "they are facts that have nothing to do with one another")]
#[derive(Debug, Default, Clone)]
pub struct Story {
    /// When its client received 200 or 201 for it.
    pub accepted: Option<Moment>,
    /// Whether its client got an error, or no answer, at least once.
    pub saw_error: bool,
    /// Whether its client received 200 for the cancellation.
    pub cancelled: bool,
    /// Whether an operator retried it.
    pub retried: bool,
    /// Whether the endpoint refuses it until an operator retries it.
    pub refused: bool,
    /// Whether the endpoint has fulfilled it.
    pub acted: bool,
    /// Whether two calls to the endpoint about it overlapped.
    pub overlapped: bool,
    /// The number of calls after the endpoint had fulfilled it.
    pub calls_after_acting: usize,
    pub calls: Vec<Call>,
    pub events: Vec<(Moment, Cow<'static, str>)>,
}

/// A call to the endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub begin: Moment,
    /// When it was answered, or when the endpoint found its connection closed.
    pub end: Option<Moment>,
    pub is_answered: bool,
}

/// Periods, each from a moment to another.
#[derive(Debug, Default)]
pub struct Periods(Mutex<Vec<(Moment, Moment)>>);

impl Periods {
    pub fn add(&self, from: Moment, to: Moment) {
        self.0.lock().push((from, to));
    }

    pub fn all(&self) -> Vec<(Moment, Moment)> {
        self.0.lock().clone()
    }
}

/// The stories of all orders.
pub struct Journal {
    /// The start by the machine's clock. The database uses the same clock, so that both times can be compared.
    begin: SystemTime,
    pub stories: Mutex<HashMap<String, Story>>,
    violations: Mutex<Vec<String>>,
    /// From when to when processing was paused.
    pub pauses: Periods,
    /// From when to when no message could be sent: the queue refused it or hung, the database was away or locked, or processing
    /// was paused.
    pub outages: Periods,
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
            pauses: Periods::default(),
            outages: Periods::default(),
            last_accept: watch::Sender::new(0.0),
            last_finish: watch::Sender::new(0.0),
        }
    }

    /// How long the run has lasted.
    pub fn now(&self) -> Moment {
        self.begin.elapsed().unwrap_or_default().as_secs_f64()
    }

    /// Converts a time of the machine's clock, in seconds since 1970.
    pub fn moment(&self, unix: f64) -> Moment {
        unix - seconds(self.begin)
    }

    /// Converts a time of the machine's clock.
    pub fn moment_of(&self, at: SystemTime) -> Moment {
        self.moment(seconds(at))
    }

    /// Adds an event to an order's story.
    pub fn note(&self, order: &str, what: impl Into<Cow<'static, str>>) {
        self.change(order, what, |_| ());
    }

    /// Adds an event to an order's story and changes the story.
    pub fn change<T>(&self, order: &str, what: impl Into<Cow<'static, str>>, f: impl FnOnce(&mut Story) -> T) -> T {
        let now = self.now();
        let mut stories = self.stories.lock();
        let story = stories.entry(order.to_owned()).or_default();
        story.events.push((now, what.into()));
        f(story)
    }

    /// Records that the client received 200 or 201.
    pub fn accepted(&self, order: &str) {
        let now = self.now();
        self.change(order, "accepted", |story| story.accepted.get_or_insert(now).to_owned());
        self.last_accept.send_replace(now);
    }

    pub fn violation(&self, what: String) {
        self.violations.lock().push(what);
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    /// How many orders were accepted so far.
    pub fn count_accepted(&self) -> usize {
        self.stories.lock().values().filter(|story| story.accepted.is_some()).count()
    }
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Story {
    /// The story as text, an event a line, for a report on what went wrong.
    pub fn text(&self) -> String {
        let line = |(at, what): &(Moment, Cow<str>)| format!("      {at:9.3} s  {what}\n");
        self.events.iter().map(line).collect()
    }
}
