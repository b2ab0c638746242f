//! Reads how overdue the active orders are, slice by slice, before a run sends messages.

use std::time::Duration;

use shared::db::StoreError;
use shared::db::requeue::{Overdue, Slice};
use shared::deadline::Deadline;
use shared::telemetry::Measure;

use crate::{AHEAD, Sweeper};

/// The slices that a run has read, the most overdue first.
#[derive(Debug, Default)]
pub struct Survey {
    slices: Vec<(Slice, Overdue)>,
}

impl Survey {
    /// The slices with overdue orders.
    pub fn late(&self) -> Vec<Slice> {
        self.slices_that(|overdue| overdue.has_late)
    }

    /// The slices with scheduled orders that are due soon.
    pub fn scheduled(&self) -> Vec<Slice> {
        self.slices_that(|overdue| overdue.has_scheduled)
    }

    /// The number of orders that should have a message: at least this many, if the run could not read all slices.
    pub fn expected_messages(&self) -> i64 {
        self.slices.iter().map(|(_, overdue)| overdue.expected_messages).sum()
    }

    fn slices_that(&self, have: impl Fn(&Overdue) -> bool) -> Vec<Slice> {
        self.slices.iter().filter(|(_, overdue)| have(overdue)).map(|(slice, _)| *slice).collect()
    }

    fn oldest(&self) -> Duration {
        self.slices.first().map_or(Duration::ZERO, |(_, overdue)| overdue.oldest)
    }
}

impl Sweeper {
    /// Reads the slices, and writes the metrics of them. Starts no slice in the second half of the time: the next run of this environment
    /// then begins there.
    pub(crate) async fn survey(&self, deadline: Deadline) -> Result<Survey, StoreError> {
        let (store, last_start) = (self.database.until(deadline), deadline.share(1, 2));
        let mut unread = self.unread.lock().await;
        let mut next = Some(unread.unwrap_or_default());
        let mut survey = Survey::default();
        while let Some(slice) = next.filter(|_| survey.slices.is_empty() || !last_start.is_over()) {
            let overdue = store.find_overdue(slice, self.timing.grace, AHEAD).await?;
            next = slice.next(overdue.pages);
            survey.slices.push((slice, overdue));
        }
        *unread = next;
        survey.slices.sort_by_key(|(_, overdue)| std::cmp::Reverse(overdue.oldest));
        Measure::OldestOverdue.add(survey.oldest());
        if let Some(paused_for) = survey.slices.first().and_then(|(_, overdue)| overdue.paused_for) {
            Measure::PausedFor.add(paused_for);
        }
        Ok(survey)
    }
}
