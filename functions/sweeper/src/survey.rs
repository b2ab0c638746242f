//! Reads how overdue the active orders are, slice by slice, before a run sends messages.

use std::time::Duration;

use shared::db::StoreError;
use shared::db::requeue::{Slice, SliceFacts};
use shared::deadline::Deadline;
use shared::telemetry::Measure;

use crate::Sweeper;
use crate::enqueue::AHEAD;

/// The divisor of the share for reading slices.
const SURVEY_SHARE: u32 = 4;

/// The slices that a run has read. The one with the order that was due first comes first.
#[derive(Debug, Default)]
pub struct Survey {
    slices: Vec<(Slice, SliceFacts)>,
}

impl Survey {
    /// The slices with late orders.
    pub fn late(&self) -> Vec<Slice> {
        self.slices_that(|facts| facts.has_late)
    }

    /// The slices with scheduled orders that are due soon.
    pub fn scheduled(&self) -> Vec<Slice> {
        self.slices_that(|facts| facts.has_scheduled)
    }

    /// The number of orders that should have a message: at least this many, if the run could not read all slices.
    pub fn expected_messages(&self) -> i64 {
        self.slices.iter().map(|(_, facts)| facts.expected_messages).sum()
    }

    fn slices_that(&self, have: impl Fn(&SliceFacts) -> bool) -> Vec<Slice> {
        self.slices.iter().filter(|(_, facts)| have(facts)).map(|(slice, _)| *slice).collect()
    }

    fn has(&self, slice: Slice) -> bool {
        self.slices.iter().any(|(read, _)| *read == slice)
    }

    /// Writes the metrics of the slices.
    fn measure(&self) {
        let Some((_, first)) = self.slices.first() else { return };
        let oldest = self.slices.iter().map(|(_, facts)| facts.oldest).max();
        Measure::OldestOverdue.add(oldest.unwrap_or(Duration::ZERO));
        if let Some(paused_for) = first.paused_for {
            Measure::PausedFor.add(paused_for);
        }
    }
}

/// The first slice of the next run, and the number of the table's pages when it was last read.
#[derive(Debug)]
pub struct Cursor {
    slice: Slice,
    pages: u32,
}

impl Default for Cursor {
    fn default() -> Self {
        // Any number of pages is possible, so that the first slice holds up no others if it can't be read.
        Self { slice: Slice::default(), pages: u32::MAX }
    }
}

impl Sweeper {
    /// Reads the slices once each, until its share of the time is over or a slice can't be read. The next run of this environment begins
    /// behind the last of them.
    pub(crate) async fn survey(&self, deadline: Deadline) -> (Survey, Result<(), StoreError>) {
        let (store, last_start) = (self.database.until(deadline), deadline.share(1, SURVEY_SHARE));
        let (mut survey, mut result) = (Survey::default(), Ok(()));
        let mut cursor = self.cursor.lock().await;
        while result.is_ok() && !survey.has(cursor.slice) && (survey.slices.is_empty() || !last_start.is_over()) {
            match store.read_slice(cursor.slice, self.timing.grace, AHEAD).await {
                Ok(facts) => {
                    cursor.pages = facts.pages;
                    survey.slices.push((cursor.slice, facts));
                }
                Err(error) => result = Err(error),
            }
            cursor.slice = cursor.slice.next(cursor.pages);
        }
        // A slice without orders comes last.
        survey.slices.sort_by_key(|(_, facts)| (facts.first_due_at.is_none(), facts.first_due_at));
        if result.is_ok() {
            survey.measure();
        }
        (survey, result)
    }
}
