//! What processing an order means: one seam, so that the rest of the processor need not know.

mod simulated;
mod webhook;

use std::fmt;
use std::time::Duration;

use shared::db::work::Claimed;

pub use simulated::Simulated;
pub use webhook::Webhook;

/// How an attempt came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Complete,
    /// It never will be, for this reason.
    Fail(String),
    /// It goes on after this time; nobody is held up meanwhile, and it counts as the same attempt.
    Wait(Duration),
    /// It did not work this time, for this reason, and may the next.
    Retry(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Fail(reason) => write!(f, "fail: {reason}"),
            Self::Wait(wait) => write!(f, "wait {:.3} s", wait.as_secs_f64()),
            Self::Retry(cause) => write!(f, "retry: {cause}"),
        }
    }
}

/// A kind of work. The orders of a batch run concurrently.
pub trait Work {
    /// Works on an order that is claimed. It may run again for the same order, if its worker is lost before the outcome is
    /// recorded, so it has to be idempotent by `order_id`.
    fn run(&self, order: &Claimed) -> impl Future<Output = Outcome> + Send;
}

/// The kind of work that the configuration asks for.
pub enum ConfiguredWork {
    /// Takes its time and nothing else.
    Simulated(Simulated),
    /// Calls the merchant.
    Webhook(Webhook),
}

impl Work for ConfiguredWork {
    async fn run(&self, order: &Claimed) -> Outcome {
        match self {
            Self::Simulated(work) => work.run(order).await,
            Self::Webhook(work) => work.run(order).await,
        }
    }
}
