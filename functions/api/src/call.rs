//! A call: its clients and its deadline.
//!
//! The deadline is earlier than the function's time-out, so that every call gets an answer. The database gets two thirds of the
//! time, so that a client gets its answer with `Retry-After` within six seconds when the database is slow.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use shared::db::Store;
use shared::deadline::Deadline;
use shared::error::Chain;
use shared::queue::{Message, QueueError};
use shared::telemetry::Count;

use crate::Api;
use crate::problem::ApiError;

/// The part of the function's time-out reserved for the answer.
const TIME_TO_ANSWER: Duration = Duration::from_secs(2);
/// How long a call may spend on enqueueing orders that are durable already. The sweeper enqueues the missing ones.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// What a handler needs to answer a call.
pub struct Call {
    /// The clients.
    pub api: Arc<Api>,
    /// The database until the call's deadline.
    pub store: Store,
    /// The deadline of the answer.
    pub deadline: Deadline,
}

impl Call {
    /// Enqueues orders that are durable. Returns how many messages were not sent: the sweeper finds those orders.
    pub async fn enqueue(&self, messages: &[Message]) -> usize {
        let deadline = self.deadline.at_most(SEND_TIMEOUT);
        let unsent = match messages {
            [] => 0,
            // A call of its own: the SDK repeats a call that SQS refuses for now. It does not repeat a refused entry of a batch.
            [message] => {
                let sent = self.api.queue.send(message, deadline).await;
                let log = |error: &QueueError| tracing::warn!(error = %Chain(error), "could not send a message");
                usize::from(sent.inspect_err(log).is_err())
            }
            _ => self.api.queue.send_all(messages, deadline).await.len(),
        };
        Count::Unsent.add(unsent);
        unsent
    }
}

impl FromRequestParts<Arc<Api>> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let deadline = Deadline::after(api.config.timeout).minus(TIME_TO_ANSWER);
        Ok(Self { api: Arc::clone(api), store: api.database.until(deadline.share(2, 3)), deadline })
    }
}

#[cfg(test)]
mod tests {
    use shared::aws::SECOND_ATTEMPT;

    use super::*;

    #[test]
    fn message_has_time_for_a_second_attempt() {
        assert!(SEND_TIMEOUT >= SECOND_ATTEMPT + Duration::from_millis(300));
    }
}
