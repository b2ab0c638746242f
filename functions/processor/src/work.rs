//! What processing an order means: one seam, so that the rest of the processor need not know.

mod simulated;
mod webhook;

use std::fmt;
use std::time::Duration;

use shared::db::Db;
use shared::db::work::Claimed;
use shared::deadline::Deadline;

pub use simulated::Simulated;
pub use webhook::Webhook;

/// How an attempt came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Complete,
    /// It never will be, for this reason.
    Fail(String),
    /// It continues after this time, or after the back-off if there is none. It counts as the same attempt.
    Wait(Option<Duration>),
    /// It did not work this time, and may the next.
    Retry {
        /// Why it did not work.
        cause: String,
        /// The least time before the next attempt, where the merchant asked for one.
        after: Option<Duration>,
    },
    /// It was not begun, because it could not have been finished in time. No attempt was used up.
    NoTime,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Fail(reason) => write!(f, "fail: {reason}"),
            Self::Wait(Some(wait)) => write!(f, "wait {:.3} s", wait.as_secs_f64()),
            Self::Wait(None) => f.write_str("wait"),
            Self::Retry { cause, .. } => write!(f, "retry: {cause}"),
            Self::NoTime => f.write_str("no time"),
        }
    }
}

/// A kind of work. The orders of a batch run concurrently.
pub trait Work {
    /// How long an order waits from the beginning of its work until [`Self::run`].
    fn delay(&self) -> Duration {
        Duration::ZERO
    }

    /// Works on a claimed order and returns the outcome by `deadline`. It begins nothing that could take longer. `db` reads
    /// the order's content until then.
    ///
    /// It may run again for the same order, if its worker is lost before the outcome is recorded, so it has to be idempotent
    /// by `order_id`.
    fn run(&self, order: &Claimed, db: &Db, deadline: Deadline) -> impl Future<Output = Outcome> + Send;
}

/// The kind of work that the configuration asks for.
pub enum ConfiguredWork {
    /// Takes its time and nothing else.
    Simulated(Simulated),
    /// Calls the merchant.
    Webhook(Webhook),
}

impl Work for ConfiguredWork {
    fn delay(&self) -> Duration {
        match self {
            Self::Simulated(work) => work.delay(),
            Self::Webhook(work) => work.delay(),
        }
    }

    async fn run(&self, order: &Claimed, db: &Db, deadline: Deadline) -> Outcome {
        match self {
            Self::Simulated(work) => work.run(order, db, deadline).await,
            Self::Webhook(work) => work.run(order, db, deadline).await,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use time::OffsetDateTime;

    use super::Claimed;

    /// A claimed order.
    pub fn claimed() -> Claimed {
        let now = OffsetDateTime::UNIX_EPOCH;
        Claimed { order_id: "o-1".parse().unwrap(), created_at: now, attempts: 0, started_at: now, now }
    }
}
