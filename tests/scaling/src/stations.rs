//! The parts of a queueing network: moments in their order, and servers with a line before them.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// What happens when, the next first; what happens at the same moment, in the order in which it was planned.
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
    /// One with nothing planned.
    pub fn new() -> Self {
        Self { plan: BinaryHeap::new(), planned: 0 }
    }

    /// Plans something for this second.
    pub fn plan(&mut self, at: f64, what: T) {
        self.planned += 1;
        self.plan.push(Planned { at, number: self.planned, what });
    }

    /// What comes next, and its second.
    pub fn next(&mut self) -> Option<(f64, T)> {
        self.plan.pop().map(|planned| (planned.at, planned.what))
    }
}

impl<T> Ord for Planned<T> {
    /// The heap gives the greatest first, so the earliest is the greatest.
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

/// So many servers alike, and who waits for one, first come, first served. Tells for how long they were busy.
pub struct Station<T> {
    servers: usize,
    busy: usize,
    line: VecDeque<(f64, T)>,
    since: f64,
    busy_seconds: f64,
    /// How long each that was served had waited.
    pub waits: Vec<(T, f64)>,
}

impl<T: Copy> Station<T> {
    /// One whose servers are free.
    pub fn new(servers: usize) -> Self {
        Self { servers, busy: 0, line: VecDeque::new(), since: 0.0, busy_seconds: 0.0, waits: Vec::new() }
    }

    /// Whether a server is free.
    pub fn is_free(&self) -> bool {
        self.busy < self.servers
    }

    /// Takes a free server, past the line.
    pub fn take(&mut self, now: f64) {
        self.count(now);
        self.busy += 1;
    }

    /// Comes to the line; gives who is served now.
    pub fn come(&mut self, now: f64, who: T) -> Option<T> {
        self.line.push_back((now, who));
        self.serve(now)
    }

    /// Frees a server; gives who is served next.
    pub fn free(&mut self, now: f64) -> Option<T> {
        self.count(now);
        self.busy -= 1;
        self.serve(now)
    }

    /// For how long servers were busy until now, added up.
    pub fn busy_seconds(&mut self, now: f64) -> f64 {
        self.count(now);
        self.busy_seconds
    }

    fn serve(&mut self, now: f64) -> Option<T> {
        if !self.is_free() {
            return None;
        }
        let (came, who) = self.line.pop_front()?;
        self.waits.push((who, now - came));
        self.take(now);
        Some(who)
    }

    fn count(&mut self, now: f64) {
        self.busy_seconds += count(self.busy) * (now - self.since);
        self.since = now;
    }
}

/// The least whole number that is not below this one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is counted is small and positive")]
pub fn whole(number: f64) -> usize {
    number.ceil() as usize
}

/// A count as a number to calculate with.
pub fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
