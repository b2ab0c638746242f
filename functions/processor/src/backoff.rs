//! The wait before the next attempt: exponential back-off with jitter, so that orders that failed together are not retried
//! together.
//!
//! | variable | meaning, in seconds | default |
//! |---|---|---|
//! | `RETRY_BASE_SECONDS` | the first back-off, at least 1; each further one is twice as long | 5 |
//! | `RETRY_CAP_SECONDS` | the longest back-off, up to 43200 | 300 |

use std::time::Duration;

use shared::config::{ConfigError, Env};

/// The longest cap, in seconds: half a day, so that an order gets several attempts within its seven days.
const MAX_CAP: u64 = 43_200;

/// The shortest wait between two calls for an order.
const SHORTEST: Duration = Duration::from_secs(1);

/// The back-off between attempts.
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let base = env.seconds("RETRY_BASE_SECONDS", 5, 1..=MAX_CAP)?;
        let cap = env.seconds("RETRY_CAP_SECONDS", 300, 1..=MAX_CAP)?;
        if cap < base {
            return Err(ConfigError::new("RETRY_CAP_SECONDS", "must be at least RETRY_BASE_SECONDS"));
        }
        Ok(Self { base, cap })
    }

    /// The wait after `attempts` earlier attempts and the one that has just failed: between half and all of `base * 2^attempts`, or of
    /// the cap if that is less, and at least a second.
    pub fn after(&self, attempts: i32) -> Duration {
        jitter(self.longest(attempts))
    }

    /// The next wait of an order that has waited for `waited` without using up attempts: between half and all of that time, within the
    /// base and the cap. Its waits grow like those between attempts.
    pub fn after_waiting(&self, waited: Duration) -> Duration {
        jitter(waited.clamp(self.base, self.cap))
    }

    fn longest(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts).unwrap_or(0).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}

/// A random time between half of a wait and all of it, at least a second.
fn jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64().midpoint(1.0)).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Backoff {
        /// The shortest possible wait after this many attempts.
        pub fn shortest(&self, attempts: i32) -> Duration {
            self.longest(attempts) / 2
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_cap_with_jitter() {
        let backoff =
            Backoff::from_env(&Env::from_iter([("RETRY_BASE_SECONDS", "2"), ("RETRY_CAP_SECONDS", "60")])).unwrap();
        for (attempts, longest) in [(0, 2.0), (1, 4.0), (4, 32.0), (5, 60.0), (1000, 60.0)] {
            let waits: Vec<_> = (0..200).map(|_| backoff.after(attempts).as_secs_f64()).collect();
            assert!(waits.iter().all(|wait| (longest / 2.0..=longest).contains(wait)), "{attempts}: {waits:?}");
            assert!(waits.iter().any(|wait| (wait - waits[0]).abs() > longest / 20.0), "{attempts}: no jitter");
        }
    }

    #[test]
    fn backoff_is_at_least_a_second() {
        let backoff =
            Backoff::from_env(&Env::from_iter([("RETRY_BASE_SECONDS", "1"), ("RETRY_CAP_SECONDS", "1")])).unwrap();
        for _ in 0..200 {
            assert_eq!(backoff.after(0), Duration::from_secs(1));
            assert_eq!(backoff.after_waiting(Duration::ZERO), Duration::from_secs(1));
        }
    }

    #[test]
    fn waits_of_a_waiting_order_grow() {
        let backoff =
            Backoff::from_env(&Env::from_iter([("RETRY_BASE_SECONDS", "2"), ("RETRY_CAP_SECONDS", "60")])).unwrap();
        for (waited, longest) in [(0, 2.0), (1, 2.0), (20, 20.0), (60, 60.0), (86400, 60.0)] {
            let waits: Vec<_> =
                (0..200).map(|_| backoff.after_waiting(Duration::from_secs(waited)).as_secs_f64()).collect();
            assert!(waits.iter().all(|wait| (longest / 2.0..=longest).contains(wait)), "{waited}: {waits:?}");
        }
    }

    #[test]
    fn limits_are_checked_and_named() {
        let refusal =
            |name, value| Backoff::from_env(&Env::from_iter([(name, value)])).err().map(|error| error.to_string());
        assert!(refusal("RETRY_BASE_SECONDS", "0").unwrap().starts_with("RETRY_BASE_SECONDS: "));
        assert!(refusal("RETRY_CAP_SECONDS", "1").unwrap().starts_with("RETRY_CAP_SECONDS: "));
        assert!(refusal("RETRY_CAP_SECONDS", "43201").unwrap().starts_with("RETRY_CAP_SECONDS: "));
    }
}
