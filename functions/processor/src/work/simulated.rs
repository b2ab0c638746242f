//! Work that only takes time, to try the service out.

use std::time::Duration;

use shared::db::Store;
use shared::db::claim::Claimed;
use shared::deadline::Deadline;

use super::{Outcome, Work};

/// Completes an order a fixed time after its first claim. It holds no worker while the order waits.
pub struct Simulated {
    /// The time that it takes.
    pub delay: Duration,
}

impl Work for Simulated {
    fn delay(&self) -> Duration {
        self.delay
    }

    async fn run(&self, _: &Claimed, _: &Store, _: Deadline) -> Outcome {
        Outcome::Complete
    }
}
