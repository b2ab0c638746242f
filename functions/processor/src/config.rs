//! The processor's configuration, besides the variables of [`shared::config`] and [`shared::queue`].
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `MAX_ATTEMPTS` | the attempts of an order before it fails; with the default back-off they last at least 15 minutes | 12 |
//! | `WORK` | `simulated`, or `webhook`, see [`crate::Webhook`] | `simulated` |
//! | `PROCESSING_DELAY_SECONDS` | the time of the simulated work, 0 to 86400 | 5 |
//!
//! and the variables of the back-off, see [`crate::backoff`].

use std::time::Duration;

use shared::config::{ConfigError, Env, Timing};

use crate::backoff::Backoff;
use crate::budget;

/// The configuration of the handler.
pub struct ProcessorConfig {
    /// The function's time-out.
    pub function_timeout: Duration,
    /// The lease and the grace period.
    pub timing: Timing,
    /// The attempts of an order before it fails.
    pub max_attempts: i32,
    /// The waits between attempts.
    pub backoff: Backoff,
}

impl ProcessorConfig {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let max_attempts = env.number("MAX_ATTEMPTS", 12, 1..)?;
        let (function_timeout, timing) = (budget::function_timeout(env)?, Timing::from_env(env)?);
        if function_timeout >= timing.lease {
            // The lease must outlast its worker.
            return Err(ConfigError::new("LEASE_SECONDS", "must be above FUNCTION_TIMEOUT_SECONDS"));
        }
        Ok(Self { function_timeout, timing, max_attempts, backoff: Backoff::from_env(env)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::ConfiguredWork;

    #[test]
    fn default_attempts_last_at_least_a_quarter_of_an_hour() {
        let config = ProcessorConfig::from_env(&Env::from_iter([("STAGE", "dev")])).unwrap();
        let waits = (0..config.max_attempts - 1).map(|attempts| config.backoff.shortest(attempts));
        let all: Duration = waits.sum();
        assert!(all >= Duration::from_mins(15), "{all:?}");
    }

    #[test]
    fn limits_are_checked_and_named() {
        let refusal = |pair| {
            let env = Env::from_iter([("STAGE", "dev"), pair]);
            let error =
                ProcessorConfig::from_env(&env).map(drop).and_then(|()| ConfiguredWork::from_env(&env).map(drop)).err();
            error.map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal(("PROCESSING_DELAY_SECONDS", "0")), "");
        assert!(refusal(("PROCESSING_DELAY_SECONDS", "86401")).starts_with("PROCESSING_DELAY_SECONDS: must be"));
        assert_eq!(refusal(("WORK", "magic")), "WORK: must be simulated or webhook");
        assert!(refusal(("WORK", "webhook")).starts_with("WEBHOOK_URL: is not set"));
        assert!(refusal(("MAX_ATTEMPTS", "0")).starts_with("MAX_ATTEMPTS: must be"));
        assert!(refusal(("LEASE_SECONDS", "15")).starts_with("LEASE_SECONDS: must be above"));
        assert!(refusal(("LEASE_SECONDS", "120")).starts_with("LEASE_SECONDS: must be"));
    }
}
