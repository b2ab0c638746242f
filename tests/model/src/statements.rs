//! The statements, each as one atomic action, and the end of an invocation.

use crate::{Claim, Due, MAX_ATTEMPTS, Mutant, ORDERS, Order, Outcome, Part, Row, Stage, State, Worker};

/// Ends an order and counts its end.
pub fn end(state: &mut State, order: usize, outcome: Outcome) {
    state.orders[order].row = None;
    state.orders[order].outcome = Some(outcome);
    state.counted[outcome as usize] += 1;
}

/// Makes a failed order pending again, and uncounts its failure.
pub fn retry(state: &mut State, index: usize) {
    let order = &mut state.orders[index];
    let row = Row { due: Due::Now, claim: Claim::Free, attempts: 0, requeued: false };
    *order = Order { outcome: None, started: false, given_up: false, row: Some(row), message: true, ..*order };
    state.counted[Outcome::Failed as usize] -= 1;
    state.retries -= 1;
}

/// Ends a pause. An order that is due counts as overdue, and as not requeued since.
pub fn resume(state: &mut State) {
    state.paused = false;
    for row in state.orders.iter_mut().filter_map(|order| order.row.as_mut()).filter(|row| row.due != Due::Later) {
        *row = Row { due: Due::Overdue, requeued: false, ..*row };
    }
}

/// Claims the due orders of the batch. The message of an order that is not due comes again; that of an ended order is
/// deleted, and so is that of a due order while processing is paused. If the work has a delay, an order that starts now waits instead.
pub fn claim(state: &mut State, worker: usize, has_delay: bool, mutant: Option<Mutant>) {
    for index in 0..ORDERS {
        if state.workers[worker].parts[index] == Part::Out {
            continue;
        }
        let is_paused = state.paused && mutant != Some(Mutant::ClaimWhilePaused);
        let order = &mut state.orders[index];
        let is_claimable =
            |row: &Row| row.due != Due::Later || mutant == Some(Mutant::ClaimOfLeased) && row.claim != Claim::Free;
        state.workers[worker].parts[index] = match &mut order.row {
            Some(row) if is_claimable(row) && is_paused => Part::Out,
            Some(row) if is_claimable(row) && has_delay && !order.started => {
                row.due = Due::Later;
                order.started = true;
                order.message = true;
                Part::Out
            }
            Some(row) if is_claimable(row) => {
                let counts = row.claim != Claim::Free && mutant != Some(Mutant::LostLeaseNotCounted);
                let attempts = (row.attempts + u8::from(counts)).min(MAX_ATTEMPTS);
                *row = Row { due: Due::Later, claim: Claim::Held(worker), attempts, ..*row };
                order.started = true;
                if attempts >= MAX_ATTEMPTS { Part::GivenUp } else { Part::Claimed }
            }
            Some(_) => {
                order.message = true;
                Part::Out
            }
            None => Part::Out,
        };
    }
    let has_orders = state.workers[worker].parts.iter().any(|part| *part != Part::Out);
    state.workers[worker].stage = if has_orders { Stage::Working } else { Stage::Idle };
}

/// Ends the orders whose lease the worker still holds.
pub fn finish(state: &mut State, worker: usize, ended: [Option<Outcome>; ORDERS], mutant: Option<Mutant>) {
    for (index, outcome) in ended.into_iter().enumerate() {
        let Some(outcome) = outcome else { continue };
        let part = std::mem::replace(&mut state.workers[worker].parts[index], Part::Done);
        let row = state.orders[index].row;
        let is_ours =
            row.is_some_and(|row| row.claim == Claim::Held(worker) || mutant == Some(Mutant::FinishWithoutToken));
        if is_ours && mutant == Some(Mutant::DeleteBeforeRecord) {
            state.orders[index].row = None; // The record would be the next statement.
        } else if is_ours {
            state.orders[index].given_up = part != Part::Claimed;
            end(state, index, outcome);
        } else if mutant == Some(Mutant::CountUnrecorded) {
            state.counted[outcome as usize] += 1;
        }
    }
    state.workers[worker].stage = Stage::Recorded;
}

/// Reschedules the orders whose lease the worker still holds, and ends the invocation. Their messages become visible again.
pub fn reschedule(state: &mut State, worker: usize, counts: [bool; ORDERS], mutant: Option<Mutant>) {
    for (index, counts) in counts.into_iter().enumerate() {
        if state.workers[worker].parts[index] != Part::Claimed {
            continue;
        }
        if let Some(row) = &mut state.orders[index].row
            && (row.claim == Claim::Held(worker) || mutant == Some(Mutant::RescheduleWithoutToken))
        {
            let attempts = (row.attempts + u8::from(counts)).min(MAX_ATTEMPTS);
            *row = Row { due: Due::Later, claim: Claim::Free, attempts, ..*row };
        }
    }
    leave(state, worker, |part| part == Part::Claimed);
}

/// Ends an invocation: its token is lost, and messages whose part satisfies `is_redelivered` become visible again.
pub fn leave(state: &mut State, worker: usize, is_redelivered: impl Fn(Part) -> bool) {
    for index in 0..ORDERS {
        let part = state.workers[worker].parts[index];
        let order = &mut state.orders[index];
        order.message |= part != Part::Out && is_redelivered(part);
        if let Some(row) = &mut order.row
            && row.claim == Claim::Held(worker)
        {
            row.claim = Claim::Lost;
        }
    }
    state.workers[worker] = Worker { stage: Stage::Idle, parts: [Part::Out; ORDERS] };
}
