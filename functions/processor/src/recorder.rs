//! The record of a batch's outcomes in the database. If the database fails, SQS delivers the messages again.

use std::time::Duration;

use shared::db::claim::ClaimToken;
use shared::db::finish::Finish;
use shared::db::{Store, StoreError};
use shared::error::Chain;
use shared::telemetry::{Count, Measure};
use tokio::time::Instant;

use crate::batch::Batch;
use crate::decision::Later;

/// Records the outcomes of a claim.
pub struct Recorder {
    /// The token of the claim.
    pub token: ClaimToken,
    /// When the orders were claimed.
    pub since: Instant,
    /// The database, until the batch's deadline.
    pub store: Store,
}

impl Recorder {
    /// Records the ends. An order that another worker has claimed since is left to that worker.
    pub async fn finish(&self, ends: &[Finish], batch: &mut Batch) {
        if ends.is_empty() {
            return;
        }
        match self.store.finish(self.token, ends).await {
            Ok(recorded) => {
                // Also those recorded before: their answer may have got lost.
                batch.ended.extend(ends.iter().map(|end| end.order.order_id.clone()));
                let (ended, others): (Vec<_>, Vec<_>) =
                    ends.iter().partition(|end| recorded.contains(&end.order.order_id));
                count(&ended, self.since.elapsed());
                batch.trace_ends(&ended);
                for end in others {
                    tracing::warn!(
                        order.id = %end.order.order_id,
                        "did not record an outcome; it was recorded before, or another worker has claimed the order"
                    );
                }
            }
            Err(error) => {
                log_unrecorded(&error);
                batch.redeliver_after_database_failure(ends.iter().map(|end| &end.order.order_id));
            }
        }
    }

    /// Ends the leases of the orders that are due again later. Returns whether that was recorded.
    pub async fn reschedule(&self, later: &[Later], batch: &mut Batch) -> bool {
        if later.is_empty() {
            return true;
        }
        let since_claim = self.since.elapsed();
        let later: Vec<_> = later.iter().map(|later| later.reschedule(since_claim)).collect();
        let recorded = self.store.reschedule(self.token, &later).await;
        if let Err(error) = &recorded {
            log_unrecorded(error);
            batch.redeliver_after_database_failure(later.iter().map(|order| order.order_id));
        }
        recorded.is_ok()
    }
}

fn log_unrecorded(error: &StoreError) {
    tracing::error!(error = %Chain(error), "could not record outcomes; SQS will deliver their messages again");
}

/// Counts the orders whose end was recorded, and measures the time of each since its work first started.
fn count(ends: &[&Finish], since_claim: Duration) {
    let failed = ends.iter().filter(|end| end.failure.is_some()).count();
    Count::Completed.add(ends.len() - failed);
    Count::Failed.add(failed);
    for end in ends {
        let before = Duration::try_from(end.order.claimed_at - end.order.started_at).unwrap_or_default();
        Measure::ClaimToFinish.add(before + since_claim);
    }
}
