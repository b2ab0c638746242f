//! Time as a budget: an invocation has a deadline, and every statement, send and call gets the time left until then.
//!
//! The deadline starts with the invocation. It comes from the function's own time-out and uses the monotonic clock, so a wrong wall
//! clock does no harm. Callers pass it down and may only shorten it. What happens outside an invocation, such as
//! warming up, has a fixed time.

use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// The longest time to a deadline. No invocation takes that long.
const LONGEST: Duration = Duration::from_hours(24);

/// The moment at which the time runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that is `time` from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        let now = Instant::now();
        // Some durations exceed what the clock can express.
        Self(now.checked_add(time.min(LONGEST)).unwrap_or(now))
    }

    /// The time left; zero once it is over.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.remaining().is_zero()
    }

    /// An earlier deadline, which leaves `reserve` for later steps.
    #[must_use]
    pub fn minus(self, reserve: Duration) -> Self {
        Self(self.0.checked_sub(reserve).unwrap_or(self.0))
    }

    /// This deadline, or `most` from now if that is earlier.
    #[must_use]
    pub fn at_most(self, most: Duration) -> Self {
        self.min(Self::after(most))
    }

    /// An earlier deadline, at `part / whole` of the time left: the share of the first of several steps.
    #[must_use]
    pub fn share(self, part: u32, whole: u32) -> Self {
        self.at_most(self.remaining().saturating_mul(part) / whole.max(1))
    }

    /// Waits for the future until the deadline.
    ///
    /// # Errors
    /// [`Elapsed`] if the future is not done by then. The future is dropped.
    pub async fn bound<F: Future>(self, future: F) -> Result<F::Output, Elapsed> {
        timeout_at(self.0, future).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deadlines_only_ever_get_shorter() {
        let deadline = Deadline::after(Duration::from_secs(10));
        assert_eq!(deadline.minus(Duration::from_secs(2)).remaining(), Duration::from_secs(8));
        assert_eq!(deadline.at_most(Duration::from_secs(3)).remaining(), Duration::from_secs(3));
        assert_eq!(deadline.at_most(Duration::from_secs(30)), deadline);
        assert_eq!(deadline.share(1, 4).remaining(), Duration::from_millis(2500));
        assert!(!deadline.is_over() && deadline.minus(Duration::from_secs(20)).is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_after_the_longest_duration_is_valid() {
        let deadline = Deadline::after(Duration::MAX);
        assert_eq!(deadline.share(u32::MAX, 1), deadline);
        assert!(!deadline.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn future_that_never_ends_is_dropped_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(1));
        assert!(deadline.bound(std::future::pending::<()>()).await.is_err());
        assert!(deadline.is_over());
        assert_eq!(deadline.bound(async { 1 }).await.ok(), Some(1), "a ready future still completes");
    }
}
