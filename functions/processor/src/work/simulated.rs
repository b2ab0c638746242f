//! Work that only takes time, to try the service out.

use std::time::Duration;

use shared::db::Db;
use shared::db::work::Claimed;
use shared::deadline::Deadline;

use super::{Outcome, Work};

/// Completes a fixed time after an order's first start. It holds no worker while it waits.
pub struct Simulated {
    /// The time that it takes.
    pub delay: Duration,
}

impl Work for Simulated {
    async fn run(&self, order: &Claimed, _: &Db, _: Deadline) -> Outcome {
        self.outcome(order)
    }
}

impl Simulated {
    fn outcome(&self, order: &Claimed) -> Outcome {
        let left = order.started_at + self.delay - order.now;
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => Outcome::Wait(Some(left)),
            _ => Outcome::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tests::claimed;

    /// The outcome of 5 s of simulated work, `elapsed` after its start.
    fn outcome(elapsed: Duration) -> Outcome {
        let mut order = claimed();
        order.now = order.started_at + elapsed;
        Simulated { delay: Duration::from_secs(5) }.outcome(&order)
    }

    #[test]
    fn simulated_work_waits_for_the_rest_and_then_completes() {
        assert_eq!(outcome(Duration::ZERO), Outcome::Wait(Some(Duration::from_secs(5))));
        assert_eq!(outcome(Duration::from_millis(4999)), Outcome::Wait(Some(Duration::from_millis(1))));
        assert_eq!(outcome(Duration::from_secs(5)), Outcome::Complete);
        assert_eq!(outcome(Duration::from_secs(500)), Outcome::Complete);
    }
}
