//! The faults: which there are, which are happening now, and which orders met them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::journal::Moment;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The api is killed when the order is durable and the queue not yet told.
    ApiKilled,
    /// The api is frozen between the commit and the send, and runs again later.
    ApiFrozen,
    /// The processor is killed when it has a batch and claims it.
    KilledBeforeClaim,
    /// It is killed when the claim is committed.
    KilledAfterClaim,
    /// It is killed when the work is done and the outcome not recorded.
    KilledBeforeFinish,
    /// It is killed when the outcome is recorded and the messages not acknowledged.
    KilledAfterFinish,
    /// It stands still when the claim is committed, until its time-out.
    Hangs,
    /// It dies, and its outcome reaches the database when another worker is at work on the order.
    LateOutcome,
    /// Messages are delivered one to three times, shuffled and late.
    Disorder,
    /// Messages are deleted.
    Stolen,
    /// PostgreSQL is restarted and cuts all sessions off.
    FastRestart,
    /// PostgreSQL crashes and recovers.
    Crash,
    /// All connections to PostgreSQL are cut.
    Cut,
    /// The orders are locked.
    OrdersLocked,
    /// Their work is locked.
    WorkLocked,
    /// The database's packets vanish.
    PacketsVanish,
    /// A standby takes the database's place.
    Failover,
    /// The queue refuses every message.
    QueueRefuses,
    /// The queue takes calls and does not answer.
    QueueHangs,
    /// The endpoint takes almost as long as it may.
    EndpointLate,
    /// The endpoint sends its answer's body byte by byte, without an end.
    EndpointDrips,
    /// The endpoint asks for time in words that make no sense.
    EndpointGarbles,
    /// The endpoint answers too late.
    EndpointSlow,
    /// The endpoint answers that it fails.
    EndpointFails,
    /// The endpoint closes the connection without an answer.
    EndpointDrops,
    /// The endpoint refuses orders for good.
    EndpointRefuses,
    /// A worker's clock is two minutes ahead.
    ClockAhead,
    /// A worker's clock is two minutes behind.
    ClockBehind,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 28] = [
        // First, because it takes a while: the message has to come back.
        Self::LateOutcome,
        Self::ApiKilled,
        Self::ApiFrozen,
        Self::KilledBeforeClaim,
        Self::KilledAfterClaim,
        Self::KilledBeforeFinish,
        Self::KilledAfterFinish,
        Self::Hangs,
        Self::Disorder,
        Self::Stolen,
        Self::EndpointSlow,
        Self::EndpointFails,
        Self::EndpointDrops,
        Self::EndpointRefuses,
        Self::EndpointLate,
        Self::EndpointDrips,
        Self::EndpointGarbles,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::FastRestart,
        Self::Crash,
        Self::Cut,
        Self::OrdersLocked,
        Self::WorkLocked,
        Self::PacketsVanish,
        Self::Failover,
        // Last, because for a while then the queue has nothing to deliver.
        Self::QueueRefuses,
        Self::QueueHangs,
    ];

    /// What it is called in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKilled => "`api` killed between commit and send",
            Self::ApiFrozen => "`api` frozen between commit and send",
            Self::KilledBeforeClaim => "`processor` killed before the claim",
            Self::KilledAfterClaim => "`processor` killed after the claim",
            Self::KilledBeforeFinish => "`processor` killed after the work, before its outcome is recorded",
            Self::KilledAfterFinish => "`processor` killed after that, before the acknowledgement",
            Self::Hangs => "`processor` stands still until its time-out",
            Self::LateOutcome => "an outcome arrives when another worker has taken over",
            Self::Disorder => "messages delivered 1–3 times, shuffled, late",
            Self::Stolen => "messages deleted",
            Self::FastRestart => "PostgreSQL restarted (fast)",
            Self::Crash => "PostgreSQL restarted (immediate)",
            Self::Cut => "all database connections cut",
            Self::OrdersLocked => "`orders` locked",
            Self::WorkLocked => "`order_work` locked",
            Self::PacketsVanish => "the database's packets vanish",
            Self::Failover => "failover to a promoted standby",
            Self::QueueHangs => "the queue takes calls and never answers",
            Self::QueueRefuses => "the queue refuses every send",
            Self::EndpointLate => "the endpoint answers late, but in time",
            Self::EndpointDrips => "the endpoint's answer drips and never ends",
            Self::EndpointGarbles => "the endpoint answers garbage in `Retry-After`",
            Self::EndpointSlow => "the endpoint answers too late",
            Self::EndpointFails => "the endpoint answers 503",
            Self::EndpointDrops => "the endpoint closes the connection",
            Self::EndpointRefuses => "the endpoint answers 422 (failed is the right end)",
            Self::ClockAhead => "a worker's clock 2 minutes ahead",
            Self::ClockBehind => "a worker's clock 2 minutes behind",
        }
    }
}

/// What a fault did.
#[derive(Debug, Default, Clone)]
pub struct Record {
    /// How often it happened.
    pub injected: usize,
    /// The orders that met it, and when they first did.
    pub orders: HashMap<String, Moment>,
    /// The most connections to the database while it happened by itself.
    pub connections: usize,
}

/// All faults' state.
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
    /// Lets it happen once, at the next occasion, however often it is armed before.
    pub fn arm(&self, fault: Fault) {
        self.lock().armed.insert(fault);
    }

    /// Takes an occasion, if the fault is to happen.
    pub fn take(&self, fault: Fault) -> bool {
        self.lock().armed.remove(&fault)
    }

    /// Lets it happen from now on.
    pub fn begin(&self, fault: Fault) {
        *self.lock().on.entry(fault).or_default() += 1;
    }

    /// Ends what was begun.
    pub fn end(&self, fault: Fault) {
        if let Some(on) = self.lock().on.get_mut(&fault) {
            *on = on.saturating_sub(1);
        }
    }

    /// Whether it happens now.
    pub fn is_on(&self, fault: Fault) -> bool {
        self.lock().on.get(&fault).is_some_and(|on| *on > 0)
    }

    /// It has happened, to these orders.
    pub fn happened(&self, fault: Fault, now: Moment, orders: &[String]) {
        let mut state = self.lock();
        state.record(fault).met(now, orders);
        state.record(fault).injected += 1;
    }

    /// Attributes connections to this fault from now on, or to none.
    pub fn alone(&self, fault: Option<Fault>) {
        self.lock().alone = fault;
    }

    /// The database has so many connections now.
    pub fn saw_connections(&self, count: usize) {
        let mut state = self.lock();
        state.connections = state.connections.max(count);
        if let Some(fault) = state.alone {
            let record = state.record(fault);
            record.connections = record.connections.max(count);
        }
    }

    /// The harness keeps the connection of a dead worker open.
    pub fn hold_back(&self) {
        self.lock().held_back += 1;
    }

    /// It lets the connection go.
    pub fn let_go(&self) {
        let mut state = self.lock();
        state.held_back = state.held_back.saturating_sub(1);
    }

    /// How many connections of dead workers the harness keeps open.
    pub fn held_back(&self) -> usize {
        self.lock().held_back
    }

    /// The most connections there were.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// What it did.
    pub fn record(&self, fault: Fault) -> Record {
        self.lock().records.get(&fault).cloned().unwrap_or_default()
    }

    /// How many faults there were in all.
    pub fn count(&self) -> usize {
        self.lock().records.values().map(|record| record.injected).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
