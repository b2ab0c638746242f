//! The configuration of migrate, besides the database's variables, see [`shared::config`].
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DATABASE_APP_ROLE` | the role that the other functions sign in as: created if absent, and restricted to rows | none |
//! | `FUNCTION_TIMEOUT_SECONDS` | the function's time-out | 240 |

use std::time::Duration;

use shared::config::{ConfigError, Env, function_timeout};
use shared::db::DbConfig;
use shared::db::role::RoleName;

/// The time-out of this function unless the configuration has another.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(4);

/// The configuration of the handler.
pub struct MigrateConfig {
    /// The database, with the login of the tables' owner.
    pub database: DbConfig,
    /// The role that the other functions sign in as, if it is not the owner.
    pub app_role: Option<RoleName>,
    /// The function's time-out.
    pub timeout: Duration,
}

impl MigrateConfig {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            database: DbConfig::from_env(env)?,
            app_role: env.optional("DATABASE_APP_ROLE")?,
            timeout: function_timeout(env, DEFAULT_TIMEOUT.as_secs())?,
        })
    }
}
