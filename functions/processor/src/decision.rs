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
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The order completes.
    Complete,
    /// The order fails for this reason. Another attempt could not help.
    Fail(String),
    /// The order fails for this reason and goes to the dead-letter queue. Another attempt could help, but none is left.
    DeadLetter(String),
    /// The order gets another attempt after this time. This attempt is used up, for this reason.
    Retry(Duration, String),
    /// The order waits for this time, within the same attempt.
    Wait(Duration),
    /// The batch ran out of time before the attempt. The order is due at once, and no attempt is used up.
    Release,
}

/// A claimed order and the decision on it.
#[derive(Debug)]
pub struct Decided {
    /// The order.
    pub order: Claimed,
    /// The decision on it.
    pub decision: Decision,
    /// The number of attempts, including this one if there was one.
    attempts: i32,
}

impl Decided {
    /// Decides after an attempt with this outcome.
    pub fn after_attempt(order: Claimed, outcome: Outcome, max_attempts: i32, backoff: &Backoff) -> Self {
        let attempts = order.attempts + 1;
        let waited = Duration::try_from(order.now - order.started_at).unwrap_or_default();
        let is_over = waited >= LONGEST;
        let decision = match outcome {
            Outcome::Complete => Decision::Complete,
            Outcome::Fail(reason) => Decision::Fail(reason),
            Outcome::Wait(_) if is_over => {
                Decision::DeadLetter(format!("given up after {LONGEST_DAYS} days of waiting"))
            }
            Outcome::Wait(after) => Decision::Wait(after.unwrap_or_else(|| backoff.after_waiting(waited))),
            Outcome::Retry { cause, .. } if attempts >= max_attempts => {
                Decision::DeadLetter(format!("given up after {attempts} attempts: {cause}"))
            }
            Outcome::Retry { cause, .. } if is_over => {
                Decision::DeadLetter(format!("given up after {LONGEST_DAYS} days: {cause}"))
            }
            Outcome::Retry { after, cause } => {
                Decision::Retry(backoff.after(order.attempts).max(after.unwrap_or_default()), cause)
            }
            Outcome::NoTime => Decision::Release,
        };
        Self { order, decision, attempts }
    }

    /// Decides without an attempt: the order has used up its attempts by crashing its workers.
    pub fn without_attempt(order: Claimed) -> Self {
        let attempts = order.attempts;
        let cause = format!("given up after {attempts} attempts that ended without an outcome");
        Self { order, decision: Decision::DeadLetter(cause), attempts }
    }

    /// The end of the order; `None` if it does not end now.
    pub fn finish(&self) -> Option<Finish<'_>> {
        let failure = match &self.decision {
            Decision::Complete => None,
            Decision::Fail(cause) | Decision::DeadLetter(cause) => Some(cause.as_str()),
            Decision::Retry(..) | Decision::Wait(_) | Decision::Release => return None,
        };
        Some(Finish { order: &self.order, attempts: self.attempts, failure })
    }

    /// The time until the order is due again; `None` if it ends now.
    pub fn due_again_after(&self) -> Option<Duration> {
        match self.decision {
            Decision::Retry(time, _) | Decision::Wait(time) => Some(time),
            Decision::Release => Some(Duration::ZERO),
            Decision::Complete | Decision::Fail(_) | Decision::DeadLetter(_) => None,
        }
    }

    /// The rescheduling of the order; `None` if it ends now. `since_claim` is the time since the claim.
    pub fn reschedule(&self, since_claim: Duration) -> Option<Reschedule<'_>> {
        let due_at = self.order.now + since_claim + self.due_again_after()?;
        let failed_attempt = match &self.decision {
            Decision::Retry(_, cause) => Some(cause.as_str()),
            _ => None,
        };
        Some(Reschedule { order_id: &self.order.order_id, due_at, failed_attempt })
    }
}

#[cfg(test)]
mod tests {
    use shared::config::Env;

    use super::*;
    use crate::work::tests::claimed;

    const DAY: Duration = Duration::from_hours(24);

    /// Decides `waited` after the first attempt, with three attempts at most and a back-off of a second.
    fn decide(attempts: i32, waited: Duration, outcome: Outcome) -> Decided {
        let order = claimed();
        let order = Claimed { attempts, now: order.started_at + waited, ..order };
        let backoff = [("RETRY_BASE_SECONDS", "1"), ("RETRY_CAP_SECONDS", "1")];
        Decided::after_attempt(order, outcome, 3, &Backoff::from_env(&Env::from_iter(backoff)).unwrap())
    }

    fn decided(attempts: i32, after: Option<Duration>) -> Decided {
        decide(attempts, Duration::ZERO, Outcome::Retry { cause: "busy".to_owned(), after })
    }

    #[test]
    fn last_attempt_dead_letters_the_order_with_its_cause() {
        assert_eq!(decided(0, None).decision, Decision::Retry(Duration::from_secs(1), "busy".to_owned()));
        assert_eq!(decided(1, None).decision, Decision::Retry(Duration::from_secs(1), "busy".to_owned()));
        assert_eq!(decided(2, None).decision, Decision::DeadLetter("given up after 3 attempts: busy".to_owned()));
    }

    #[test]
    fn retry_after_lengthens_the_back_off_and_never_shortens_it() {
        assert_eq!(
            decided(0, Some(Duration::from_mins(1))).decision,
            Decision::Retry(Duration::from_mins(1), "busy".to_owned())
        );
        assert_eq!(
            decided(0, Some(Duration::ZERO)).decision,
            Decision::Retry(Duration::from_secs(1), "busy".to_owned())
        );
    }

    #[test]
    fn order_is_dead_letter_after_seven_days() {
        let wait = |waited, after| decide(0, waited, Outcome::Wait(after)).decision;
        let retry = |waited| decide(0, waited, Outcome::Retry { cause: "busy".to_owned(), after: Some(DAY) }).decision;
        let almost = Duration::from_millis(7 * 86_400_000 - 1);
        assert_eq!(
            (wait(almost, Some(DAY)), retry(almost)),
            (Decision::Wait(DAY), Decision::Retry(DAY, "busy".to_owned()))
        );
        assert_eq!(wait(almost, None), Decision::Wait(Duration::from_secs(1)));
        let dead_letter = Decision::DeadLetter("given up after 7 days of waiting".to_owned());
        assert_eq!(
            (wait(7 * DAY, Some(DAY)), wait(70 * DAY, None)),
            (dead_letter, Decision::DeadLetter("given up after 7 days of waiting".to_owned()))
        );
        assert_eq!(retry(7 * DAY), Decision::DeadLetter("given up after 7 days: busy".to_owned()));
        assert_eq!(decide(0, 70 * DAY, Outcome::NoTime).decision, Decision::Release);
        assert_eq!(decide(0, 70 * DAY, Outcome::Complete).decision, Decision::Complete);
    }

    #[test]
    fn failure_names_the_stored_number_of_attempts() {
        let crashed = Decided::without_attempt(Claimed { attempts: 3, ..claimed() });
        assert_eq!(crashed.finish().map(|finish| finish.attempts), Some(3));
        let failure = crashed.finish().and_then(|finish| finish.failure);
        assert_eq!(failure, Some("given up after 3 attempts that ended without an outcome"));
        assert_eq!(decided(2, None).finish().map(|finish| finish.attempts), Some(3));
    }
}
