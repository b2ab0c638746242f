//! What an attempt means for its order.

use std::time::Duration;

use shared::db::work::{Claimed, End, PutOff};

use crate::work::Outcome;

/// What becomes of an order after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ends: completed, or failed for this reason.
    End(Option<String>),
    /// It ends as failed for this reason, and its message goes to the dead-letter queue: another try might have helped.
    GivenUp(String),
    /// It waits, and a new message wakes it.
    Wait(Duration),
    /// It is tried again with the same message, which stays invisible until then. An attempt was used up.
    Retry(Duration),
    /// The time for this batch is over: it is tried again at once, and no attempt was used up.
    Release,
}

impl Verdict {
    /// The verdict on an outcome; `backoff` is how long a next attempt would wait.
    pub fn on(outcome: Outcome, attempts: i32, max_attempts: i32, backoff: Duration) -> Self {
        match outcome {
            Outcome::Complete => Self::End(None),
            Outcome::Fail(reason) => Self::End(Some(reason)),
            Outcome::Wait(wait) => Self::Wait(wait),
            Outcome::Retry(cause) if attempts + 1 >= max_attempts => {
                Self::GivenUp(format!("given up after {} attempts: {cause}", attempts + 1))
            }
            Outcome::Retry(_) => Self::Retry(backoff),
        }
    }

    /// How the order ends, if it does.
    pub fn end<'a>(&'a self, order: &'a Claimed) -> Option<End<'a>> {
        let failure = match self {
            Self::End(failure) => failure.as_deref(),
            Self::GivenUp(cause) => Some(cause.as_str()),
            Self::Wait(_) | Self::Retry(_) | Self::Release => return None,
        };
        Some(End { order_id: &order.order_id, failure })
    }

    /// Until when the order is put off, if it is.
    pub fn put_off<'a>(&self, order: &'a Claimed) -> Option<PutOff<'a>> {
        let (delay, counts) = match self {
            Self::Wait(wait) => (*wait, false),
            Self::Retry(backoff) => (*backoff, true),
            Self::Release => (Duration::ZERO, false),
            Self::End(_) | Self::GivenUp(_) => return None,
        };
        Some(PutOff { order_id: &order.order_id, due_at: order.now + delay, counts_as_attempt: counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_gives_up_with_its_cause() {
        let verdict = |attempts| Verdict::on(Outcome::Retry("busy".to_owned()), attempts, 3, Duration::from_secs(4));
        assert_eq!(verdict(0), Verdict::Retry(Duration::from_secs(4)));
        assert_eq!(verdict(1), Verdict::Retry(Duration::from_secs(4)));
        assert_eq!(verdict(2), Verdict::GivenUp("given up after 3 attempts: busy".to_owned()));
    }
}
