//! How the time of a batch is divided: claiming, work, and what is recorded and sent afterwards.
//!
//! | part | of the function's time-out |
//! |---|---|
//! | claim | a third at most, of all but the answer's second |
//! | work | what is left, but for the parts below |
//! | record outcomes, send messages | a quarter |
//! | answer | a second |

use std::time::Duration;

use shared::config::{self, ConfigError, Env};
use shared::deadline::Deadline;

/// The answer's part of the function's time-out.
const TIME_TO_ANSWER: Duration = Duration::from_secs(1);
/// Claiming takes one part in this many.
const CLAIM_SHARE: u32 = 3;
/// Recording and sending take one part in this many.
const RECORD_SHARE: u32 = 4;

/// The function's time-out.
pub fn time_limit(env: &Env) -> Result<Duration, ConfigError> {
    config::time_limit(env, 15)
}

/// By when a batch that begins now has to be over.
pub fn of_batch(timeout: Duration) -> Deadline {
    Deadline::after(timeout).minus(TIME_TO_ANSWER)
}

/// By when a batch has to be claimed.
pub fn of_claim(batch: Deadline) -> Deadline {
    batch.share(1, CLAIM_SHARE)
}

/// By when its work has to be over.
pub fn of_work(batch: Deadline, timeout: Duration) -> Deadline {
    batch.minus(timeout / RECORD_SHARE)
}

/// The time that work has in every batch, however long claiming takes.
pub fn least_time_for_work(timeout: Duration) -> Duration {
    let batch = timeout.saturating_sub(TIME_TO_ANSWER);
    batch.saturating_sub(batch / CLAIM_SHARE).saturating_sub(timeout / RECORD_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_has_its_least_time_after_the_slowest_claim() {
        for seconds in [5, 15, 60, 900] {
            let timeout = Duration::from_secs(seconds);
            let batch = of_batch(timeout);
            let claim = of_claim(batch).remaining();
            let left = of_work(batch, timeout).remaining().saturating_sub(claim);
            let least = least_time_for_work(timeout);
            assert!(left.abs_diff(least) < Duration::from_millis(100), "{seconds} s: {left:?}, {least:?}");
        }
    }
}
