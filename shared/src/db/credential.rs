//! The credentials for the database. They are never logged.

mod iam;
mod secret;

use std::time::SystemTime;

use serde::Deserialize;
use tokio_postgres::Config;

use super::DbError;
use crate::config::{ConfigError, Env};

use iam::Signer;
use secret::Secret;

/// One of three kinds of credential. The variables choose.
pub(super) enum Credential {
    /// The user and the password of `DATABASE_URL`.
    Url,
    /// The user and the password of the secret `DATABASE_SECRET_ARN`.
    Secret(Secret),
    /// The user of `DATABASE_URL`, with a token of RDS's IAM authentication.
    Iam(Signer),
}

/// A user and a password or token.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Login {
    #[serde(rename = "username")]
    user: String,
    password: String,
}

impl Login {
    /// Adds this login to connection parameters.
    pub fn complete(&self, params: &Config) -> Config {
        let mut params = params.clone();
        params.user(&self.user).password(&self.password);
        params
    }
}

impl Credential {
    /// Reads `DATABASE_AUTH` and `DATABASE_SECRET_ARN`. Fails if they contradict each other or the URL.
    pub fn from_env(env: &Env, params: &Config, is_encrypted: bool) -> Result<Self, ConfigError> {
        match (env.text("DATABASE_AUTH").unwrap_or("password"), env.text("DATABASE_SECRET_ARN")) {
            ("password", None) => Ok(Self::Url),
            ("password", Some(arn)) => Secret::from_env(env, params, arn).map(Self::Secret),
            ("iam", None) => Signer::from_env(env, params, is_encrypted).map(Self::Iam),
            ("iam", Some(_)) => Err(ConfigError::new("DATABASE_SECRET_ARN", "can't be set when DATABASE_AUTH is iam")),
            _ => Err(ConfigError::new("DATABASE_AUTH", "must be password or iam")),
        }
    }

    /// The login, or `None` if the URL holds it.
    pub async fn login(&self) -> Result<Option<Login>, DbError> {
        match self {
            Self::Url => Ok(None),
            Self::Secret(secret) => secret.login().await.map(Some).map_err(unavailable),
            Self::Iam(signer) => signer.login(SystemTime::now()).map(Some).map_err(unavailable),
        }
    }

    /// The next login after the database has refused these, or `None` if there is no other.
    pub async fn another(&self, refused: &[Login]) -> Result<Option<Login>, DbError> {
        match self {
            Self::Secret(secret) => secret.another(refused).await.map_err(unavailable),
            Self::Url | Self::Iam(_) => Ok(None),
        }
    }
}

fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> DbError {
    DbError::Unavailable(Box::new(cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::DbConfig;

    const AWS: [(&str, &str); 3] =
        [("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")];

    fn refusal<const N: usize>(url: &str, pairs: [(&str, &str); N]) -> String {
        let env: Env = AWS.into_iter().chain([("DATABASE_URL", url)]).chain(pairs).collect();
        DbConfig::from_env(&env).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn credential_is_chosen_by_the_variables() {
        assert_eq!(refusal("postgres://u:p@h/d", []), "");
        assert_eq!(refusal("postgres://h/d", [("DATABASE_SECRET_ARN", "arn:aws:…")]), "");
        assert_eq!(refusal("postgres://u@h/d", [("DATABASE_SECRET_ARN", "arn:aws:…")]), "");
        assert_eq!(refusal("postgres://u@h/d", [("DATABASE_AUTH", "iam")]), "");
    }

    #[test]
    fn contradicting_variables_are_named() {
        let (iam, secret) = (("DATABASE_AUTH", "iam"), ("DATABASE_SECRET_ARN", "arn:aws:…"));
        assert!(refusal("postgres://u@h/d", [iam, secret]).starts_with("DATABASE_SECRET_ARN: can't be set"));
        assert!(refusal("postgres://u:p@h/d", [secret]).starts_with("DATABASE_URL: must not hold a password"));
        assert!(refusal("postgres://u:p@h/d", [iam]).starts_with("DATABASE_URL: must not hold a password"));
        assert!(refusal("postgres://h/d", [iam]).starts_with("DATABASE_URL: must name the user"));
        assert!(refusal("postgres://u@h,i/d", [iam]).starts_with("DATABASE_URL: must name one host"));
        assert!(refusal("postgres://u@localhost/d", [iam, ("DATABASE_TLS", "off")]).starts_with("DATABASE_TLS: can't"));
        assert!(refusal("postgres://u@h/d", [("DATABASE_AUTH", "peer")]).starts_with("DATABASE_AUTH: must be"));
        assert_eq!(refusal("postgres://u@h/d", [iam, ("AWS_REGION", "")]), "AWS_REGION: is not set");
    }
}
