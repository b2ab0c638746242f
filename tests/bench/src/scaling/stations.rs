//! The parts of a queueing network: a schedule of events, and servers with a waiting line.

use std::collections::{BTreeMap, VecDeque};

use crate::stats::count;

/// Planned events by their times and numbers. Events at the same time stay in their order of planning.
pub struct Agenda<T> {
    plan: BTreeMap<(u64, u64), T>,
    planned: u64,
}

impl<T> Agenda<T> {
    /// An empty agenda.
    pub fn new() -> Self {
        Self { plan: BTreeMap::new(), planned: 0 }
    }

    /// Plans an event at this time, in seconds. The bits of times that are not negative have the order of the times.
    pub fn plan(&mut self, at: f64, what: T) {
        self.planned += 1;
        self.plan.insert((at.to_bits(), self.planned), what);
    }

    /// Removes and returns the next event with its time.
    pub fn next(&mut self) -> Option<(f64, T)> {
        self.plan.pop_first().map(|((at, _), what)| (f64::from_bits(at), what))
    }
}

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
