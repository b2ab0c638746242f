//! Events: the announcement of each order that ended, on an event bus of `EventBridge`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `EVENT_BUS` | the name or the ARN of the bus | none: nothing is announced |
//!
//! and those of [`crate::aws`]. This module is the only one of this crate that names the SDK of `EventBridge`.
//!
//! An end is announced at least once. Its row in `order_ends` is deleted after the bus has taken its event ([`crate::db::ends`]). The
//! event's id and content are the same at each repeat. Every call has a deadline; what the deadline ends counts as not announced.
//! After such a call the bus counts as silent for a while. The processor leaves ends to the sweeper then, so that a bus that hangs delays
//! one batch of each environment every half minute, not every batch.

mod event;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};

use crate::aws::Access;
use crate::aws::batch::{MAX_BYTES, parts, some_at_once};
use crate::config::{ConfigError, Env};
use crate::db::ends::{Announce, End};
use crate::db::{Store, StoreError};
use crate::deadline::Deadline;

pub use event::Detail;
use event::Event;

/// The variable that names the bus.
pub const EVENT_BUS: &str = "EVENT_BUS";
/// How long the bus counts as silent after a call without an answer.
const SILENCE: Duration = Duration::from_secs(30);
/// A call with less time than this says nothing about the bus if it gets no answer.
const FAIR: Duration = Duration::from_millis(500);

impl Announce {
    /// Whether a deployment with these variables announces the ends of its orders.
    #[must_use]
    pub fn from_env(env: &Env) -> Self {
        if env.text(EVENT_BUS).is_some() { Self::Ends } else { Self::Never }
    }
}

/// The event bus.
pub struct Bus {
    client: Client,
    name: String,
    /// When a call last ended without an answer of the bus.
    given_up_at: Mutex<Option<Instant>>,
}

impl Bus {
    /// The configured bus; `None` if there is none.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let Some(name) = env.text(EVENT_BUS) else { return Ok(None) };
        let client = Client::new(&Access::from_env(env)?.sdk_config());
        Ok(Some(Self { client, name: name.to_owned(), given_up_at: Mutex::default() }))
    }

    /// Whether the bus left a call of this environment unanswered a short time ago.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.given_up_at().is_some_and(|at| at.elapsed() < SILENCE)
    }

    fn given_up_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.given_up_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the events of these ends, and deletes the ends that the bus took. Returns the number of the others, which stay for the
    /// sweeper.
    pub async fn announce(&self, store: &Store, ends: &[End], deadline: Deadline) -> Result<usize, StoreError> {
        let events: Vec<_> = ends.iter().map(|end| Event::of(end, MAX_BYTES)).collect();
        let parts = parts(events.iter().map(Event::size));
        let taken = some_at_once(parts.iter().map(|part| self.send(&events[part.clone()], deadline))).await;
        let taken = ends.iter().zip(taken.into_iter().flatten()).filter_map(|(end, is_taken)| is_taken.then_some(end));
        let taken: Vec<_> = taken.collect();
        if !taken.is_empty() {
            store.delete_ends(&taken).await?;
        }
        Ok(ends.len() - taken.len())
    }

    /// Sends up to ten events, and says of each whether the bus took it.
    async fn send(&self, events: &[Event], deadline: Deadline) -> Vec<bool> {
        let not_sent = |error: String| {
            tracing::warn!(error, events = events.len(), "could not send events; the sweeper will retry");
            vec![false; events.len()]
        };
        let entries = events.iter().map(|event| self.entry(event)).collect();
        let call = self.client.put_events().set_entries(Some(entries)).send();
        let has_time = deadline.remaining() >= FAIR;
        let answer = match deadline.bound(call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return not_sent(DisplayErrorContext(error).to_string()),
            Err(_) => {
                if has_time {
                    *self.given_up_at() = Some(Instant::now());
                }
                return not_sent("the bus did not answer in time".to_owned());
            }
        };
        // The results are in the order of the entries. An entry without a result counts as refused.
        let results = answer.entries();
        let is_taken =
            |index| results.get(index).is_some_and(|result: &PutEventsResultEntry| result.event_id.is_some());
        let taken: Vec<_> = (0..events.len()).map(is_taken).collect();
        let refused = taken.iter().filter(|is_taken| !**is_taken).count();
        if refused > 0 {
            let first = results.iter().find(|result| result.event_id.is_none());
            let (code, reason) = (first.and_then(|it| it.error_code()), first.and_then(|it| it.error_message()));
            tracing::warn!(
                refused,
                events = events.len(),
                code,
                reason,
                "the bus refused events; the sweeper will retry"
            );
        }
        taken
    }

    fn entry(&self, event: &Event) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(event::SOURCE)
            .detail_type(&event.detail_type)
            .time(aws_smithy_types::DateTime::from_secs(event.time.unix_timestamp()))
            .detail(&event.detail)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event::tests::end_of;

    #[test]
    fn events_are_split_by_ten_and_by_size() {
        let of = |items: &[usize]| {
            let ends: Vec<_> = items.iter().map(|items| end_of(*items)).collect();
            parts(ends.iter().map(|end| Event::of(end, MAX_BYTES).size()))
        };
        assert_eq!(of(&[1; 23]), [0..10, 10..20, 20..23]);
        assert_eq!(of(&[400; 3]), [0..1, 1..2, 2..3]);
        assert_eq!(of(&[200, 200, 200]), [0..2, 2..3]);
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn bus_is_silent_for_half_a_minute() {
        let variables = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("EVENT_BUS", "shop"),
        ];
        let bus = Bus::from_env(&Env::from_iter(variables)).unwrap().unwrap();
        let given_up =
            |seconds| *bus.given_up_at.lock().unwrap() = Instant::now().checked_sub(Duration::from_secs(seconds));
        assert!(!bus.is_silent());
        given_up(29);
        assert!(bus.is_silent());
        given_up(31);
        assert!(!bus.is_silent());
    }

    #[test]
    fn deployment_without_a_bus_announces_nothing() {
        assert_eq!(Announce::from_env(&Env::from_iter([("EVENT_BUS", "")])), Announce::Never);
        assert_eq!(Announce::from_env(&Env::from_iter([("EVENT_BUS", "shop")])), Announce::Ends);
        assert!(Bus::from_env(&Env::from_iter([("EVENT_BUS", "")])).unwrap().is_none());
    }
}
