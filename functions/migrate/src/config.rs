//! The configuration of migrate, besides the database's, see [`shared::config`].
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DATABASE_APP_ROLE` | the role that the other functions sign in as: created where absent, and confined to rows | none |

use shared::config::{ConfigError, Env};
use shared::db::DbConfig;
use shared::db::role::RoleName;

/// What the handler needs to know.
pub struct Config {
    /// The database, as the role that owns the tables.
    pub database: DbConfig,
    /// The role that the other functions sign in as, where it is another.
    pub app_role: Option<RoleName>,
}

impl Config {
    /// Reads and checks the variables.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self { database: DbConfig::from_env(env)?, app_role: env.optional("DATABASE_APP_ROLE")? })
    }
}
