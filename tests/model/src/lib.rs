//! A model of the life of orders, small enough that every interleaving is explored: two orders, two workers, and the
//! statements of `shared/src/db/` (`claim.rs`, `finish.rs`, `cancel.rs`, `requeue.rs`, `retry.rs` and `pause.rs`), each one atomic action.
//!
//! The model simplifies four things, without excluding an interleaving:
//! - **Clocks.** A time is in the future, past, or past by more than the grace period; time passes for each row at any moment. So
//!   a lease may run out under a worker that still runs, which the time-outs prevent on Lambda.
//! - **Sends.** A message is sent together with the statement before it. Messages may be lost, duplicated and late, so a crash
//!   between the two is a lost message, and a late send is a late message.
//! - **Tokens.** A token is the invocation that drew it; when the invocation ends, the token is lost.
//! - **Dead letters.** A dead letter counts for the invocation that sent it and for no later one, which needs a letter of its own.
//!
//! [`search::explore`] checks each state and each step against [`invariants`], and finds states that leave an order stuck.
//! Each [`Mutant`] breaks one rule of the statements; the tests show that the search finds it.

#![expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "no call has an effect, so an unused result does no harm"
)]

pub mod invariants;
pub mod search;
mod statements;
pub mod steps;

/// The number of orders.
pub const ORDERS: usize = 2;
/// The number of workers.
pub const WORKERS: usize = 2;
/// An order fails after this many attempts without an outcome.
pub const MAX_ATTEMPTS: u8 = 1;
/// The most retries by the operator.
pub const RETRIES: u8 = 1;
/// How often the operator pauses processing.
pub const PAUSES: u8 = 1;

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The work is done.
    Completed,
    /// The work failed for good, or the attempts are used up.
    Failed,
    /// A client cancelled it before its processing started.
    Cancelled,
}

/// A time, relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Due {
    /// It is in the future.
    Later,
    /// It is in the past.
    Now,
    /// It is in the past by more than the grace period.
    Overdue,
}

/// The fencing token of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// There is no token.
    Free,
    /// The current invocation of the first worker holds it.
    First,
    /// That of the second worker holds it.
    Second,
    /// The invocation that held it has ended.
    Lost,
}

/// The token of each worker's current invocation.
pub const TOKENS: [Claim; WORKERS] = [Claim::First, Claim::Second];

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

/// An order: its row of `orders`, its row of `order_work`, and its messages in the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "the facts are independent")]
pub struct Order {
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether its processing has started.
    pub started: bool,
    /// Whether it failed in this step because its attempts were used up.
    pub given_up: bool,
    /// Its row of `order_work`.
    pub row: Option<Row>,
    /// Whether the queue holds a visible message. One is enough: each worker may hold another.
    pub message: bool,
    /// Whether the dead-letter queue holds a letter of a running invocation.
    pub dead_letter: bool,
}

/// The state of an order in a worker's batch. The statements of an invocation follow in the order of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// It is not in the batch, or no longer.
    Out,
    /// The worker holds its message.
    Received,
    /// The worker has claimed it and processes it.
    Claimed,
    /// It is due again later.
    Later,
    /// Its attempts are used up.
    GivenUp,
    /// Its attempts are used up, and its dead letter is sent.
    DeadLettered,
    /// Its attempts are used up, and its dead letter was refused.
    Refused,
    /// Its end is recorded, it is rescheduled, or the lease was lost. The worker still holds its message.
    Done,
}

/// The batch of a worker's invocation. Without an invocation, each order is [`Part::Out`].
pub type Batch = [Part; ORDERS];

/// A state of the whole model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// The orders.
    pub orders: [Order; ORDERS],
    /// The workers.
    pub workers: [Batch; WORKERS],
    /// The operator's remaining retries.
    pub retries: u8,
    /// How many pauses the operator has left.
    pub pauses: u8,
    /// Whether processing is paused.
    pub paused: bool,
    /// `order_stats`: completed, failed, cancelled.
    pub counted: [i8; 3],
}

impl State {
    /// The initial state: both orders are accepted, and their messages are sent.
    pub fn initial() -> Self {
        let row = Row { due: Due::Later, claim: Claim::Free, attempts: 0, requeued: false };
        let order =
            Order { outcome: None, started: false, given_up: false, row: Some(row), message: true, dead_letter: false };
        Self {
            orders: [order; ORDERS],
            workers: [[Part::Out; ORDERS]; WORKERS],
            retries: RETRIES,
            pauses: PAUSES,
            paused: false,
            counted: [0; 3],
        }
    }

    /// The representative of all states that differ from this one only in the numbering of workers and orders, in whether an ended
    /// order failed for its attempts, or in a dead letter whose invocation is over.
    pub fn canonical(mut self) -> Self {
        for (index, order) in self.orders.iter_mut().enumerate() {
            order.given_up = false;
            order.dead_letter &= self.workers.iter().any(|batch| batch[index] == Part::DeadLettered);
        }
        let other_workers = self.with_workers_swapped();
        let (orders, both) = (self.with_orders_swapped(), other_workers.with_orders_swapped());
        self.min(other_workers).min(orders).min(both)
    }

    fn with_workers_swapped(&self) -> Self {
        let mut state = self.clone();
        state.workers.swap(0, 1);
        for row in state.orders.iter_mut().filter_map(|order| order.row.as_mut()) {
            row.claim = match row.claim {
                Claim::First => Claim::Second,
                Claim::Second => Claim::First,
                other => other,
            };
        }
        state
    }

    fn with_orders_swapped(&self) -> Self {
        let mut state = self.clone();
        state.orders.swap(0, 1);
        state.workers.iter_mut().for_each(|batch| batch.swap(0, 1));
        state
    }
}

/// A rule of the statements that is broken on purpose. The named integration test shows that the statements themselves keep the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Finish ends an order that another worker has claimed: `worker_with_an_expired_lease_changes_nothing`.
    FinishWithoutToken,
    /// Reschedule releases another worker's lease: the same test.
    RescheduleWithoutToken,
    /// Claim claims orders whose lease is still running: the same test.
    ClaimOfLeased,
    /// Claim counts no attempt for an expired lease: `worker_that_dies_leaves_a_failed_attempt`.
    LostLeaseNotCounted,
    /// Finish deletes the row of `order_work` in a statement before the one that records the outcome. It is one statement.
    DeleteBeforeRecord,
    /// Finish records the end of an order before its dead letter is sent: `order_whose_dead_letter_is_refused_keeps_its_last_cause`.
    RecordBeforeDeadLetter,
    /// Finish also counts orders whose lease was lost: `worker_with_an_expired_lease_changes_nothing`.
    CountUnrecorded,
    /// Cancel cancels orders whose processing has started: `processing_order_can_be_neither_cancelled_nor_retried`.
    CancelOfStarted,
    /// Retry retries orders with any end: `failed_order_can_be_retried_only_by_an_operator`.
    RetryOfAnyEnd,
    /// A sweep makes an order due now: `stopped_processor_raises_the_overdue_alarm_in_six_minutes`.
    SweepMovesDue,
    /// A sweep does not record that it requeued an order: `order_is_requeued_at_most_once_in_a_grace_period`.
    SweepWithoutMark,
    /// Claim takes orders while processing is paused: `pause_accepts_orders_and_starts_none`.
    ClaimWhilePaused,
    /// There is no sweeper: `unreachable_queue_loses_no_order_and_the_sweeper_requeues_it`.
    NoSweep,
}
