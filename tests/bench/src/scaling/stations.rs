//! The parts of a queueing network: a schedule of events, and servers with a waiting line.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use crate::stats::count;

/// Planned events in the order of their times. Events at the same time stay in their order of planning.
pub struct Agenda<T> {
    plan: BinaryHeap<Planned<T>>,
    planned: u64,
}

struct Planned<T> {
    at: f64,
    number: u64,
    what: T,
}

impl<T> Agenda<T> {
    /// An empty agenda.
    pub fn new() -> Self {
        Self { plan: BinaryHeap::new(), planned: 0 }
    }

    /// Plans an event at this time, in seconds.
    pub fn plan(&mut self, at: f64, what: T) {
        self.planned += 1;
        self.plan.push(Planned { at, number: self.planned, what });
    }

    /// Removes and returns the next event with its time.
    pub fn next(&mut self) -> Option<(f64, T)> {
        self.plan.pop().map(|planned| (planned.at, planned.what))
    }
}

impl<T> Ord for Planned<T> {
    /// The heap returns the greatest first, so the earliest event is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.number.cmp(&self.number))
    }
}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Planned<T> {}

/// Equal servers with a waiting line, first come, first served. It accounts how long the servers were busy.
pub struct Station<T> {
    servers: usize,
    busy: usize,
    line: VecDeque<(f64, T)>,
    since: f64,
    busy_seconds: f64,
    /// How long each served customer had waited.
    pub waits: Vec<(T, f64)>,
}

impl<T: Copy> Station<T> {
    /// A station with free servers.
    pub fn new(servers: usize) -> Self {
        Self { servers, busy: 0, line: VecDeque::new(), since: 0.0, busy_seconds: 0.0, waits: Vec::new() }
    }

    /// Whether a server is free.
    pub fn is_free(&self) -> bool {
        self.busy < self.servers
    }

    /// Occupies a free server without waiting in the line.
    pub fn occupy(&mut self, now: f64) {
        self.count(now);
        self.busy += 1;
    }

    /// Adds a customer to the line. Returns the customer who is served now.
    pub fn enqueue(&mut self, now: f64, who: T) -> Option<T> {
        self.line.push_back((now, who));
        self.serve(now)
    }

    /// Frees a server. Returns the customer who is served next.
    pub fn free(&mut self, now: f64) -> Option<T> {
        self.count(now);
        self.busy -= 1;
        self.serve(now)
    }

    /// The total busy time of all servers until now.
    pub fn busy_seconds(&mut self, now: f64) -> f64 {
        self.count(now);
        self.busy_seconds
    }

    fn serve(&mut self, now: f64) -> Option<T> {
        if !self.is_free() {
            return None;
        }
        let (since, who) = self.line.pop_front()?;
        self.waits.push((who, now - since));
        self.occupy(now);
        Some(who)
    }

    fn count(&mut self, now: f64) {
        self.busy_seconds += count(self.busy) * (now - self.since);
        self.since = now;
    }
}

/// Rounds a number up to a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "all counts are small and positive")]
pub fn whole(number: f64) -> usize {
    number.ceil() as usize
}
