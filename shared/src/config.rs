//! Configuration: read once at start. An error names the variable.
//!
//! Every function that has a database reads:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DATABASE_URL` | `postgres://[user[:password]@]host[:port]/database` | required |
//! | `DATABASE_SECRET_ARN` | a secret of Secrets Manager that holds user and password, in place of the URL's | none |
//! | `DATABASE_AUTH` | `password`, or `iam`: the URL's user signs in with a token of RDS's IAM authentication | `password` |
//! | `DATABASE_TLS` | `verify-full`, or `off` for a database on this machine | `verify-full` |
//! | `DATABASE_PREPARE` | `on`, or `off` behind a pooler that does not keep prepared statements | `on` |
//! | `DATABASE_CA_FILE` | PEM file of certificate authorities, in place of the built-in RDS bundle | none |
//!
//! Every function but `site` reads:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `FUNCTION_TIMEOUT_SECONDS` | the function's time-out, as deployed | 10 `api`, 15 `processor`, 30 `sweeper`, 240 `migrate` |
//!
//! Functions with a queue read more variables, see [`crate::queue`]; the processor and the sweeper read [`Timing`].

use std::collections::HashMap;
use std::fmt;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

/// The largest number of seconds in a variable: a year. The clock can't add an unbounded number.
const MAX_SECONDS: u64 = 365 * 24 * 60 * 60;

/// The environment variables at start.
pub struct Env(HashMap<String, String>);

/// A variable that is missing or not valid. Its text names the variable and the rule that it breaks.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct ConfigError {
    name: String,
    problem: String,
}

impl ConfigError {
    /// An error of variable `name`.
    pub fn new(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { name: name.into(), problem: problem.into() }
    }
}

impl Env {
    /// Reads the process's environment. A variable that is not UTF-8 counts as absent.
    #[must_use]
    pub fn read() -> Self {
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
    }

    /// The variable's text. An empty variable counts as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// The variable's value, or an error if it is absent.
    pub fn required<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, ConfigError> {
        self.optional(name)?.ok_or_else(|| ConfigError::new(name, "is not set"))
    }

    /// The variable's value, or `None` if it is absent.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // The error leaves out the value: it may be a secret.
        text.parse().map(Some).map_err(|problem: T::Err| ConfigError::new(name, format!("is not valid: {problem}")))
    }

    /// The variable as a number, or `default` if it is absent. Each bound belongs to the valid numbers. A number with a fraction
    /// is rounded up, so that half a day does not become 0, which means never: CloudFormation takes a fraction for any parameter that is a
    /// `Number` (AWS CloudFormation User Guide, "Parameters").
    pub fn number<T>(&self, name: &str, default: T, valid: impl RangeBounds<T>) -> Result<T, ConfigError>
    where
        T: FromStr<Err: fmt::Display> + PartialOrd + fmt::Display,
    {
        let Whole(number) = self.optional(name)?.unwrap_or(Whole(default));
        if valid.contains(&number) {
            return Ok(number);
        }
        let bounds = [("at least", valid.start_bound()), ("at most", valid.end_bound())];
        let rules = bounds.into_iter().filter_map(|(word, bound)| match bound {
            Bound::Included(bound) => Some(format!("{word} {bound}")),
            Bound::Excluded(_) | Bound::Unbounded => None,
        });
        Err(ConfigError::new(name, format!("must be {}", rules.collect::<Vec<_>>().join(" and "))))
    }

    /// The variable as a whole number of seconds, or `default` if it is absent.
    pub fn seconds(&self, name: &str, default: u64, valid: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
        self.number(name, default, valid).map(Duration::from_secs)
    }
}

/// A whole number, read from a text that may have a fraction.
struct Whole<T>(T);

impl<T: FromStr> FromStr for Whole<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rounded_up = |number: f64| number.ceil().to_string().parse();
        text.parse().or_else(|problem| text.parse().map_or(Err(problem), rounded_up)).map(Self)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Returns the configuration, or logs its error and ends the process with status 1.
pub fn or_exit<T>(config: Result<T, ConfigError>) -> T {
    config.unwrap_or_else(|error| {
        tracing::error!(%error, "could not start the function: its configuration is not valid");
        std::process::exit(1)
    })
}

/// The kind of deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A developer's own.
    Dev,
    /// The rehearsal of production.
    Staging,
    /// Production.
    Prod,
}

impl FromStr for Stage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "dev" => Ok(Self::Dev),
            "staging" => Ok(Self::Staging),
            "prod" => Ok(Self::Prod),
            _ => Err("must be dev, staging or prod"),
        }
    }
}

/// The time-out of this function as deployed: `FUNCTION_TIMEOUT_SECONDS`, at least 5. The invocation's deadline comes from this
/// and not from the time in Lambda's event, because the machine's wall clock can be wrong.
pub fn function_timeout(env: &Env, default: u64) -> Result<Duration, ConfigError> {
    env.seconds("FUNCTION_TIMEOUT_SECONDS", default, 5..=MAX_SECONDS)
}

/// The times that prevent lost and duplicate work: the processor's time-out < lease < visibility timeout < grace period.
///
/// | variable | meaning, in seconds | default |
/// |---|---|---|
/// | `LEASE_SECONDS` | the length of a claim's lease | 30 |
/// | `VISIBILITY_TIMEOUT_SECONDS` | the queue's visibility timeout; six times the processor's time-out, plus the longest batching window, as AWS advises | 120 |
/// | `SWEEP_GRACE_SECONDS` | how long overdue an order may be before its message counts as lost | 180 |
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The length of the lease.
    pub lease: Duration,
    /// How long overdue an order may be before its message counts as lost.
    pub grace: Duration,
}

impl Timing {
    /// Reads the three variables and checks their order.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let lease = env.seconds("LEASE_SECONDS", 30, 0..=MAX_SECONDS)?;
        let visibility = env.seconds("VISIBILITY_TIMEOUT_SECONDS", 120, 0..=MAX_SECONDS)?;
        let grace = env.seconds("SWEEP_GRACE_SECONDS", 180, 0..=MAX_SECONDS)?;
        if lease >= visibility {
            // SQS may otherwise deliver a message again within the lease, when its order is not due.
            return Err(ConfigError::new("LEASE_SECONDS", "must be below VISIBILITY_TIMEOUT_SECONDS"));
        }
        if visibility >= grace {
            // A sweep within the visibility timeout would send a message that SQS is about to deliver again.
            return Err(ConfigError::new("SWEEP_GRACE_SECONDS", "must be above VISIBILITY_TIMEOUT_SECONDS"));
        }
        Ok(Self { lease, grace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_variable_and_not_its_value() {
        let env = Env::from_iter([("LEASE_SECONDS", "s3cret"), ("STAGE", "")]);
        assert_eq!(env.required::<Stage>("STAGE").unwrap_err().to_string(), "STAGE: is not set");
        let error = Timing::from_env(&env).unwrap_err().to_string();
        assert!(error.starts_with("LEASE_SECONDS: is not valid") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn function_timeout_is_five_seconds_to_a_year() {
        let limit = |seconds| function_timeout(&Env::from_iter([("FUNCTION_TIMEOUT_SECONDS", seconds)]), 10);
        for seconds in ["18446744073709551615", "31536001", "4"] {
            let error = limit(seconds).unwrap_err().to_string();
            assert_eq!(error, "FUNCTION_TIMEOUT_SECONDS: must be at least 5 and at most 31536000");
        }
        assert!(limit("5").is_ok() && limit("31536000").is_ok());
    }

    #[test]
    fn number_with_a_fraction_is_rounded_up() {
        let seconds = |text| Env::from_iter([("S", text)]).seconds("S", 1, 0..=900);
        for (text, whole) in [("0.5", 1), ("2.0", 2), ("2.1", 3), ("899.5", 900), ("1e2", 100), ("900", 900)] {
            assert_eq!(seconds(text).unwrap(), Duration::from_secs(whole), "{text}");
        }
        for text in ["900.5", "-0.5", "-1.5", "NaN", "inf", "1e300", "2,5", "two"] {
            assert!(seconds(text).unwrap_err().to_string().starts_with("S: "), "{text}");
        }
    }

    #[test]
    fn lease_visibility_and_grace_must_be_in_this_order() {
        assert!(Timing::from_env(&Env::from_iter([("", "")])).is_ok());
        let refused = |pair| Timing::from_env(&Env::from_iter([pair])).unwrap_err().to_string();
        assert!(refused(("LEASE_SECONDS", "120")).starts_with("LEASE_SECONDS: must be below"));
        assert!(refused(("VISIBILITY_TIMEOUT_SECONDS", "180")).starts_with("SWEEP_GRACE_SECONDS: must be above"));
    }
}
