//! The processor's configuration, besides what [`shared::config`] and [`shared::queue`] read.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `PROCESSING_DELAY_SECONDS` | how long the simulated work takes, 0 to 86400 | 5 |
//! | `MAX_ATTEMPTS` | how many attempts an order may use up without an outcome before it is failed | 5 |

use std::time::Duration;

use shared::config::{ConfigError, Env, Stage, Timing};

/// The longest simulated work: a day.
const MAX_DELAY: Duration = Duration::from_hours(24);

/// What the handler needs to know.
pub struct Config {
    /// How long a claim holds.
    pub timing: Timing,
    /// How long the simulated work takes.
    pub processing_delay: Duration,
    /// How many attempts an order may use up without an outcome.
    pub max_attempts: i32,
}

impl Config {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        env.required::<Stage>("STAGE")?;
        let processing_delay = env.seconds("PROCESSING_DELAY_SECONDS", 5)?;
        if processing_delay > MAX_DELAY {
            return Err(ConfigError::new("PROCESSING_DELAY_SECONDS", "must be at most 86400"));
        }
        let max_attempts = env.optional("MAX_ATTEMPTS")?.unwrap_or(5);
        if max_attempts < 1 {
            return Err(ConfigError::new("MAX_ATTEMPTS", "must be at least 1"));
        }
        Ok(Self { timing: Timing::from_env(env)?, processing_delay, max_attempts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_and_named() {
        let refusal = |pair| {
            let env = Env::from_iter([("STAGE", "dev"), pair]);
            Config::from_env(&env).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal(("PROCESSING_DELAY_SECONDS", "0")), "");
        assert!(refusal(("PROCESSING_DELAY_SECONDS", "86401")).starts_with("PROCESSING_DELAY_SECONDS: must be"));
        assert!(refusal(("MAX_ATTEMPTS", "0")).starts_with("MAX_ATTEMPTS: must be"));
        assert!(refusal(("LEASE_SECONDS", "100")).starts_with("LEASE_SECONDS: must be"));
    }
}
