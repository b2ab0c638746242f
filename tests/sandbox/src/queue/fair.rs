//! Which message is next: a fair queue, as AWS describes it.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html>
//!
//! A group is *noisy* while it has more than a tenth of the messages in flight, at least 30, or takes more than a tenth of the
//! consumers' time. While messages of other groups wait they are delivered first; of noisy groups, the one with the fewest
//! messages in flight comes first. A group without a backlog is no longer noisy. Messages without a group are never noisy.
//!
//! AWS gives the thresholds as approximate. It does not say what counts as recent: here it is the time since the group's
//! backlog began.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

/// A group with fewer messages in flight is not noisy for their number.
const LEAST_IN_FLIGHT: usize = 30;
/// A group with more than one part in so many is noisy.
const PARTS: u32 = 10;

/// The group that a message was sent with.
pub type Name = Option<String>;
/// When a message is visible, and its number.
type Place = (Instant, u64);

/// The messages of a queue, by their groups.
#[derive(Default)]
pub struct Groups(HashMap<Name, Group>);

#[derive(Default)]
struct Group {
    /// Those that were not received, or whose visibility timeout is over.
    waiting: BTreeSet<Place>,
    in_flight: BTreeSet<Place>,
    /// For how long consumers have had messages of this group.
    busy: Duration,
}

impl Groups {
    /// Adds a message that waits.
    pub fn wait(&mut self, name: &Name, place: Place) {
        self.0.entry(name.clone()).or_default().waiting.insert(place);
    }

    /// Adds a message that a consumer has until its place's time.
    pub fn deliver(&mut self, name: &Name, place: Place) {
        self.0.entry(name.clone()).or_default().in_flight.insert(place);
    }

    /// Takes a message away that a consumer had for this long, if at all.
    pub fn remove(&mut self, name: &Name, place: Place, busy: Duration) {
        let Some(group) = self.0.get_mut(name) else { return };
        group.busy += busy;
        let _ = group.waiting.remove(&place) || group.in_flight.remove(&place);
        if group.waiting.is_empty() && group.in_flight.is_empty() {
            self.0.remove(name);
        } else if group.first(Instant::now()).is_none() {
            group.busy = Duration::ZERO;
        }
    }

    /// The number of the message that is delivered next, if one is visible.
    pub fn next(&mut self, now: Instant) -> Option<u64> {
        self.0.values_mut().for_each(|group| group.return_overdue(now));
        let in_flight: usize = self.0.values().map(|group| group.in_flight.len()).sum();
        let busy: Duration = self.0.values().map(|group| group.busy).sum();
        let turn = |(name, group): (&Name, &Group)| {
            let (visible_at, number) = group.first(now)?;
            let is_noisy = name.is_some() && group.is_noisy(in_flight, busy);
            Some((is_noisy, if is_noisy { group.in_flight.len() } else { 0 }, visible_at, number))
        };
        self.0.iter().filter_map(turn).min().map(|(.., number)| number)
    }
}

impl Group {
    fn first(&self, now: Instant) -> Option<Place> {
        self.waiting.first().copied().filter(|(visible_at, _)| *visible_at <= now)
    }

    /// Lets the messages wait again whose visibility timeout is over.
    fn return_overdue(&mut self, now: Instant) {
        while let Some(place) = self.in_flight.first().copied().filter(|(visible_at, _)| *visible_at <= now) {
            self.in_flight.remove(&place);
            self.waiting.insert(place);
        }
    }

    fn is_noisy(&self, in_flight: usize, busy: Duration) -> bool {
        let (own, parts) = (self.in_flight.len(), usize::try_from(PARTS).unwrap_or(usize::MAX));
        own >= LEAST_IN_FLIGHT && own * parts > in_flight || self.busy * PARTS > busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "alice";
    const MINUTE: Duration = Duration::from_mins(1);

    #[expect(clippy::unnecessary_wraps, reason = "a name may be missing")]
    fn name(text: &str) -> Name {
        Some(text.to_owned())
    }

    /// Alice's messages 1 to 99 wait, then one of bob's and one without a group.
    fn flood(now: Instant) -> Groups {
        let mut groups = Groups::default();
        (1..100).for_each(|number| groups.wait(&name(ALICE), (now, number)));
        groups.wait(&name("bob"), (now, 100));
        groups.wait(&None, (now, 101));
        groups
    }

    fn deliver(groups: &mut Groups, group: &str, now: Instant, numbers: std::ops::Range<u64>) {
        for number in numbers {
            groups.remove(&name(group), (now, number), Duration::ZERO);
            groups.deliver(&name(group), (now + MINUTE, number));
        }
    }

    #[test]
    fn older_message_comes_first_while_no_group_is_noisy() {
        let now = Instant::now();
        let mut groups = flood(now);
        deliver(&mut groups, ALICE, now, 1..30);
        assert_eq!(groups.next(now), Some(30));
    }

    #[test]
    fn group_with_thirty_messages_in_flight_lets_others_pass() {
        let now = Instant::now();
        let mut groups = flood(now);
        deliver(&mut groups, ALICE, now, 1..31);
        assert_eq!(groups.next(now), Some(100));
        deliver(&mut groups, "bob", now, 100..101);
        assert_eq!(groups.next(now), Some(101));
        groups.remove(&None, (now, 101), Duration::ZERO);
        assert_eq!(groups.next(now), Some(31), "noisy messages are delivered where no others wait");
    }

    #[test]
    fn group_that_takes_the_time_lets_others_pass() {
        let now = Instant::now();
        let mut groups = flood(now);
        deliver(&mut groups, ALICE, now, 1..2);
        groups.remove(&name(ALICE), (now + MINUTE, 1), Duration::from_secs(1));
        assert_eq!(groups.next(now), Some(100));
    }

    #[test]
    fn noisy_group_with_the_fewest_in_flight_comes_first() {
        let now = Instant::now();
        let mut groups = flood(now);
        (200..300).for_each(|number| groups.wait(&name("carol"), (now, number)));
        for (group, numbers) in [(ALICE, 1..50), ("carol", 200..235), ("bob", 100..101)] {
            deliver(&mut groups, group, now, numbers);
        }
        groups.remove(&None, (now, 101), Duration::ZERO);
        assert_eq!(groups.next(now), Some(235));
    }
}
