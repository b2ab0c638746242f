//! Announces on the event bus the ends that an earlier invocation left behind.

use shared::db::StoreError;
use shared::deadline::Deadline;
use shared::telemetry::Measure;

use crate::Sweeper;

impl Sweeper {
    /// Announces ends that are older than a lease, chunk by chunk, until none is left, the bus takes none of a chunk, or the time is over.
    /// A younger one may still be announced by the invocation that recorded it. Returns how many the bus took.
    pub(crate) async fn announce(&self, deadline: Deadline) -> Result<usize, StoreError> {
        let Some(bus) = &self.bus else { return Ok(0) };
        let store = self.database.until(deadline);
        Measure::OldestEvent.add(store.age_of_oldest_end().await?);
        let (mut last, mut taken) = (None, 0);
        while !deadline.is_over() {
            let page = store.find_old_ends(self.timing.lease, last.as_ref()).await?;
            let taken_now = page.ends.len() - bus.announce(&store, &page.ends, deadline.share(1, 2)).await?;
            taken += taken_now;
            last = page.next;
            if last.is_none() || taken_now == 0 {
                break;
            }
        }
        Ok(taken)
    }
}
