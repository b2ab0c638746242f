//! The decision on a claimed order after an attempt.

use std::time::Duration;

use shared::db::work::{Claimed, Finish, Reschedule};

use crate::retry::Backoff;
use crate::work::Outcome;

/// How long an order may be worked on in all: an answer that asks for time or fails is the last once this has passed. A week
/// lets a merchant wait for a delivery over a weekend and holidays, and still ends an order that would wait for ever.
const LONGEST: Duration = Duration::from_hours(LONGEST_DAYS * 24);
const LONGEST_DAYS: u64 = 7;

/// The decision on an order.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is completed.
    Complete,
    /// It fails for this reason: another attempt could not help.
    Fail(String),
    /// It fails for this reason and goes to the dead-letter queue: another attempt might have helped, and none is left.
    DeadLetter(String),
    /// It is tried again after this time. An attempt was used up.
    Retry(Duration),
    /// It waits for this time, within the same attempt.
    Wait(Duration),
    /// The time of this batch is over: another worker takes it at once. No attempt was used up.
    Release,
}

/// A claimed order and the decision on it.
#[derive(Debug)]
pub struct Decided {
    /// Which order.
    pub order: Claimed,
    /// The decision on it.
    pub decision: Decision,
    /// How often work was tried, this attempt included if there was one.
    attempts: i32,
}

impl Decided {
    /// Decides after an attempt that had this outcome.
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
            Outcome::Retry { after, .. } => {
                Decision::Retry(backoff.after(order.attempts).max(after.unwrap_or_default()))
            }
            Outcome::NoTime => Decision::Release,
        };
        Self { order, decision, attempts }
    }

    /// Decides without an attempt: the order has used up its attempts by taking its workers down.
    pub fn without_attempt(order: Claimed) -> Self {
        let attempts = order.attempts;
        let cause = format!("given up after {attempts} attempts that ended without an outcome");
        Self { order, decision: Decision::DeadLetter(cause), attempts }
    }

    /// How the order ends, if it does.
    pub fn finish(&self) -> Option<Finish<'_>> {
        let failure = match &self.decision {
            Decision::Complete => None,
            Decision::Fail(cause) | Decision::DeadLetter(cause) => Some(cause.as_str()),
            Decision::Retry(_) | Decision::Wait(_) | Decision::Release => return None,
        };
        Some(Finish { order: &self.order, attempts: self.attempts, failure })
    }

    /// The time until the order is due again, if it does not end.
    pub fn goes_on_after(&self) -> Option<Duration> {
        match self.decision {
            Decision::Retry(time) | Decision::Wait(time) => Some(time),
            Decision::Release => Some(Duration::ZERO),
            Decision::Complete | Decision::Fail(_) | Decision::DeadLetter(_) => None,
        }
    }

    /// When the order is due again, if it does not end. `since_claim` is the time since it was claimed.
    pub fn reschedule(&self, since_claim: Duration) -> Option<Reschedule<'_>> {
        let due_at = self.order.now + since_claim + self.goes_on_after()?;
        let counts_as_attempt = matches!(self.decision, Decision::Retry(_));
        Some(Reschedule { order_id: &self.order.order_id, due_at, counts_as_attempt })
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
    fn the_last_attempt_dead_letters_the_order_with_its_cause() {
        assert_eq!(decided(0, None).decision, Decision::Retry(Duration::from_secs(1)));
        assert_eq!(decided(1, None).decision, Decision::Retry(Duration::from_secs(1)));
        assert_eq!(decided(2, None).decision, Decision::DeadLetter("given up after 3 attempts: busy".to_owned()));
    }

    #[test]
    fn a_merchant_s_retry_after_lengthens_the_back_off_and_never_shortens_it() {
        assert_eq!(decided(0, Some(Duration::from_mins(1))).decision, Decision::Retry(Duration::from_mins(1)));
        assert_eq!(decided(0, Some(Duration::ZERO)).decision, Decision::Retry(Duration::from_secs(1)));
    }

    #[test]
    fn an_order_is_given_up_after_seven_days_whatever_is_asked_for() {
        let wait = |waited, after| decide(0, waited, Outcome::Wait(after)).decision;
        let retry = |waited| decide(0, waited, Outcome::Retry { cause: "busy".to_owned(), after: Some(DAY) }).decision;
        let almost = Duration::from_millis(7 * 86_400_000 - 1);
        assert_eq!((wait(almost, Some(DAY)), retry(almost)), (Decision::Wait(DAY), Decision::Retry(DAY)));
        assert_eq!(wait(almost, None), Decision::Wait(Duration::from_secs(1)));
        let given_up = Decision::DeadLetter("given up after 7 days of waiting".to_owned());
        assert_eq!(
            (wait(7 * DAY, Some(DAY)), wait(70 * DAY, None)),
            (given_up, Decision::DeadLetter("given up after 7 days of waiting".to_owned()))
        );
        assert_eq!(retry(7 * DAY), Decision::DeadLetter("given up after 7 days: busy".to_owned()));
        assert_eq!(decide(0, 70 * DAY, Outcome::NoTime).decision, Decision::Release);
        assert_eq!(decide(0, 70 * DAY, Outcome::Complete).decision, Decision::Complete);
    }

    #[test]
    fn an_order_is_stored_with_as_many_attempts_as_its_failure_says() {
        let crashed = Decided::without_attempt(Claimed { attempts: 3, ..claimed() });
        assert_eq!(crashed.finish().map(|finish| finish.attempts), Some(3));
        let failure = crashed.finish().and_then(|finish| finish.failure);
        assert_eq!(failure, Some("given up after 3 attempts that ended without an outcome"));
        assert_eq!(decided(2, None).finish().map(|finish| finish.attempts), Some(3));
    }
}
