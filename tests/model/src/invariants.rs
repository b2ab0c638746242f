//! The invariants of every state and every step.

use crate::steps::Action;
use crate::{Claim, Due, MAX_ATTEMPTS, ORDERS, Order, Outcome, State, TOKENS};

/// A broken invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A row of `order_work` exists exactly while its order is active.
    RowExactlyWhileActive,
    /// `order_stats` equals a recount of the orders: each end is recorded once.
    StatisticsEqualRecount,
    /// Each completed or failed order was started by a worker, and no cancelled one was.
    BegunExactlyUnlessCancelled,
    /// An order whose attempts are used up has a dead letter.
    GivenUpHasDeadLetter,
    /// An order's end is final, except for an operator's retry of a failed order.
    EndIsFinal,
    /// While a lease runs, only its holder ends, claims or reschedules the order.
    RunningLeaseIsExclusive,
    /// An expired lease counts as an attempt.
    LostLeaseCounts,
    /// A sweep leaves `due_at` as it is.
    SweepLeavesDue,
    /// A sweep requeues an order once in a grace period.
    SweepRequeuesOnce,
    /// No order is claimed while processing is paused.
    PauseClaimsNothing,
    /// An order can end from every state without a fault, a client's cancel or an operator's retry.
    OrderCanEnd,
}

/// Returns the invariant that the state breaks, if any.
pub fn of_state(state: &State) -> Option<Broken> {
    let recount = [Outcome::Completed, Outcome::Failed, Outcome::Cancelled]
        .map(|outcome| state.orders.iter().filter(|order| order.outcome == Some(outcome)).count());
    if recount.iter().zip(state.counted).any(|(recount, counted)| i8::try_from(*recount) != Ok(counted)) {
        return Some(Broken::StatisticsEqualRecount);
    }
    state.orders.iter().find_map(of_order)
}

fn of_order(order: &Order) -> Option<Broken> {
    if order.row.is_some() == order.outcome.is_some() {
        return Some(Broken::RowExactlyWhileActive);
    }
    if order.outcome.is_some_and(|outcome| (outcome == Outcome::Cancelled) == order.started) {
        return Some(Broken::BegunExactlyUnlessCancelled);
    }
    (order.given_up && !order.dead_letter).then_some(Broken::GivenUpHasDeadLetter)
}

/// Returns the invariant that the step breaks, if any.
pub fn of_step(before: &State, action: Action, after: &State) -> Option<Broken> {
    let claims = |index: usize| {
        let claim = |state: &State| state.orders[index].row.map(|row| row.claim);
        claim(before) != claim(after)
    };
    if before.paused && matches!(action, Action::Claim(..)) && (0..ORDERS).any(claims) {
        return Some(Broken::PauseClaimsNothing);
    }
    (0..ORDERS).find_map(|index| of_change(&before.orders[index], action, &after.orders[index]))
}

fn of_change(before: &Order, action: Action, after: &Order) -> Option<Broken> {
    let is_retry = matches!(action, Action::Retry(_)) && before.outcome == Some(Outcome::Failed);
    if before.outcome.is_some() && after.outcome != before.outcome && !is_retry {
        return Some(Broken::EndIsFinal);
    }
    let row = before.row?;
    let is_running = TOKENS.contains(&row.claim) && row.due == Due::Later;
    let is_lost = after.row.is_none_or(|after| after.claim != row.claim);
    if is_running && is_lost && actor(action).is_none_or(|worker| row.claim != TOKENS[worker]) {
        return Some(Broken::RunningLeaseIsExclusive);
    }
    let after = after.row?;
    if matches!(action, Action::Claim(..))
        && after.claim != row.claim
        && row.claim != Claim::Free
        && after.attempts != (row.attempts + 1).min(MAX_ATTEMPTS)
    {
        return Some(Broken::LostLeaseCounts);
    }
    if action == Action::Sweep && after.due != row.due {
        return Some(Broken::SweepLeavesDue);
    }
    let is_requeued_again = action == Action::Sweep && after.due == Due::Overdue && !after.requeued;
    is_requeued_again.then_some(Broken::SweepRequeuesOnce)
}

/// The worker of an action, if it has one.
fn actor(action: Action) -> Option<usize> {
    match action {
        Action::Claim(worker, _)
        | Action::Finish(worker, _)
        | Action::Reschedule(worker, _)
        | Action::Crash(worker) => Some(worker),
        _ => None,
    }
}
