//! The division of a batch's time among its steps: claim, work, record and send.
//!
//! | step | share of the function's time-out |
//! |---|---|
//! | claim | at most a third of the time-out without the answer's second |
//! | work | the rest |
//! | record outcomes, send messages | what the work leaves, at least a quarter |
//! | repeats of a record that failed for now | two thirds of that |
//! | each of two rounds of messages | two thirds of what is left after the record |
//! | dead-letter malformed messages | what is left |
//! | announce ends, with a bus | what is left, at most three seconds |
//! | answer | a second |

use std::time::Duration;

use shared::config::{self, ConfigError, Env};
use shared::deadline::Deadline;

/// The time for the answer.
const TIME_TO_ANSWER: Duration = Duration::from_secs(1);
/// The divisor of the claim's share.
const CLAIM_SHARE: u32 = 3;
/// The divisor of the share for recording and sending.
const RECORD_SHARE: u32 = 4;

/// The longest time for announcing the ends of a batch. The calls get two thirds of it, so a bus that hangs delays one batch of each
/// environment by two seconds, every half minute.
const EVENTS_TIME: Duration = Duration::from_secs(3);

/// The function's time-out.
pub fn function_timeout(env: &Env) -> Result<Duration, ConfigError> {
    config::function_timeout(env, 15)
}

/// The deadline of a batch that starts now.
pub fn of_batch(function_timeout: Duration) -> Deadline {
    Deadline::after(function_timeout).minus(TIME_TO_ANSWER)
}

/// The deadline of the batch's claim.
pub fn of_claim(batch: Deadline) -> Deadline {
    batch.share(1, CLAIM_SHARE)
}

/// The deadline of the batch's work.
pub fn of_work(batch: Deadline, function_timeout: Duration) -> Deadline {
    batch.minus(function_timeout / RECORD_SHARE)
}

/// The deadline of the repeats of a record that failed for now, once the work is done. The rest is for the messages.
pub fn of_repeats(batch: Deadline) -> Deadline {
    batch.share(2, 3)
}

/// The deadline of a round of messages. It leaves time to record what depends on them, and for the next round.
pub fn of_messages(batch: Deadline) -> Deadline {
    batch.share(2, 3)
}

/// The deadline of the batch's events.
pub fn of_events(batch: Deadline) -> Deadline {
    batch.at_most(EVENTS_TIME)
}

/// The deadline of the calls to the bus. It is enough for a second attempt after one over a dead connection.
pub fn of_bus(events: Deadline) -> Deadline {
    events.share(2, 3)
}

/// The least time for work in any batch, however long the claim takes.
pub fn least_time_for_work(function_timeout: Duration) -> Duration {
    let batch = function_timeout.saturating_sub(TIME_TO_ANSWER);
    batch.saturating_sub(batch / CLAIM_SHARE).saturating_sub(function_timeout / RECORD_SHARE)
}

#[cfg(test)]
mod tests {
    use shared::aws::SECOND_ATTEMPT;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_has_its_least_time_after_the_slowest_claim() {
        for seconds in [5, 15, 60, 900] {
            let function_timeout = Duration::from_secs(seconds);
            let batch = of_batch(function_timeout);
            let claim = of_claim(batch).remaining();
            let left = of_work(batch, function_timeout).remaining().saturating_sub(claim);
            let least = least_time_for_work(function_timeout);
            assert!(left.abs_diff(least) < Duration::from_millis(1), "{seconds} s: {left:?}, {least:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bus_has_two_seconds_of_a_batch_and_time_for_two_attempts() {
        let bus = of_bus(of_events(of_batch(Duration::from_secs(15)))).remaining();
        assert_eq!(bus, Duration::from_secs(2));
        assert!(bus >= SECOND_ATTEMPT + Duration::from_millis(300));
    }
}
