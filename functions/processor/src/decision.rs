//! The decision on a claimed order after an attempt.

use std::time::Duration;

use shared::db::claim::Claimed;
use shared::db::finish::{Finish, Reschedule};

use crate::backoff::Backoff;
use crate::work::Outcome;

/// The longest time from an order's first start to its end. An attempt after it is the last, even if the merchant asks for time. A
/// week lets a merchant wait over a weekend and holidays, and still ends an order that would wait for ever.
const LONGEST: Duration = Duration::from_hours(LONGEST_DAYS * 24);
const LONGEST_DAYS: u64 = 7;

/// The decision on a claimed order.
#[derive(Debug)]
pub enum Decision {
    /// It ends now: it completes, or another attempt could not help.
    End(Finish),
    /// It fails once its dead letter is sent. Another attempt could help, but none is left.
    DeadLetter(DeadLetter),
    /// It is due again: for a retry, after a wait, or because it is released.
    Later(Later),
}

/// A claimed order that goes to the dead-letter queue, and then fails.
#[derive(Debug)]
pub struct DeadLetter {
    /// The order.
    pub order: Claimed,
    /// Why it fails.
    pub failure: String,
    /// The number of attempts, including this one if there was one.
    attempts: i32,
    /// The cause of this attempt, if there was one and it failed.
    cause: Option<String>,
}

/// A claimed order that is due again later.
#[derive(Debug)]
pub struct Later {
    /// The order.
    pub order: Claimed,
    /// The time until then; zero if it is released.
    pub after: Duration,
    /// The cause, if the attempt failed. The attempt is used up then.
    failed_attempt: Option<String>,
}

impl Decision {
    /// Decides after an attempt with this outcome.
    pub fn after_attempt(order: Claimed, outcome: Outcome, max_attempts: i32, backoff: &Backoff) -> Self {
        let attempts = order.attempts + 1;
        let waited = Duration::try_from(order.claimed_at - order.started_at).unwrap_or_default();
        let is_over = waited >= LONGEST;
        match outcome {
            Outcome::Complete => Self::End(Finish { order, attempts, failure: None }),
            Outcome::Fail(reason) => Self::End(Finish { order, attempts, failure: Some(reason) }),
            Outcome::Wait(_) if is_over => {
                let failure = format!("given up after {LONGEST_DAYS} days of waiting");
                Self::DeadLetter(DeadLetter { order, failure, attempts, cause: None })
            }
            Outcome::Wait(after) => {
                let after = after.unwrap_or_else(|| backoff.after_waiting(waited));
                Self::Later(Later { order, after, failed_attempt: None })
            }
            Outcome::Retry { cause, .. } if attempts >= max_attempts => {
                let failure = given_up(attempts, Some(&cause));
                Self::DeadLetter(DeadLetter { order, failure, attempts, cause: Some(cause) })
            }
            Outcome::Retry { cause, .. } if is_over => {
                let failure = format!("given up after {LONGEST_DAYS} days: {cause}");
                Self::DeadLetter(DeadLetter { order, failure, attempts, cause: Some(cause) })
            }
            Outcome::Retry { after, cause } => {
                let after = backoff.after(order.attempts).max(after.unwrap_or_default());
                Self::Later(Later { order, after, failed_attempt: Some(cause) })
            }
            // The order is released: no attempt is used up.
            Outcome::NotStarted => Self::Later(Later { order, after: Duration::ZERO, failed_attempt: None }),
        }
    }

    /// Decides without an attempt: the order has used up its attempts, the last of them for this cause. Its worker crashed, or could not
    /// send the dead letter.
    pub fn without_attempt(order: Claimed, last_cause: Option<&str>) -> Self {
        let attempts = order.attempts;
        Self::DeadLetter(DeadLetter { order, failure: given_up(attempts, last_cause), attempts, cause: None })
    }
}

impl DeadLetter {
    /// The end of the order, once its letter is sent.
    pub fn into_finish(self) -> Finish {
        Finish { order: self.order, attempts: self.attempts, failure: Some(self.failure) }
    }

    /// The order if its letter could not be sent. It is due at once, for a retry if its attempt failed, and else released. If its
    /// attempts are used up, the next claim sends the letter. An order that is older than [`LONGEST`] gets another attempt first, and its
    /// outcome decides anew.
    pub fn without_letter(self) -> Later {
        Later { order: self.order, after: Duration::ZERO, failed_attempt: self.cause }
    }
}

impl Later {
    /// The rescheduling of the order. `since_claim` is the time since the claim.
    pub fn reschedule(&self, since_claim: Duration) -> Reschedule<'_> {
        Reschedule {
            order_id: &self.order.order_id,
            due_at: self.order.claimed_at + since_claim + self.after,
            failed_attempt: self.failed_attempt.as_deref(),
        }
    }
}

/// Splits the decisions on a batch by what follows from them.
pub fn split(decisions: Vec<Decision>) -> (Vec<Finish>, Vec<DeadLetter>, Vec<Later>) {
    let (mut ends, mut dead_letters, mut later) = (Vec::new(), Vec::new(), Vec::new());
    for decision in decisions {
        match decision {
            Decision::End(end) => ends.push(end),
            Decision::DeadLetter(letter) => dead_letters.push(letter),
            Decision::Later(order) => later.push(order),
        }
    }
    (ends, dead_letters, later)
}

/// The failure of an order whose last attempt failed for this cause.
fn given_up(attempts: i32, cause: Option<&str>) -> String {
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("given up after {attempts} attempts{cause}")
}

#[cfg(test)]
mod tests {
    use shared::config::Env;

    use super::*;
    use crate::work::tests::claimed;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_hours(24);

    /// Decides `waited` after the first attempt, with three attempts at most and a back-off of a second.
    fn decide(attempts: i32, waited: Duration, outcome: Outcome) -> Decision {
        let order = claimed();
        let order = Claimed { attempts, claimed_at: order.started_at + waited, ..order };
        let backoff = [("RETRY_BASE_SECONDS", "1"), ("RETRY_CAP_SECONDS", "1")];
        Decision::after_attempt(order, outcome, 3, &Backoff::from_env(&Env::from_iter(backoff)).unwrap())
    }

    fn busy(after: Option<Duration>) -> Outcome {
        Outcome::Retry { cause: "busy".to_owned(), after }
    }

    fn retry(attempts: i32, after: Option<Duration>) -> Decision {
        decide(attempts, Duration::ZERO, busy(after))
    }

    fn dead_letter(decision: Decision) -> DeadLetter {
        let Decision::DeadLetter(letter) = decision else { panic!("{decision:?}") };
        letter
    }

    #[track_caller]
    fn assert_dead_letter(decision: Decision, failure: &str, cause: Option<&str>) {
        let letter = dead_letter(decision);
        assert_eq!((&*letter.failure, letter.cause.as_deref()), (failure, cause));
    }

    #[track_caller]
    fn assert_later(decision: Decision, after: Duration, failed_attempt: Option<&str>) {
        let Decision::Later(later) = decision else { panic!("{decision:?}") };
        assert_eq!((later.after, later.failed_attempt.as_deref()), (after, failed_attempt));
    }

    #[test]
    fn last_attempt_dead_letters_the_order_with_its_cause() {
        assert_later(retry(0, None), SECOND, Some("busy"));
        assert_later(retry(1, None), SECOND, Some("busy"));
        assert_dead_letter(retry(2, None), "given up after 3 attempts: busy", Some("busy"));
    }

    #[test]
    fn order_without_its_letter_is_due_at_once_and_keeps_its_cause() {
        let waiting = decide(2, 7 * DAY, Outcome::Wait(None));
        for (decision, cause) in [(retry(2, None), Some("busy")), (waiting, None)] {
            let later = dead_letter(decision).without_letter();
            assert_eq!((later.after, later.failed_attempt.as_deref()), (Duration::ZERO, cause));
        }
    }

    #[test]
    fn retry_after_lengthens_the_back_off_and_never_shortens_it() {
        assert_later(retry(0, Some(Duration::from_mins(1))), Duration::from_mins(1), Some("busy"));
        assert_later(retry(0, Some(Duration::ZERO)), SECOND, Some("busy"));
    }

    #[test]
    fn order_is_dead_letter_after_seven_days() {
        let almost = Duration::from_millis(7 * 86_400_000 - 1);
        assert_later(decide(0, almost, Outcome::Wait(Some(DAY))), DAY, None);
        assert_later(decide(0, almost, Outcome::Wait(None)), SECOND, None);
        assert_later(decide(0, almost, busy(Some(DAY))), DAY, Some("busy"));
        for (days, after) in [(7, Some(DAY)), (70, None)] {
            assert_dead_letter(decide(0, days * DAY, Outcome::Wait(after)), "given up after 7 days of waiting", None);
        }
        assert_dead_letter(decide(0, 7 * DAY, busy(Some(DAY))), "given up after 7 days: busy", Some("busy"));
        assert_later(decide(0, 70 * DAY, Outcome::NotStarted), Duration::ZERO, None);
        assert!(matches!(decide(0, 70 * DAY, Outcome::Complete), Decision::End(Finish { failure: None, .. })));
    }

    #[test]
    fn failure_names_the_stored_number_of_attempts() {
        for (cause, failure) in [(Some("busy"), "given up after 3 attempts: busy"), (None, "given up after 3 attempts")]
        {
            let spent = Decision::without_attempt(Claimed { attempts: 3, ..claimed() }, cause);
            let finish = dead_letter(spent).into_finish();
            assert_eq!((finish.attempts, finish.failure.as_deref()), (3, Some(failure)));
        }
        assert_eq!(dead_letter(retry(2, None)).into_finish().attempts, 3);
    }
}
