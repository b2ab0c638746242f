//! The kinds of work, behind one trait. The rest of the processor does not know which one runs.

mod simulated;
mod webhook;

use std::fmt;
use std::time::Duration;

use shared::config::{ConfigError, Env};
use shared::db::Store;
use shared::db::claim::Claimed;
use shared::deadline::Deadline;

pub use simulated::Simulated;
pub use webhook::Webhook;

/// The longest simulated work, in seconds: a day.
const MAX_DELAY: u64 = 86_400;

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Complete,
    /// The work can't be done, for this reason.
    Fail(String),
    /// The work continues after this time, or after the back-off if there is none. The attempt stays the same.
    Wait(Option<Duration>),
    /// The attempt failed, and another may succeed.
    Retry {
        /// The cause of the failure.
        cause: String,
        /// The least time before the next attempt, if the merchant set one.
        after: Option<Duration>,
    },
    /// The work did not start: it could not have ended in time, or the order could not be read for now. No attempt is used up.
    NotStarted,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Fail(reason) => write!(f, "fail: {reason}"),
            Self::Wait(Some(wait)) => write!(f, "wait {:.3} s", wait.as_secs_f64()),
            Self::Wait(None) => f.write_str("wait"),
            Self::Retry { cause, .. } => write!(f, "retry: {cause}"),
            Self::NotStarted => f.write_str("not started"),
        }
    }
}

/// A kind of work. The orders of a batch run concurrently.
pub trait Work {
    /// The wait between an order's first claim and [`Self::run`].
    fn delay(&self) -> Duration {
        Duration::ZERO
    }

    /// Works on a claimed order and returns the outcome by `deadline`. It starts nothing that could take longer. `store` can read
    /// the order's content until then.
    ///
    /// The work must be idempotent by `order_id`: it runs again for the same order if the worker crashes before it records the outcome.
    fn run(&self, order: &Claimed, store: &Store, deadline: Deadline) -> impl Future<Output = Outcome> + Send;
}

/// The configured kind of work.
pub enum ConfiguredWork {
    /// Waits and does nothing else.
    Simulated(Simulated),
    /// Calls the merchant's endpoint.
    Webhook(Webhook),
}

impl ConfiguredWork {
    /// Builds the configured kind of work.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        match env.text("WORK") {
            None | Some("simulated") => {
                let delay = env.seconds("PROCESSING_DELAY_SECONDS", 5, 0..=MAX_DELAY)?;
                Ok(Self::Simulated(Simulated { delay }))
            }
            Some("webhook") => Ok(Self::Webhook(Webhook::from_env(env)?)),
            Some(_) => Err(ConfigError::new("WORK", "must be simulated or webhook")),
        }
    }
}

impl Work for ConfiguredWork {
    fn delay(&self) -> Duration {
        match self {
            Self::Simulated(work) => work.delay(),
            Self::Webhook(work) => work.delay(),
        }
    }

    async fn run(&self, order: &Claimed, store: &Store, deadline: Deadline) -> Outcome {
        match self {
            Self::Simulated(work) => work.run(order, store, deadline).await,
            Self::Webhook(work) => work.run(order, store, deadline).await,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use time::OffsetDateTime;

    use super::Claimed;

    /// A claimed order, before its first attempt.
    pub fn claimed() -> Claimed {
        let now = OffsetDateTime::UNIX_EPOCH;
        Claimed { order_id: "o-1".parse().unwrap(), attempts: 0, started_at: now, claimed_at: now }
    }
}
