//! The steps from a state to the next: a statement, a message, the passing of time, a fault.

use crate::statements::{claim, crash, dead_letter, end, finish, reschedule, resume, retry};
use crate::{Batch, Due, Mutant, ORDERS, Order, Outcome, Part, Row, State, WORKERS};

/// The decision on an order of a worker's batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It ends.
    End(Outcome),
    /// It has this state next.
    Next(Part),
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The cancel window, the lease, the wait or the grace period of an order is over.
    TimePasses(usize),
    /// A grace period has passed since an order was requeued.
    RequeueAges(usize),
    /// A message of an order is lost.
    Lose(usize),
    /// A message of an order is delivered once more.
    Duplicate(usize),
    /// A worker receives messages of these orders.
    Receive(usize, [bool; ORDERS]),
    /// A worker claims its batch; and whether orders that begin now wait.
    Claim(usize, bool),
    /// A worker takes these decisions, and records the ends.
    Finish(usize, [Decision; ORDERS]),
    /// A worker reschedules orders, and deletes the messages of the batch if it has no dead letter to send. The flags say which
    /// reschedules count as attempts.
    Reschedule(usize, [bool; ORDERS]),
    /// A worker sends dead letters. The flags say which of them the queue takes.
    DeadLetter(usize, [bool; ORDERS]),
    /// A worker crashes within its invocation: its messages become visible again.
    Crash(usize),
    /// The sweeper requeues overdue orders.
    Sweep,
    /// The queue refused a sweep's message for an order.
    UndoRequeue(usize),
    /// A client cancels an order.
    Cancel(usize),
    /// An operator retries an order.
    Retry(usize),
    /// An operator pauses processing.
    Pause,
    /// An operator resumes it.
    Resume,
}

impl Action {
    /// Whether an order must be able to end without this step: a fault, a cancel, a retry or a pause.
    pub fn is_optional(&self) -> bool {
        matches!(
            self,
            Self::Lose(_)
                | Self::Duplicate(_)
                | Self::Crash(_)
                | Self::UndoRequeue(_)
                | Self::Cancel(_)
                | Self::Retry(_)
                | Self::Pause
        )
    }
}

/// Returns every step from this state, with the next state.
pub fn next(state: &State, mutant: Option<Mutant>) -> Vec<(Action, State)> {
    let mut steps = Steps { state, mutant, found: Vec::new() };
    for order in 0..ORDERS {
        steps.order(order);
    }
    for worker in 0..WORKERS {
        steps.worker(worker);
    }
    steps.pause();
    if mutant != Some(Mutant::NoSweep) && !state.paused {
        steps.sweep();
    }
    steps.found
}

struct Steps<'a> {
    state: &'a State,
    mutant: Option<Mutant>,
    found: Vec<(Action, State)>,
}

impl Steps<'_> {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn add(&mut self, action: Action, change: impl FnOnce(&mut State)) {
        let mut state = self.state.clone();
        change(&mut state);
        self.found.push((action, state));
    }

    fn order(&mut self, index: usize) {
        let order = self.state.orders[index];
        if let Some(row) = order.row {
            if row.due != Due::Overdue {
                let due = if row.due == Due::Later { Due::Now } else { Due::Overdue };
                self.add(Action::TimePasses(index), |state| state.orders[index].row = Some(Row { due, ..row }));
            }
            if row.requeued {
                let aged = Some(Row { requeued: false, ..row });
                self.add(Action::RequeueAges(index), |state| state.orders[index].row = aged);
                // The queue refused the send: the sweep is undone, and no message exists.
                self.add(Action::UndoRequeue(index), |state| {
                    state.orders[index] = Order { row: aged, message: false, ..order };
                });
            }
            if !order.started || self.is(Mutant::CancelOfStarted) {
                self.add(Action::Cancel(index), |state| end(state, index, Outcome::Cancelled));
            }
        }
        if order.message {
            self.add(Action::Lose(index), |state| state.orders[index].message = false);
        } else if holders(self.state, index) > 0 {
            self.add(Action::Duplicate(index), |state| state.orders[index].message = true);
        }
        let may_retry = if self.is(Mutant::RetryOfAnyEnd) {
            order.outcome.is_some()
        } else {
            order.outcome == Some(Outcome::Failed)
        };
        if may_retry && self.state.retries > 0 {
            self.add(Action::Retry(index), |state| retry(state, index));
        }
    }

    fn worker(&mut self, worker: usize) {
        let (batch, mutant) = (self.state.workers[worker], self.mutant);
        if batch == [Part::Out; ORDERS] {
            return self.receive(worker);
        }
        self.add(Action::Crash(worker), |state| crash(state, worker));
        let has = |part| batch.contains(&part);
        let ends_before_letter = self.is(Mutant::RecordBeforeDeadLetter) && has(Part::GivenUp);
        if has(Part::Received) {
            for has_delay in [false, true] {
                self.add(Action::Claim(worker, has_delay), |state| claim(state, worker, has_delay, mutant));
            }
        } else if has(Part::Claimed) || has(Part::DeadLettered) || ends_before_letter {
            for decisions in choices(batch, |part| decisions(part, ends_before_letter)) {
                self.add(Action::Finish(worker, decisions), |state| finish(state, worker, decisions, mutant));
            }
        } else if has(Part::GivenUp) && !has(Part::Later) {
            for taken in choices(batch, |part| flags(part == Part::GivenUp)) {
                self.add(Action::DeadLetter(worker, taken), |state| dead_letter(state, worker, taken));
            }
        } else {
            for counts in choices(batch, |part| flags(matches!(part, Part::Later | Part::Refused))) {
                self.add(Action::Reschedule(worker, counts), |state| reschedule(state, worker, counts, mutant));
            }
        }
    }

    /// Adds the receive of a batch with a message of one order or of both.
    fn receive(&mut self, worker: usize) {
        for batch in [[true, false], [false, true], [true, true]] {
            let is_there = (0..ORDERS).all(|order| !batch[order] || self.state.orders[order].message);
            if is_there {
                self.add(Action::Receive(worker, batch), |state| {
                    state.workers[worker] = batch.map(|held| if held { Part::Received } else { Part::Out });
                    for order in (0..ORDERS).filter(|order| batch[*order]) {
                        state.orders[order].message = false;
                    }
                });
            }
        }
    }

    fn pause(&mut self) {
        if self.state.paused {
            self.add(Action::Resume, resume);
        } else if self.state.pauses > 0 {
            self.add(Action::Pause, |state| {
                state.paused = true;
                state.pauses -= 1;
            });
        }
    }

    fn sweep(&mut self) {
        let is_overdue = |order: &Order| order.row.is_some_and(|row| row.due == Due::Overdue && !row.requeued);
        if !self.state.orders.iter().any(is_overdue) {
            return;
        }
        let (marks, moves) = (!self.is(Mutant::SweepWithoutMark), self.is(Mutant::SweepMovesDue));
        self.add(Action::Sweep, |state| {
            for order in state.orders.iter_mut().filter(|order| is_overdue(order)) {
                order.message = true;
                if let Some(row) = &mut order.row {
                    row.requeued = marks;
                    row.due = if moves { Due::Now } else { row.due };
                }
            }
        });
    }
}

/// The possible decisions on an order. If `ends_before_letter`, an order ends before its dead letter is sent.
fn decisions(part: Part, ends_before_letter: bool) -> Vec<Decision> {
    match part {
        Part::Claimed => vec![
            Decision::End(Outcome::Completed),
            Decision::End(Outcome::Failed),
            Decision::Next(Part::Later),
            Decision::Next(Part::GivenUp),
        ],
        Part::DeadLettered => vec![Decision::End(Outcome::Failed)],
        Part::GivenUp if ends_before_letter => vec![Decision::End(Outcome::Failed)],
        other => vec![Decision::Next(other)],
    }
}

/// Both values of a flag if it is open, and else false alone.
fn flags(is_open: bool) -> Vec<bool> {
    if is_open { vec![false, true] } else { vec![false] }
}

/// Every combination of the choices for the orders of a batch.
fn choices<T: Copy>(batch: Batch, of: impl Fn(Part) -> Vec<T>) -> Vec<[T; ORDERS]> {
    let [first, second] = batch.map(of);
    first.iter().flat_map(|first| second.iter().map(|second| [*first, *second])).collect()
}

/// The number of workers that hold a message of the order.
fn holders(state: &State, order: usize) -> usize {
    state.workers.iter().filter(|batch| batch[order] != Part::Out).count()
}
