//! The user and the password of a secret in Secrets Manager, in the shape that RDS gives one: JSON with `username` and
//! `password`; what else is in it is ignored.
//!
//! It is read when first needed and kept. A rotation is noticed when the database refuses what is kept. Its user goes before
//! that of `DATABASE_URL`, because a rotation may alternate between two.

use std::sync::{Mutex, PoisonError};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::DisplayErrorContext;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

use super::Login;
use crate::aws::Access;
use crate::config::{ConfigError, Env};

/// The version that is in force.
const CURRENT: &str = "AWSCURRENT";
/// The version that a rotation is about to put in force. The database is told of it first: for a moment it takes this one
/// and no longer the current one.
const PENDING: &str = "AWSPENDING";

/// The secret can't be used. The text is for the log, and holds nothing of the secret.
#[derive(Debug, thiserror::Error)]
#[error("the database's secret can't be used: {0}")]
pub(in crate::db) struct SecretError(String);

/// The secret that is named, and what is known of it.
pub(in crate::db) struct Secret {
    client: Client,
    arn: String,
    known: Mutex<Option<Login>>,
}

impl Secret {
    /// Checks that `DATABASE_URL` leaves the password to the secret, and builds the client, which has not connected yet.
    pub fn from_env(env: &Env, params: &tokio_postgres::Config, arn: &str) -> Result<Self, ConfigError> {
        if params.get_password().is_some() {
            return Err(ConfigError::new("DATABASE_URL", "must not hold a password beside DATABASE_SECRET_ARN"));
        }
        let config = Access::from_env(env)?.sdk_config();
        Ok(Self { client: Client::new(&config), arn: arn.to_owned(), known: Mutex::default() })
    }

    /// What is known, or else the current version.
    pub async fn login(&self) -> Result<Login, SecretError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(login) => Ok(login),
            None => self.read(CURRENT).await?.ok_or_else(|| SecretError("it has no current version".to_owned())),
        }
    }

    /// The current version or the pending one, whichever was not refused.
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
        let asked = self.client.get_secret_value().secret_id(&self.arn).version_stage(version).send();
        // Boxed, because every statement's future would otherwise have room for this one, which is large and rarely there.
        let text = match Box::pin(asked).await {
            Ok(secret) => secret.secret_string.unwrap_or_default(),
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(SecretError(DisplayErrorContext(error).to_string())),
        };
        let login = parse(&text)?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(login.clone());
        Ok(Some(login))
    }
}

/// The parser's own message may quote the secret, so it is left out.
fn parse(text: &str) -> Result<Login, SecretError> {
    serde_json::from_str(text).map_err(|_| SecretError("it is not JSON with username and password".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rds_adds_to_a_secret_is_ignored() {
        let login =
            parse(r#"{"username": "u", "password": "s3cret", "host": "h", "port": 5432, "engine": "postgres"}"#);
        let login = login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("u", "s3cret"));
    }

    #[test]
    fn a_secret_of_another_shape_is_told_of_without_its_text() {
        for text in ["s3cret", r#"{"username": "u"}"#, r#"{"username": "u", "password": ["s3cret"]}"#, ""] {
            let error = parse(text).err().unwrap().to_string();
            assert!(error.ends_with("it is not JSON with username and password"), "{error}");
        }
    }
}
