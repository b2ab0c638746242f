//! Work that only takes its time, for trying the service out.

use std::time::Duration;

use shared::db::Db;
use shared::db::work::Claimed;
use shared::deadline::Deadline;

use super::{Outcome, Work};

/// Completes an order once it has waited, without holding anything meanwhile.
pub struct Simulated {
    /// How long it takes.
    pub delay: Duration,
}

impl Work for Simulated {
    fn delay(&self) -> Duration {
        self.delay
    }

    async fn run(&self, _: &Claimed, _: &Db, _: Deadline) -> Outcome {
        Outcome::Complete
    }
}
