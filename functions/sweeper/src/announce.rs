//! Announces on the event bus the ends that an earlier invocation left behind.

use std::time::Duration;

use shared::db::StoreError;
use shared::db::ends::{MAX_ENDS, MAX_OLD_ENDS};
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::events::Bus;
use shared::telemetry::Measure;

use crate::Sweeper;

/// The least time for a chunk: two statements and the calls between them. No chunk starts with less.
const CHUNK_TIME: Duration = Duration::from_secs(1);

impl Sweeper {
    /// Announces ends that are older than a lease, and returns the number that the bus took. A younger one may still be announced by the
    /// invocation that recorded it. If it fails, the sweep continues, and the next run tries again.
    pub(crate) async fn announce(&self, deadline: Deadline) -> usize {
        let Some(bus) = &self.bus else { return 0 };
        let mut taken = 0;
        if let Err(error) = self.announce_to(bus, deadline, &mut taken).await {
            tracing::warn!(error = %Chain(&error), "could not announce ends; the sweeper will retry");
        }
        taken
    }

    /// The same chunk by chunk, until none is left, the bus takes none of a chunk, or the time is over. The next run of this environment then
    /// begins behind that chunk, because the bus may refuse it for ever. Adds to `taken`.
    async fn announce_to(&self, bus: &Bus, deadline: Deadline, taken: &mut usize) -> Result<(), StoreError> {
        let store = self.database.until(deadline);
        Measure::OldestEvent.add(store.age_of_oldest_end().await?);
        let mut refused = self.refused.lock().await;
        let mut after = refused.take();
        let mut leaves_out = after.is_some();
        loop {
            let old = store.find_old_ends(self.timing.lease, after.as_ref()).await?;
            for chunk in old.chunks(MAX_ENDS) {
                if deadline.remaining() < CHUNK_TIME {
                    return Ok(());
                }
                let order_ids: Vec<_> = chunk.iter().map(|end| end.order_id.clone()).collect();
                let ends = store.find_ends(&order_ids).await?;
                let taken_now = ends.len() - bus.announce(&store, &ends, deadline.share(1, 2)).await?;
                *taken += taken_now;
                if taken_now == 0 && !ends.is_empty() {
                    *refused = chunk.last().cloned();
                    return Ok(());
                }
            }
            if old.len() == MAX_OLD_ENDS {
                after = old.into_iter().last();
            } else if leaves_out {
                (after, leaves_out) = (None, false);
            } else {
                return Ok(());
            }
        }
    }
}
