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
//! After such a call the bus counts as unavailable for a while. The processor leaves ends to the sweeper then, so that a bus that hangs
//! delays one batch of each environment every half minute, not every batch.
//!
//! `EventBridge` takes events for a bus that does not exist, and drops them (<https://github.com/aws/aws-cli/issues/9186>). So the functions
//! look for the bus before they send, at most twice a minute, and keep the ends while there is none.

mod event;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::Builder;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::operation::describe_event_bus::DescribeEventBusError;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};

use crate::aws::batch::{MAX_BYTES, parts, some_at_once};
use crate::aws::{Access, unlimited_retries};
use crate::config::{ConfigError, Env};
use crate::db::ends::End;
use crate::db::{Store, StoreError};
use crate::deadline::Deadline;

pub use event::Detail;
use event::Event;

/// The variable that names the bus.
pub const EVENT_BUS: &str = "EVENT_BUS";
/// How long an environment relies on a [`BusState`].
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// A call with less time than this says nothing about the bus if it gets no answer.
const FAIR: Duration = Duration::from_millis(500);
const NO_ANSWER: &str = "the bus did not answer in time";

/// The state of the bus, from the answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BusState {
    /// It exists, or can't be looked up.
    Available,
    /// It does not exist, or left a call unanswered.
    Unavailable,
}

/// The event bus.
pub struct Bus {
    client: Client,
    name: String,
    /// The state after the last call, and the time of that.
    state: Mutex<Option<(BusState, Instant)>>,
}

impl Bus {
    /// The configured bus; `None` if there is none.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let Some(name) = env.text(EVENT_BUS) else { return Ok(None) };
        let config = Builder::from(&Access::from_env(env)?.sdk_config()).retry_partition(unlimited_retries());
        let client = Client::from_conf(config.build());
        Ok(Some(Self { client, name: name.to_owned(), state: Mutex::default() }))
    }

    /// Whether the bus was missing, or left a call of this environment unanswered, a short time ago.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.is_known_as(BusState::Unavailable)
    }

    fn is_known_as(&self, state: BusState) -> bool {
        self.state().is_some_and(|(last, at)| last == state && at.elapsed() < KNOWN_FOR)
    }

    fn note(&self, state: BusState) {
        *self.state() = Some((state, Instant::now()));
    }

    fn state(&self) -> MutexGuard<'_, Option<(BusState, Instant)>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the events of these ends, and deletes the ends that the bus took. Returns their number. The others stay for the sweeper.
    pub async fn announce(&self, store: &Store, ends: &[End], deadline: Deadline) -> Result<usize, StoreError> {
        if ends.is_empty() {
            return Ok(0);
        }
        if let Err(error) = self.look_up(deadline).await {
            not_sent(error, ends.len());
            return Ok(0);
        }
        let events: Vec<_> = ends.iter().map(|end| Event::of(end, MAX_BYTES)).collect();
        let parts = parts(events.iter().map(Event::size));
        let taken = some_at_once(parts.iter().map(|part| self.send(&events[part.clone()], deadline))).await;
        let taken = ends.iter().zip(taken.into_iter().flatten()).filter_map(|(end, is_taken)| is_taken.then_some(end));
        let taken: Vec<_> = taken.collect();
        if !taken.is_empty() {
            store.delete_ends(&taken).await?;
        }
        Ok(taken.len())
    }

    /// Fails if the bus does not exist. A bus that is named by an ARN can be another account's, which can't be looked up.
    async fn look_up(&self, deadline: Deadline) -> Result<(), &'static str> {
        if self.name.starts_with("arn:") || self.is_known_as(BusState::Available) {
            return Ok(());
        }
        // Boxed, because the future of each announcement would otherwise be large.
        let call = Box::pin(self.client.describe_event_bus().name(&self.name).send());
        let is_missing = DescribeEventBusError::is_resource_not_found_exception;
        match self.answer(call, deadline).await.ok_or(NO_ANSWER)? {
            Err(error) if error.as_service_error().is_some_and(is_missing) => {
                self.note(BusState::Unavailable);
                return Err("there is no such event bus");
            }
            // An error as of a missing right does not say that there is no bus.
            Err(error) => {
                let error = DisplayErrorContext(error).to_string();
                tracing::warn!(error, "could not look up the event bus; its events are sent all the same");
            }
            Ok(_) => {}
        }
        self.note(BusState::Available);
        Ok(())
    }

    /// Waits for the answer to a call; `None` if it does not come in time.
    async fn answer<T>(&self, call: impl Future<Output = T>, deadline: Deadline) -> Option<T> {
        let has_time = deadline.remaining() >= FAIR;
        let answer = deadline.bound(call).await.ok();
        if answer.is_none() && has_time {
            self.note(BusState::Unavailable);
        }
        answer
    }

    /// Sends up to ten events, and says of each whether the bus took it.
    async fn send(&self, events: &[Event], deadline: Deadline) -> Vec<bool> {
        let entries = events.iter().map(|event| self.entry(event)).collect();
        let call = self.client.put_events().set_entries(Some(entries)).send();
        let answer = match self.answer(call, deadline).await {
            Some(Ok(answer)) => answer,
            failed => {
                let error = failed.and_then(Result::err).map(|error| DisplayErrorContext(error).to_string());
                not_sent(error.as_deref().unwrap_or(NO_ANSWER), events.len());
                return vec![false; events.len()];
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
                "could not send some events; the sweeper will retry"
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

fn not_sent(error: &str, events: usize) {
    tracing::warn!(error, events, "could not send events; the sweeper will retry");
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

    #[tokio::test]
    async fn state_of_the_bus_is_known_for_half_a_minute() {
        let variables = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("EVENT_BUS", "shop"),
        ];
        let bus = Bus::from_env(&Env::from_iter(variables)).unwrap().unwrap();
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        assert!(!bus.is_unavailable());
        *bus.state() = Some((BusState::Unavailable, ago(29)));
        assert!(bus.is_unavailable());
        *bus.state() = Some((BusState::Unavailable, ago(31)));
        assert!(!bus.is_unavailable());
        *bus.state() = Some((BusState::Available, ago(29)));
        assert!(!bus.is_unavailable());
        // A look-up without time gets no answer.
        let look_up = async || bus.look_up(Deadline::after(Duration::ZERO)).await;
        assert_eq!(look_up().await, Ok(()));
        *bus.state() = Some((BusState::Available, ago(31)));
        assert_eq!(look_up().await, Err(NO_ANSWER));
    }

    #[test]
    fn deployment_without_a_bus_announces_nothing() {
        assert!(Bus::from_env(&Env::from_iter([("EVENT_BUS", "")])).unwrap().is_none());
    }
}
