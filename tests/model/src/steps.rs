//! The steps from a state to the next: a statement, a message, the passing of time, a fault.

use crate::statements::{claim, end, finish, leave, reschedule, resume, retry};
use crate::{Due, Mutant, ORDERS, Order, Outcome, Part, Row, Stage, State, WORKERS, Worker};

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
    /// A worker sends the dead letter of an order whose attempts are used up.
    DeadLetter(usize, usize),
    /// A worker records these ends of orders.
    Finish(usize, [Option<Outcome>; ORDERS]),
    /// A worker reschedules the other orders and deletes the messages of the ended ones. The flags say which reschedules count as
    /// attempts.
    Reschedule(usize, [bool; ORDERS]),
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
        let Worker { stage, parts } = self.state.workers[worker];
        if stage != Stage::Idle {
            self.add(Action::Crash(worker), |state| leave(state, worker, |_| true));
        }
        match stage {
            Stage::Idle => self.receive(worker),
            Stage::Received => {
                let mutant = self.mutant;
                for has_delay in [false, true] {
                    self.add(Action::Claim(worker, has_delay), |state| claim(state, worker, has_delay, mutant));
                }
            }
            Stage::Working => self.record(worker, parts),
            Stage::Recorded => self.reschedule(worker, parts),
        }
    }

    /// Adds the receive of a batch with a message of one order or of both.
    fn receive(&mut self, worker: usize) {
        for batch in [[true, false], [false, true], [true, true]] {
            let is_there = (0..ORDERS).all(|order| !batch[order] || self.state.orders[order].message);
            if is_there {
                self.add(Action::Receive(worker, batch), |state| {
                    let parts = batch.map(|held| if held { Part::Received } else { Part::Out });
                    state.workers[worker] = Worker { stage: Stage::Received, parts };
                    for order in (0..ORDERS).filter(|order| batch[*order]) {
                        state.orders[order].message = false;
                    }
                });
            }
        }
    }

    /// Adds the sends of dead letters, and afterwards each possible combination of ends of the claimed orders.
    fn record(&mut self, worker: usize, parts: [Part; ORDERS]) {
        let given_up = (0..ORDERS).filter(|order| parts[*order] == Part::GivenUp);
        for order in given_up.clone() {
            self.add(Action::DeadLetter(worker, order), |state| {
                state.orders[order].dead_letter = true;
                state.workers[worker].parts[order] = Part::DeadLettered;
            });
        }
        if given_up.count() > 0 && !self.is(Mutant::RecordBeforeDeadLetter) {
            return;
        }
        let mutant = self.mutant;
        for first in ends(parts[0]) {
            for second in ends(parts[1]) {
                let ended = [*first, *second];
                self.add(Action::Finish(worker, ended), |state| finish(state, worker, ended, mutant));
            }
        }
    }

    fn reschedule(&mut self, worker: usize, parts: [Part; ORDERS]) {
        let mutant = self.mutant;
        let choices = |part| if part == Part::Claimed { &[false, true][..] } else { &[false][..] };
        for first in choices(parts[0]) {
            for second in choices(parts[1]) {
                let counts = [*first, *second];
                self.add(Action::Reschedule(worker, counts), |state| reschedule(state, worker, counts, mutant));
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

/// The possible outcomes of an order's work. `None` means that it is rescheduled.
fn ends(part: Part) -> &'static [Option<Outcome>] {
    match part {
        Part::Claimed => &[None, Some(Outcome::Completed), Some(Outcome::Failed)],
        Part::GivenUp | Part::DeadLettered => &[Some(Outcome::Failed)],
        Part::Out | Part::Received | Part::Done => &[None],
    }
}

/// The number of workers that hold a message of the order.
fn holders(state: &State, order: usize) -> usize {
    state.workers.iter().filter(|worker| worker.parts[order] != Part::Out).count()
}
