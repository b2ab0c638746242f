//! The real statements break no invariant, and the search finds each mutant.

use model::Mutant;
use model::invariants::Broken;
use model::search::explore;

#[test]
fn statements_keep_every_invariant_in_every_interleaving() {
    let found = explore(None);
    println!("{} states", found.states);
    assert!(found.broken.is_none(), "{:?}", found.broken);
    assert!(found.states > 100_000, "only {} states: the model has lost a step", found.states);
}

fn breaks(mutant: Mutant, rule: Broken) {
    let found = explore(Some(mutant));
    let broken = found.broken.as_ref().map(|(broken, _)| *broken);
    assert_eq!(broken, Some(rule), "{mutant:?}: {found:?}");
}

#[test]
fn finish_without_token_ends_another_workers_order() {
    breaks(Mutant::FinishWithoutToken, Broken::RunningLeaseIsExclusive);
}

#[test]
fn reschedule_without_token_gives_back_another_lease() {
    breaks(Mutant::RescheduleWithoutToken, Broken::RunningLeaseIsExclusive);
}

#[test]
fn claim_of_a_leased_order_is_found() {
    breaks(Mutant::ClaimOfLeased, Broken::RunningLeaseIsExclusive);
}

#[test]
fn lost_lease_without_an_attempt_is_found() {
    breaks(Mutant::LostLeaseNotCounted, Broken::LostLeaseCounts);
}

#[test]
fn delete_before_record_leaves_an_active_order_without_work() {
    breaks(Mutant::DeleteBeforeRecord, Broken::RowExactlyWhileActive);
}

#[test]
fn record_before_dead_letter_is_found() {
    breaks(Mutant::RecordBeforeDeadLetter, Broken::GivenUpHasDeadLetter);
}

#[test]
fn end_that_was_not_recorded_is_not_counted() {
    breaks(Mutant::CountUnrecorded, Broken::StatisticsEqualRecount);
}

#[test]
fn cancel_of_a_started_order_is_found() {
    breaks(Mutant::CancelOfStarted, Broken::RunningLeaseIsExclusive);
}

#[test]
fn retry_of_an_order_that_has_not_failed_is_found() {
    breaks(Mutant::RetryOfAnyEnd, Broken::EndIsFinal);
}

#[test]
fn sweep_that_moves_due_at_is_found() {
    breaks(Mutant::SweepMovesDue, Broken::SweepLeavesDue);
}

#[test]
fn sweep_without_a_mark_requeues_again_and_again() {
    breaks(Mutant::SweepWithoutMark, Broken::SweepRequeuesOnce);
}

#[test]
fn claim_during_a_pause_is_found() {
    breaks(Mutant::ClaimWhilePaused, Broken::PauseClaimsNothing);
}

#[test]
fn lost_message_without_a_sweeper_leaves_an_order_stuck() {
    breaks(Mutant::NoSweep, Broken::OrderCanEnd);
}
