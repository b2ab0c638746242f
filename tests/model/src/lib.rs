//! A model of the life of orders, small enough that every interleaving is explored: two orders, two workers, and the
//! statements of `shared/src/db/work.rs`, `overdue.rs`, `orders.rs`, `retry.rs` and `pause.rs`, each one atomic action.
//!
//! What the model leaves out, and why that loses nothing:
//! - **Clocks.** A time is in the future, past, or past by more than the grace period; time passes for each row at any moment. So
//!   a lease may run out under a worker that still runs, which the time-outs prevent on Lambda.
//! - **Sends.** A message is sent together with the statement before it. Messages may be lost, duplicated and late, so a crash
//!   between the two is a lost message, and a late send is a late message.
//! - **Tokens.** A token is the invocation that drew it; when the invocation ends, the token is lost.
//!
//! [`search::explore`] checks each state and each step against [`invariants`], and finds states that leave an order no way to its end.
//! Each [`Mutant`] breaks one rule of the statements; the tests show that the search finds it.

pub mod invariants;
pub mod search;
mod statements;
pub mod steps;

/// How many orders and how many workers there are.
pub const ORDERS: usize = 2;
/// See [`ORDERS`].
pub const WORKERS: usize = 2;
/// An order fails after so many attempts without an outcome.
pub const MAX_ATTEMPTS: u8 = 1;
/// How often the operator retries a failed order.
pub const RETRIES: u8 = 1;
/// How often the operator pauses processing.
pub const PAUSES: u8 = 1;

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The work is done.
    Completed,
    /// The work can't be done, or was tried too often.
    Failed,
    /// Cancelled before work began.
    Cancelled,
}

/// A time, relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Due {
    /// It is still to come.
    Later,
    /// It has come.
    Now,
    /// It has been over for longer than the grace period.
    Overdue,
}

/// The fencing token of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// There is none.
    Free,
    /// The current invocation of this worker drew it.
    Held(usize),
    /// The invocation that drew it has ended.
    Lost,
}

/// A row of `order_work`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// `due_at`.
    pub due: Due,
    /// `claim`.
    pub claim: Claim,
    /// `attempts`.
    pub attempts: u8,
    /// Whether `requeued_at` is within the grace period.
    pub requeued: bool,
}

/// An order: its row of `orders`, its row of `order_work`, and what the queues hold of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Order {
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether work has begun.
    pub started: bool,
    /// Whether it failed because its attempts were used up.
    pub given_up: bool,
    /// Its row of `order_work`.
    pub row: Option<Row>,
    /// Whether the queue holds a message that may be received. One is enough: each worker may hold another.
    pub message: bool,
    /// Whether the dead-letter queue holds a message.
    pub dead_letter: bool,
}

/// What a worker knows of an order of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// It is not in the batch, or no longer.
    Out,
    /// The worker holds its message.
    Received,
    /// It is claimed, and worked on.
    Claimed,
    /// It is claimed, and its attempts are used up.
    GivenUp,
    /// The same, and its dead letter is sent.
    Buried,
    /// Its end is recorded, or the lease was lost; the worker still holds its message.
    Done,
}

/// How far a worker's invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// There is no invocation.
    Idle,
    /// The batch is to be claimed.
    Received,
    /// The work is to be done, and its ends are to be recorded.
    Working,
    /// The rest is to be rescheduled, and the messages are to be deleted.
    Recorded,
}

/// A worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    /// How far its invocation is.
    pub stage: Stage,
    /// What it knows of each order.
    pub parts: [Part; ORDERS],
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// The orders.
    pub orders: [Order; ORDERS],
    /// The workers.
    pub workers: [Worker; WORKERS],
    /// How many retries the operator has left.
    pub retries: u8,
    /// How many pauses the operator has left.
    pub pauses: u8,
    /// Whether processing is paused.
    pub paused: bool,
    /// `order_stats`: completed, failed, cancelled.
    pub counted: [i8; 3],
}

impl State {
    /// Both orders are accepted, and their messages are sent.
    #[must_use]
    pub fn initial() -> Self {
        let row = Row { due: Due::Later, claim: Claim::Free, attempts: 0, requeued: false };
        let order =
            Order { outcome: None, started: false, given_up: false, row: Some(row), message: true, dead_letter: false };
        let worker = Worker { stage: Stage::Idle, parts: [Part::Out; ORDERS] };
        Self {
            orders: [order; ORDERS],
            workers: [worker; WORKERS],
            retries: RETRIES,
            pauses: PAUSES,
            paused: false,
            counted: [0; 3],
        }
    }

    /// The one that stands for this state and for those that differ from it in the numbers of workers and orders alone.
    #[must_use]
    pub fn canonical(self) -> Self {
        let other_workers = self.with_workers_swapped();
        let (orders, both) = (self.with_orders_swapped(), other_workers.with_orders_swapped());
        self.min(other_workers).min(orders).min(both)
    }

    fn with_workers_swapped(&self) -> Self {
        let mut state = self.clone();
        state.workers.swap(0, 1);
        for row in state.orders.iter_mut().filter_map(|order| order.row.as_mut()) {
            if let Claim::Held(worker) = row.claim {
                row.claim = Claim::Held(1 - worker);
            }
        }
        state
    }

    fn with_orders_swapped(&self) -> Self {
        let mut state = self.clone();
        state.orders.swap(0, 1);
        for worker in &mut state.workers {
            worker.parts.swap(0, 1);
        }
        state
    }
}

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Finish ends an order whose token is another's.
    FinishWithoutToken,
    /// Reschedule gives back a lease that is another's.
    RescheduleWithoutToken,
    /// Claim takes orders whose lease has not run out.
    ClaimOfLeased,
    /// Claim counts no attempt for a lease that ran out.
    LostLeaseNotCounted,
    /// Finish deletes the row of `order_work` in a statement before the one that records the outcome.
    DeleteBeforeRecord,
    /// Finish records an order whose attempts are used up before its dead letter is sent.
    RecordBeforeDeadLetter,
    /// Finish counts orders whose lease was lost as well.
    CountUnrecorded,
    /// Cancel takes orders on which work has begun.
    CancelOfStarted,
    /// Retry takes orders that have ended in any way.
    RetryOfAnyEnd,
    /// A sweep makes an order due now.
    SweepMovesDue,
    /// A sweep does not record that it requeued an order.
    SweepWithoutMark,
    /// Claim takes orders while processing is paused.
    ClaimWhilePaused,
    /// There is no sweeper.
    NoSweep,
}
