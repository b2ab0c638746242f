//! Checks that the sweeper finds deleted messages in time.

use std::collections::HashMap;
use std::time::Duration;

use super::Findings;
use crate::faults::Fault;
use crate::hooks::SENT;
use crate::journal::{Moment, Story};
use crate::world::World;

impl Findings {
    /// Checks that the sweeper finds deleted messages in time. Outages don't count: no sweeper can send a message during one.
    pub(super) fn look_at_found(&mut self, stories: &HashMap<String, Story>, world: &World) {
        let outages = world.journal.outages.all();
        for (order, story) in stories {
            let Some((stolen, found)) = stolen_and_found(story) else { continue };
            let took = found - stolen - overlap(&outages, stolen, found);
            self.slowest_found = self.slowest_found.max(took);
            if took > Duration::from_secs(world.times.grace + world.times.find).as_secs_f64() {
                let story = story.text();
                self.violations.push(format!(
                    "{order}: its lost message was found only after {took:.1} s, outages left out\n{story}"
                ));
            }
        }
    }
}

/// When the order's message was deleted, and when another was sent.
fn stolen_and_found(story: &Story) -> Option<(Moment, Moment)> {
    let mut events = story.events.iter().skip_while(|(_, what)| what != Fault::Stolen.name());
    let (stolen, _) = events.next()?;
    let (found, _) = events.find(|(_, what)| what.starts_with(SENT))?;
    Some((*stolen, *found))
}

/// How much of the time from `begin` to `end` is within a period. Periods may overlap.
fn overlap(periods: &[(Moment, Moment)], begin: Moment, end: Moment) -> Moment {
    let mut periods = periods.to_vec();
    periods.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut covered = 0.0;
    let mut counted_to = begin;
    for (from, to) in periods {
        let (from, to) = (from.max(counted_to), to.min(end));
        if to > from {
            covered += to - from;
            counted_to = to;
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    #[expect(clippy::float_cmp, reason = "the sums are of small whole numbers, which a float holds exactly")]
    fn outages_that_overlap_count_once_and_only_within_the_time() {
        assert_eq!(overlap(&[(20.0, 30.0), (25.0, 40.0), (26.0, 28.0), (60.0, 70.0)], 10.0, 50.0), 20.0);
        assert_eq!(overlap(&[(0.0, 15.0), (45.0, 60.0)], 10.0, 50.0), 10.0);
        assert_eq!(overlap(&[(0.0, 60.0)], 10.0, 50.0), 40.0);
        assert_eq!(overlap(&[], 10.0, 50.0), 0.0);
    }
}
