//! Announces on the event bus the ends that an earlier invocation left behind: it crashed, or the bus did not take their events.

use shared::db::StoreError;
use shared::db::ends::{MAX_ENDS, MAX_OLD_ENDS};
use shared::deadline::Deadline;
use shared::events::Bus;
use shared::telemetry::Measure;

use crate::{Sweeper, Swept};

/// The divisor of the share for announcing ends. It leaves the orders the time for a chunk.
const EVENTS_SHARE: u32 = 4;
/// The divisor of the share for the age of the oldest end.
const AGE_SHARE: u32 = 8;

impl Sweeper {
    /// Announces ends that are older than a lease, and writes the metric of the oldest. A younger one may still be announced by the
    /// invocation that recorded it.
    pub(crate) async fn announce(&self, deadline: Deadline, swept: &mut Swept) -> Result<(), StoreError> {
        let Some(bus) = &self.bus else { return Ok(()) };
        let announced = self.announce_to(bus, deadline.share(1, EVENTS_SHARE), &mut swept.events).await;
        // Last, because it reads all ends. If they are so many that it takes too long, the run fails, but it has announced some of them.
        let oldest = self.database.until(deadline.share(1, AGE_SHARE)).age_of_oldest_end().await;
        announced.and(oldest.map(|age| Measure::OldestEvent.add(age)))
    }

    /// Announces chunk by chunk, until none is left, a chunk fails, the bus takes none of it, or the time is over. The next run of this
    /// environment begins behind a chunk that failed, or that the bus took no end of, because it may fail for ever. Adds the number of
    /// announced ends to `taken`.
    async fn announce_to(&self, bus: &Bus, deadline: Deadline, taken: &mut usize) -> Result<(), StoreError> {
        // The second half is for a chunk: two statements and the calls between them.
        let (store, last_start) = (self.database.until(deadline), deadline.share(1, 2));
        let mut unannounced = self.unannounced.lock().await;
        let mut after = unannounced.take();
        let mut began_midway = after.is_some();
        loop {
            let old = store.find_old_ends(self.timing.lease, after.as_ref()).await?;
            for chunk in old.chunks(MAX_ENDS) {
                if last_start.is_over() {
                    return Ok(());
                }
                // It stays if the chunk fails.
                *unannounced = chunk.last().cloned();
                let order_ids: Vec<_> = chunk.iter().map(|end| end.order_id.clone()).collect();
                let ends = store.find_ends(&order_ids).await?;
                let taken_now = bus.announce(&store, &ends, deadline.share(1, 2)).await?;
                *taken += taken_now;
                if taken_now == 0 && !ends.is_empty() {
                    return Ok(());
                }
                *unannounced = None;
            }
            if old.len() == MAX_OLD_ENDS {
                after = old.into_iter().last();
            } else if began_midway {
                // Now the ends before the chunk that this run began behind.
                (after, began_midway) = (None, false);
            } else {
                return Ok(());
            }
        }
    }
}
