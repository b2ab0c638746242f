//! The faults: which are active now, and which orders each affected.

mod kinds;

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use crate::journal::Moment;

pub use kinds::{Fault, Lasts};

/// What one kind of fault affected.
#[derive(Debug, Default, Clone)]
pub struct Record {
    /// How often it happened.
    pub injected: usize,
    /// The orders that it affected, each with the first time.
    pub orders: HashMap<String, Moment>,
    /// The most connections to the database while no other fault was active.
    pub connections: usize,
}

/// The state of all faults.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    armed: HashSet<Fault>,
    on: HashMap<Fault, usize>,
    records: HashMap<Fault, Record>,
    alone: Option<Fault>,
    connections: usize,
    held_back: usize,
}

impl Faults {
    /// Arms the fault: it happens once, at the next occasion, even if it was armed several times.
    pub fn arm(&self, fault: Fault) {
        self.state.lock().armed.insert(fault);
    }

    /// Disarms the fault. Returns whether it was armed, and therefore has to happen now.
    pub fn disarm(&self, fault: Fault) -> bool {
        self.state.lock().armed.remove(&fault)
    }

    pub fn begin(&self, fault: Fault) {
        *self.state.lock().on.entry(fault).or_default() += 1;
    }

    /// Ends the fault once for each `begin`.
    pub fn end(&self, fault: Fault) {
        if let Some(on) = self.state.lock().on.get_mut(&fault) {
            *on = on.saturating_sub(1);
        }
    }

    pub fn is_on(&self, fault: Fault) -> bool {
        self.state.lock().on.get(&fault).is_some_and(|on| *on > 0)
    }

    /// Records that the fault happened to these orders.
    pub fn happened(&self, fault: Fault, now: Moment, orders: &[String]) {
        let mut state = self.state.lock();
        state.record(fault).met(now, orders);
        state.record(fault).injected += 1;
    }

    /// From now on, attributes the count of connections to this fault, or to none.
    pub fn alone(&self, fault: Option<Fault>) {
        self.state.lock().alone = fault;
    }

    /// Records how many connections the database has now.
    pub fn saw_connections(&self, count: usize) {
        let mut state = self.state.lock();
        state.connections = state.connections.max(count);
        if let Some(fault) = state.alone {
            let record = state.record(fault);
            record.connections = record.connections.max(count);
        }
    }

    /// Records that the harness keeps the connection of a killed worker open.
    pub fn hold_back(&self) {
        self.state.lock().held_back += 1;
    }

    /// Records that the harness has closed that connection.
    pub fn let_go(&self) {
        let mut state = self.state.lock();
        state.held_back = state.held_back.saturating_sub(1);
    }

    /// How many connections of killed workers the harness keeps open.
    pub fn held_back(&self) -> usize {
        self.state.lock().held_back
    }

    /// The highest count of connections.
    pub fn connections(&self) -> usize {
        self.state.lock().connections
    }

    pub fn record(&self, fault: Fault) -> Record {
        self.state.lock().records.get(&fault).cloned().unwrap_or_default()
    }

    pub fn count(&self) -> usize {
        self.state.lock().records.values().map(|record| record.injected).sum()
    }
}

impl State {
    fn record(&mut self, fault: Fault) -> &mut Record {
        self.records.entry(fault).or_default()
    }
}

impl Record {
    fn met(&mut self, now: Moment, orders: &[String]) {
        for order in orders {
            self.orders.entry(order.clone()).or_insert(now);
        }
    }
}
