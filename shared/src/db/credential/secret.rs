//! The user and the password from Secrets Manager. The secret has the shape that RDS writes: JSON with `username` and `password`.
//! Other members are ignored.
//!
//! The secret is read at the first connection and kept. After a rotation the database refuses the kept version, and the secret
//! is read again. The secret's user replaces the user of `DATABASE_URL`, because a rotation may alternate between two users.

use std::sync::{Mutex, PoisonError};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

use super::Login;
use crate::aws::{Access, unlimited_retries};
use crate::config::{ConfigError, Env};
use crate::error::Chain;

/// The version in force.
const CURRENT: &str = "AWSCURRENT";
/// The version that a rotation puts in force next. A rotation changes the database first: for a moment the database accepts this
/// version and not the current one.
const PENDING: &str = "AWSPENDING";

/// Reading the secret failed. The text is for the log, and holds nothing of the secret.
#[derive(Debug, thiserror::Error)]
#[error("could not read the database's secret: {0}")]
pub(in crate::db) struct SecretError(String);

/// The secret, and the version read last.
pub(in crate::db) struct Secret {
    client: Client,
    arn: String,
    known: Mutex<Option<Login>>,
}

impl Secret {
    /// Checks that `DATABASE_URL` holds no password, and builds the client. The client connects at its first call.
    pub fn from_env(env: &Env, params: &tokio_postgres::Config, arn: &str) -> Result<Self, ConfigError> {
        if params.get_password().is_some() {
            return Err(ConfigError::new("DATABASE_URL", "must not hold a password beside DATABASE_SECRET_ARN"));
        }
        let config = Builder::from(&Access::from_env(env)?.sdk_config()).retry_partition(unlimited_retries());
        Ok(Self { client: Client::from_conf(config.build()), arn: arn.to_owned(), known: Mutex::default() })
    }

    /// The version read last, or else the current one.
    pub async fn login(&self) -> Result<Login, SecretError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(login) => Ok(login),
            None => self.read(CURRENT).await?.ok_or_else(|| SecretError("it has no current version".to_owned())),
        }
    }

    /// The first version, current or pending, that the database has not refused.
    pub async fn another(&self, refused: &[Login]) -> Result<Option<Login>, SecretError> {
        for version in [CURRENT, PENDING] {
            if let Some(login) = self.read(version).await?.filter(|login| !refused.contains(login)) {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    /// Reads and keeps a version, if there is one.
    async fn read(&self, version: &str) -> Result<Option<Login>, SecretError> {
        let call = self.client.get_secret_value().secret_id(&self.arn).version_stage(version).send();
        // Boxed: every statement's future would otherwise reserve space for this one, which is large and rarely runs.
        let text = match Box::pin(call).await {
            Ok(secret) => secret.secret_string.unwrap_or_default(),
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            // Not `DisplayErrorContext`: it also shows the answer, which may have the secret.
            Err(error) => return Err(SecretError(Chain(&error).to_string())),
        };
        let login = parse(&text)?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(login.clone());
        Ok(Some(login))
    }
}

/// Parses a secret. The parser's own message may quote the secret, so the error leaves it out.
fn parse(text: &str) -> Result<Login, SecretError> {
    serde_json::from_str(text).map_err(|_| SecretError("it is not JSON with username and password".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_rds_adds_to_a_secret_are_ignored() {
        let login =
            parse(r#"{"username": "u", "password": "s3cret", "host": "h", "port": 5432, "engine": "postgres"}"#);
        let login = login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("u", "s3cret"));
    }

    #[test]
    fn secret_of_another_shape_is_reported_without_its_text() {
        for text in ["s3cret", r#"{"username": "u"}"#, r#"{"username": "u", "password": ["s3cret"]}"#, ""] {
            let error = parse(text).err().unwrap().to_string();
            assert!(error.ends_with("it is not JSON with username and password"), "{error}");
        }
    }
}
