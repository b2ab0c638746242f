//! The api's configuration, besides the variables of the database ([`shared::config`]) and the queues ([`shared::queue`]).
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `STAGE` | `dev`, `staging` or `prod` | required |
//! | `AUTH` | `jwt`: the gateway's claims identify callers; `off`: every caller may do everything, never in `prod` | `jwt` |
//! | `ADMIN_GROUP` | the group of Amazon Cognito (`cognito:groups`) whose members have `orders/admin` | none |
//! | `CANCEL_WINDOW_SECONDS` | how long an order waits before processing begins, 0 to 86400 | 2 |
//! | `DEFAULT_CURRENCY` | the currency of an order that names none, by its code of ISO 4217 | `EUR` |

use std::time::Duration;

use shared::config::{ConfigError, Env, Stage, function_timeout};
use shared::order::Currency;

use crate::caller::Auth;

/// The longest cancel window, in seconds: a day.
const MAX_CANCEL_WINDOW: u64 = 86_400;

/// The configuration of the handlers.
pub struct ApiConfig {
    /// How the API identifies callers.
    pub auth: Auth,
    /// The group whose members are operators.
    pub admin_group: Option<String>,
    /// How long a call may take before Lambda stops the function.
    pub timeout: Duration,
    /// How long an order waits before processing begins.
    pub cancel_window: Duration,
    /// The currency of an order that names none.
    pub default_currency: Currency,
}

impl ApiConfig {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let (stage, auth) = (env.required::<Stage>("STAGE")?, env.optional("AUTH")?.unwrap_or(Auth::Jwt));
        if auth == Auth::Off {
            if stage == Stage::Prod {
                return Err(ConfigError::new("AUTH", "can't be off when STAGE is prod"));
            }
            tracing::warn!("started without authentication (AUTH is off): every caller may do everything");
        }
        let cancel_window = env.seconds("CANCEL_WINDOW_SECONDS", 2, 0..=MAX_CANCEL_WINDOW)?;
        let admin_group = env.text("ADMIN_GROUP").map(str::to_owned);
        let default_currency = env.optional("DEFAULT_CURRENCY")?.unwrap_or(Currency::EUR);
        Ok(Self { auth, admin_group, timeout: function_timeout(env, 10)?, cancel_window, default_currency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(stage: &str, auth: &str) -> Option<String> {
        let env = Env::from_iter([("STAGE", stage), ("AUTH", auth)]);
        ApiConfig::from_env(&env).err().map(|error| error.to_string())
    }

    #[test]
    fn authentication_is_on_by_default_and_required_in_prod() {
        assert_eq!(refusal("prod", ""), None);
        assert_eq!(refusal("dev", "off"), None);
        assert_eq!(refusal("prod", "off").as_deref(), Some("AUTH: can't be off when STAGE is prod"));
        assert!(refusal("dev", "no").is_some());
    }

    #[test]
    fn default_currency_is_the_euro_or_another_in_use() {
        let config = |code| ApiConfig::from_env(&Env::from_iter([("STAGE", "dev"), ("DEFAULT_CURRENCY", code)]));
        let code = |code| config(code).ok().map(|config| config.default_currency.code());
        assert_eq!((code(""), code("JPY")), (Some("EUR"), Some("JPY")));
        let refusal = config("yen").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.starts_with("DEFAULT_CURRENCY: is not valid: must be the code of a currency"), "{refusal}");
    }

    #[test]
    fn missing_stage_is_named() {
        let error = ApiConfig::from_env(&Env::from_iter([("AUTH", "jwt")])).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("STAGE: is not set"));
    }
}
