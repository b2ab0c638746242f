//! What processing an order means: one seam, so that the rest of the processor need not know.

use std::fmt;
use std::time::Duration;

use shared::db::work::Claimed;

/// How an attempt came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Complete,
    /// It never will be, for this reason.
    Fail(String),
    /// It goes on after this time; nobody is held up meanwhile, and it counts as the same attempt.
    Wait(Duration),
}

impl Outcome {
    /// Why the order failed, if it did.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self {
            Self::Fail(reason) => Some(reason),
            Self::Complete | Self::Wait(_) => None,
        }
    }

    /// How long the order waits, if it does.
    pub(crate) const fn wait(&self) -> Option<Duration> {
        match self {
            Self::Wait(wait) => Some(*wait),
            Self::Complete | Self::Fail(_) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Fail(reason) => write!(f, "fail: {reason}"),
            Self::Wait(wait) => write!(f, "wait {:.3} s", wait.as_secs_f64()),
        }
    }
}

/// A kind of work. The orders of a batch run concurrently.
pub trait Work {
    /// Works on an order that is claimed. It may run again for the same order, if its worker is lost before the outcome is
    /// recorded, so it has to be idempotent by `order_id`.
    fn run(&self, order: &Claimed) -> impl Future<Output = Outcome> + Send;
}

/// Work that only takes its time: from when it was first begun, and without holding anything meanwhile.
pub struct Simulated {
    /// How long it takes.
    pub delay: Duration,
}

impl Work for Simulated {
    async fn run(&self, order: &Claimed) -> Outcome {
        let left = order.started_at + self.delay - order.now;
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => Outcome::Wait(left),
            _ => Outcome::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    /// The outcome of 5 s of simulated work, `elapsed` after it was begun.
    async fn outcome(elapsed: Duration) -> Outcome {
        let started_at = OffsetDateTime::UNIX_EPOCH;
        let order_id = "o".parse().unwrap();
        Simulated { delay: Duration::from_secs(5) }
            .run(&Claimed { order_id, attempts: 0, started_at, now: started_at + elapsed })
            .await
    }

    #[tokio::test]
    async fn simulated_work_waits_for_what_is_left_and_then_completes() {
        assert_eq!(outcome(Duration::ZERO).await, Outcome::Wait(Duration::from_secs(5)));
        assert_eq!(outcome(Duration::from_millis(4999)).await, Outcome::Wait(Duration::from_millis(1)));
        assert_eq!(outcome(Duration::from_secs(5)).await, Outcome::Complete);
        assert_eq!(outcome(Duration::from_secs(500)).await, Outcome::Complete);
    }
}
