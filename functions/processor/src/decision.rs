//! The decision on a claimed order after an attempt.

use std::time::Duration;

use shared::db::claim::Claimed;
use shared::db::finish::{Finish, Reschedule};
use shared::order::OrderId;

use crate::backoff::Backoff;
use crate::work::Outcome;

/// The longest time from an order's first start to its end. An attempt after it is the last, even if the merchant asks for time. A
/// week lets a merchant wait over a weekend and holidays, and still ends an order that would wait for ever.
const LONGEST: Duration = Duration::from_hours(LONGEST_DAYS * 24);
const LONGEST_DAYS: u64 = 7;

/// The decision on a claimed order.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The order ends now.
    End {
        /// Why it fails, if another attempt could not help; `None` if it completes.
        failure: Option<String>,
    },
    /// The order fails and goes to the dead-letter queue. Another attempt could help, but none is left.
    DeadLetter {
        /// Why it fails.
        failure: String,
        /// The cause of the attempt, if there was one and it failed.
        cause: Option<String>,
    },
    /// The order is due again: for a retry, after a wait, or because it is released.
    Later {
        /// The time until then; zero if it is released.
        after: Duration,
        /// The cause, if the attempt failed. The attempt is used up then.
        failed_attempt: Option<String>,
    },
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
        let waited = Duration::try_from(order.claimed_at - order.started_at).unwrap_or_default();
        let is_over = waited >= LONGEST;
        let decision = match outcome {
            Outcome::Complete => Decision::End { failure: None },
            Outcome::Fail(reason) => Decision::End { failure: Some(reason) },
            Outcome::Wait(_) if is_over => {
                Decision::DeadLetter { failure: format!("given up after {LONGEST_DAYS} days of waiting"), cause: None }
            }
            Outcome::Wait(after) => {
                let after = after.unwrap_or_else(|| backoff.after_waiting(waited));
                Decision::Later { after, failed_attempt: None }
            }
            Outcome::Retry { cause, .. } if attempts >= max_attempts => {
                Decision::DeadLetter { failure: given_up(attempts, Some(&cause)), cause: Some(cause) }
            }
            Outcome::Retry { cause, .. } if is_over => {
                let failure = format!("given up after {LONGEST_DAYS} days: {cause}");
                Decision::DeadLetter { failure, cause: Some(cause) }
            }
            Outcome::Retry { after, cause } => {
                let after = backoff.after(order.attempts).max(after.unwrap_or_default());
                Decision::Later { after, failed_attempt: Some(cause) }
            }
            // The order is released: no attempt is used up.
            Outcome::NotStarted => Decision::Later { after: Duration::ZERO, failed_attempt: None },
        };
        Self { order, decision, attempts }
    }

    /// Decides without an attempt: the order has used up its attempts, the last of them for this cause. Its worker crashed, or could not
    /// send the dead letter.
    pub fn without_attempt(order: Claimed, last_cause: Option<&str>) -> Self {
        let attempts = order.attempts;
        Self {
            order,
            decision: Decision::DeadLetter { failure: given_up(attempts, last_cause), cause: None },
            attempts,
        }
    }

    /// The decision if the dead letter could not be sent: the order is due at once, for a retry if its attempt failed, and else released. If
    /// its attempts are used up, the next claim sends the letter. An order that is older than [`LONGEST`] gets another attempt first, and its
    /// outcome decides anew.
    pub fn without_letter(self) -> Self {
        let decision = match self.decision {
            Decision::DeadLetter { cause, .. } => Decision::Later { after: Duration::ZERO, failed_attempt: cause },
            other => other,
        };
        Self { decision, ..self }
    }

    /// The end of the order; `None` if it does not end now.
    pub fn finish(&self) -> Option<Finish<'_>> {
        let ends = !matches!(self.decision, Decision::Later { .. });
        ends.then(|| Finish { order: &self.order, attempts: self.attempts, failure: self.failure() })
    }

    /// Why the order fails; `None` if it does not.
    pub fn failure(&self) -> Option<&str> {
        match &self.decision {
            Decision::End { failure } => failure.as_deref(),
            Decision::DeadLetter { failure, .. } => Some(failure),
            Decision::Later { .. } => None,
        }
    }

    /// The order, and the time until it is due again; `None` if it ends now.
    pub fn due_again(&self) -> Option<(&OrderId, Duration)> {
        let Decision::Later { after, .. } = self.decision else { return None };
        Some((&self.order.order_id, after))
    }

    /// The rescheduling of the order; `None` if it ends now. `since_claim` is the time since the claim.
    pub fn reschedule(&self, since_claim: Duration) -> Option<Reschedule<'_>> {
        let Decision::Later { after, failed_attempt } = &self.decision else { return None };
        let due_at = self.order.claimed_at + since_claim + *after;
        Some(Reschedule { order_id: &self.order.order_id, due_at, failed_attempt: failed_attempt.as_deref() })
    }
}

/// The decisions on a batch, by what follows from them.
#[derive(Debug, Default)]
pub struct Split {
    /// Orders that end now.
    pub ending: Vec<Decided>,
    /// Orders that are due again later.
    pub later: Vec<Decided>,
    /// Orders that end once their dead letter is sent.
    pub dead_lettered: Vec<Decided>,
}

impl Split {
    /// Splits the decisions.
    pub fn of(decided: Vec<Decided>) -> Self {
        let mut split = Self::default();
        for decided in decided {
            let orders = match decided.decision {
                Decision::End { .. } => &mut split.ending,
                Decision::Later { .. } => &mut split.later,
                Decision::DeadLetter { .. } => &mut split.dead_lettered,
            };
            orders.push(decided);
        }
        split
    }
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

    const DAY: Duration = Duration::from_hours(24);

    /// Decides `waited` after the first attempt, with three attempts at most and a back-off of a second.
    fn decide(attempts: i32, waited: Duration, outcome: Outcome) -> Decided {
        let order = claimed();
        let order = Claimed { attempts, claimed_at: order.started_at + waited, ..order };
        let backoff = [("RETRY_BASE_SECONDS", "1"), ("RETRY_CAP_SECONDS", "1")];
        Decided::after_attempt(order, outcome, 3, &Backoff::from_env(&Env::from_iter(backoff)).unwrap())
    }

    fn decided(attempts: i32, after: Option<Duration>) -> Decided {
        decide(attempts, Duration::ZERO, Outcome::Retry { cause: "busy".to_owned(), after })
    }

    fn dead_letter(failure: &str, cause: Option<&str>) -> Decision {
        Decision::DeadLetter { failure: failure.to_owned(), cause: cause.map(str::to_owned) }
    }

    fn later(after: Duration, failed_attempt: Option<&str>) -> Decision {
        Decision::Later { after, failed_attempt: failed_attempt.map(str::to_owned) }
    }

    #[test]
    fn last_attempt_dead_letters_the_order_with_its_cause() {
        assert_eq!(decided(0, None).decision, later(Duration::from_secs(1), Some("busy")));
        assert_eq!(decided(1, None).decision, later(Duration::from_secs(1), Some("busy")));
        assert_eq!(decided(2, None).decision, dead_letter("given up after 3 attempts: busy", Some("busy")));
    }

    #[test]
    fn order_without_its_letter_is_due_at_once_and_keeps_its_cause() {
        let (busy, other) = (decided(2, None), decide(2, 7 * DAY, Outcome::Wait(None)));
        assert_eq!(busy.without_letter().decision, later(Duration::ZERO, Some("busy")));
        assert_eq!(other.without_letter().decision, later(Duration::ZERO, None));
    }

    #[test]
    fn retry_after_lengthens_the_back_off_and_never_shortens_it() {
        assert_eq!(decided(0, Some(Duration::from_mins(1))).decision, later(Duration::from_mins(1), Some("busy")));
        assert_eq!(decided(0, Some(Duration::ZERO)).decision, later(Duration::from_secs(1), Some("busy")));
    }

    #[test]
    fn order_is_dead_letter_after_seven_days() {
        let wait = |waited, after| decide(0, waited, Outcome::Wait(after)).decision;
        let retry = |waited| decide(0, waited, Outcome::Retry { cause: "busy".to_owned(), after: Some(DAY) }).decision;
        let almost = Duration::from_millis(7 * 86_400_000 - 1);
        assert_eq!((wait(almost, Some(DAY)), retry(almost)), (later(DAY, None), later(DAY, Some("busy"))));
        assert_eq!(wait(almost, None), later(Duration::from_secs(1), None));
        for (days, after) in [(7, Some(DAY)), (70, None)] {
            assert_eq!(wait(days * DAY, after), dead_letter("given up after 7 days of waiting", None));
        }
        assert_eq!(retry(7 * DAY), dead_letter("given up after 7 days: busy", Some("busy")));
        assert_eq!(decide(0, 70 * DAY, Outcome::NotStarted).decision, later(Duration::ZERO, None));
        assert_eq!(decide(0, 70 * DAY, Outcome::Complete).decision, Decision::End { failure: None });
    }

    #[test]
    fn failure_names_the_stored_number_of_attempts() {
        for (cause, failure) in [(Some("busy"), "given up after 3 attempts: busy"), (None, "given up after 3 attempts")]
        {
            let spent = Decided::without_attempt(Claimed { attempts: 3, ..claimed() }, cause);
            let finish = spent.finish().unwrap();
            assert_eq!((finish.attempts, finish.failure), (3, Some(failure)));
        }
        assert_eq!(decided(2, None).finish().map(|finish| finish.attempts), Some(3));
    }
}
