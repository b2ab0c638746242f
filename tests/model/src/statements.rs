//! The statements, each as one atomic action, and the end of an invocation.

use crate::steps::Decision;
use crate::{Claim, Due, MAX_ATTEMPTS, Mutant, ORDERS, Order, Outcome, Part, Row, State, TOKENS};

/// Ends an order and counts its end.
pub fn end(state: &mut State, order: usize, outcome: Outcome) {
    state.orders[order].row = None;
    state.orders[order].outcome = Some(outcome);
    state.counted[outcome as usize] += 1;
}

/// Makes a failed order pending again, and uncounts its failure. Its dead letter is deleted.
pub fn retry(state: &mut State, index: usize) {
    let order = &mut state.orders[index];
    let row = Row { due: Due::Now, claim: Claim::Free, attempts: 0, requeued: false };
    *order =
        Order { outcome: None, started: false, given_up: false, row: Some(row), message: true, dead_letter: false };
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
        if state.workers[worker][index] == Part::Out {
            continue;
        }
        let is_paused = state.paused && mutant != Some(Mutant::ClaimWhilePaused);
        let order = &mut state.orders[index];
        let is_claimable =
            |row: &Row| row.due != Due::Later || mutant == Some(Mutant::ClaimOfLeased) && row.claim != Claim::Free;
        state.workers[worker][index] = match &mut order.row {
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
                *row = Row { due: Due::Later, claim: TOKENS[worker], attempts, ..*row };
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
}

/// Takes these decisions on the batch, and records the ends of orders whose lease the worker still holds.
pub fn finish(state: &mut State, worker: usize, decisions: [Decision; ORDERS], mutant: Option<Mutant>) {
    for (index, decision) in decisions.into_iter().enumerate() {
        let (outcome, next) = match decision {
            Decision::End(outcome) => (Some(outcome), Part::Done),
            Decision::Next(part) => (None, part),
        };
        let part = std::mem::replace(&mut state.workers[worker][index], next);
        let Some(outcome) = outcome else { continue };
        let row = state.orders[index].row;
        let is_ours = row.is_some_and(|row| row.claim == TOKENS[worker] || mutant == Some(Mutant::FinishWithoutToken));
        if is_ours && mutant == Some(Mutant::DeleteBeforeRecord) {
            state.orders[index].row = None; // The record would be the next statement.
        } else if is_ours {
            state.orders[index].given_up = part != Part::Claimed;
            end(state, index, outcome);
        } else if mutant == Some(Mutant::CountUnrecorded) {
            state.counted[outcome as usize] += 1;
        }
    }
}

/// Sends the dead letters of the orders whose attempts are used up. The queue takes those with a flag, and refuses the others.
pub fn dead_letter(state: &mut State, worker: usize, taken: [bool; ORDERS]) {
    for (index, taken) in taken.into_iter().enumerate() {
        let part = &mut state.workers[worker][index];
        if *part == Part::GivenUp {
            *part = if taken { Part::DeadLettered } else { Part::Refused };
            state.orders[index].dead_letter |= taken;
        }
    }
}

/// Reschedules the orders whose lease the worker still holds, and sends new messages. An order whose dead letter was refused is due at
/// once. The invocation ends unless dead letters are still to be sent.
pub fn reschedule(state: &mut State, worker: usize, counts: [bool; ORDERS], mutant: Option<Mutant>) {
    for (index, counts) in counts.into_iter().enumerate() {
        let part = &mut state.workers[worker][index];
        let due = match part {
            Part::Later => Due::Later,
            Part::Refused => Due::Now,
            _ => continue,
        };
        *part = Part::Done;
        let order = &mut state.orders[index];
        order.message = true;
        if let Some(row) = &mut order.row
            && (row.claim == TOKENS[worker] || mutant == Some(Mutant::RescheduleWithoutToken))
        {
            let attempts = (row.attempts + u8::from(counts)).min(MAX_ATTEMPTS);
            *row = Row { due, claim: Claim::Free, attempts, ..*row };
        }
    }
    if !state.workers[worker].contains(&Part::GivenUp) {
        leave(state, worker);
    }
}

/// Ends an invocation: its token is lost, and its messages are deleted.
pub fn leave(state: &mut State, worker: usize) {
    for row in state.orders.iter_mut().filter_map(|order| order.row.as_mut()) {
        if row.claim == TOKENS[worker] {
            row.claim = Claim::Lost;
        }
    }
    state.workers[worker] = [Part::Out; ORDERS];
}

/// Ends an invocation by a crash: its messages become visible again.
pub fn crash(state: &mut State, worker: usize) {
    for (order, part) in state.orders.iter_mut().zip(state.workers[worker]) {
        order.message |= part != Part::Out;
    }
    leave(state, worker);
}
