//! The modelled statements break no invariant, and the search finds each mutant.

use model::Mutant;
use model::invariants::Broken;
use model::search::explore;

#[test]
fn statements_keep_every_invariant_in_every_interleaving() {
    let found = explore(None);
    println!("{} states", found.states);
    assert!(found.broken.is_none(), "{:?}", found.broken);
    assert!(found.states > 2_500_000, "only {} of some 3,000,000 states: the model has lost a step", found.states);
}

#[test]
fn each_mutant_breaks_its_invariant() {
    let mutants = [
        (Mutant::FinishWithoutToken, Broken::RunningLeaseIsExclusive),
        (Mutant::RescheduleWithoutToken, Broken::RunningLeaseIsExclusive),
        (Mutant::ClaimOfLeased, Broken::RunningLeaseIsExclusive),
        (Mutant::LostLeaseNotCounted, Broken::LostLeaseCounts),
        (Mutant::DeleteBeforeRecord, Broken::RowExactlyWhileActive),
        (Mutant::RecordBeforeDeadLetter, Broken::GivenUpHasDeadLetter),
        (Mutant::CountUnrecorded, Broken::StatisticsEqualRecount),
        (Mutant::CancelOfStarted, Broken::RunningLeaseIsExclusive),
        (Mutant::RetryOfAnyEnd, Broken::EndIsFinal),
        (Mutant::SweepMovesDue, Broken::SweepLeavesDue),
        (Mutant::SweepWithoutMark, Broken::SweepRequeuesOnce),
        (Mutant::ClaimWhilePaused, Broken::PauseClaimsNothing),
        (Mutant::NoSweep, Broken::OrderCanEnd),
    ];
    let check = |mutant, rule| {
        let found = explore(Some(mutant));
        let broken = found.broken.as_ref().map(|(broken, _)| *broken);
        assert_eq!(broken, Some(rule), "{mutant:?}: {found:?}");
    };
    std::thread::scope(|threads| {
        for (mutant, rule) in mutants {
            threads.spawn(move || check(mutant, rule));
        }
    });
}
