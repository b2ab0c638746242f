//! A token of RDS's IAM authentication replaces a password. It is the signature of a request that is never sent.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>
//!
//! The token is signed locally, without a call, and for each connection, because it expires.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http::query_writer::QueryWriter;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::Login;
use crate::aws::Access;
use crate::config::{ConfigError, Env};

/// The longest lifetime of a token that RDS accepts.
const EXPIRES_IN: Duration = Duration::from_mins(15);
/// The port of a URL without one.
const DEFAULT_PORT: u16 = 5432;

/// Signing a token failed. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("could not sign a token for the database")]
pub(in crate::db) struct SignError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Signs tokens for one user at one address.
pub(in crate::db) struct Signer {
    credentials: Credentials,
    region: String,
    user: String,
    host: String,
    port: u16,
}

impl Signer {
    /// Reads the user and the address from `DATABASE_URL`. Fails if anything there rules out a token.
    pub fn from_env(env: &Env, params: &Config, is_encrypted: bool) -> Result<Self, ConfigError> {
        let bad_url = |problem| ConfigError::new("DATABASE_URL", problem);
        if params.get_password().is_some() {
            return Err(bad_url("must not hold a password when DATABASE_AUTH is iam"));
        }
        let user = params.get_user().ok_or_else(|| bad_url("must name the user when DATABASE_AUTH is iam"))?;
        let [Host::Tcp(host)] = params.get_hosts() else {
            return Err(bad_url("must name one host when DATABASE_AUTH is iam"));
        };
        if !is_encrypted {
            return Err(ConfigError::new("DATABASE_TLS", "can't be off when DATABASE_AUTH is iam"));
        }
        let Access { credentials, region, .. } = Access::from_env(env)?;
        let port = params.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
        Ok(Self { credentials, region, user: user.to_owned(), host: host.clone(), port })
    }

    /// The user and a token that is valid for 15 minutes from `now`.
    pub fn login(&self, now: SystemTime) -> Result<Login, SignError> {
        let token = self.token(now).map_err(SignError)?;
        Ok(Login { user: self.user.clone(), password: token })
    }

    /// The presigned URL, without its scheme.
    fn token(&self, now: SystemTime) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        const SCHEME: &str = "https://";
        let mut url = QueryWriter::new_from_string(&format!("{SCHEME}{}:{}/", self.host, self.port))?;
        url.insert("Action", "connect");
        url.insert("DBUser", &self.user);
        let unsigned = url.build_uri();
        let mut signed = QueryWriter::new(&unsigned);
        for (name, value) in self.sign(&unsigned.to_string(), now)? {
            signed.insert(name, &value);
        }
        Ok(signed.build_uri().to_string().split_off(SCHEME.len()))
    }

    /// The query parameters that sign a URL.
    fn sign(&self, url: &str, now: SystemTime) -> Result<Vec<Parameter>, Box<dyn std::error::Error + Send + Sync>> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(EXPIRES_IN);
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("rds-db")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::empty())?;
        let (_, mut parameters) = sign(request, &params)?.into_parts().0.into_parts();
        // AWS's own tools put the signature last.
        parameters.sort_by_key(|(name, _)| *name == "X-Amz-Signature");
        Ok(parameters)
    }
}

/// A parameter of a signed URL.
type Parameter = (&'static str, Cow<'static, str>);

#[cfg(test)]
mod tests {
    use super::*;

    /// The token that botocore's `generate_db_auth_token` returns for the same input.
    #[test]
    fn token_equals_that_of_botocore() {
        let session = "FwoGZXIvYXdzE+token/with=signs==".to_owned();
        let signer = Signer {
            credentials: Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                Some(session),
                None,
                "",
            ),
            region: "eu-central-1".to_owned(),
            user: "app user".to_owned(),
            host: "db.abc123.eu-central-1.rds.amazonaws.com".to_owned(),
            port: 5432,
        };
        let token = signer.token(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)).unwrap();
        let expected = "db.abc123.eu-central-1.rds.amazonaws.com:5432/?Action=connect&DBUser=app%20user\
            &X-Amz-Algorithm=AWS4-HMAC-SHA256\
            &X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-central-1%2Frds-db%2Faws4_request\
            &X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
            &X-Amz-Security-Token=FwoGZXIvYXdzE%2Btoken%2Fwith%3Dsigns%3D%3D\
            &X-Amz-Signature=11347e71e62d8fa73473dc53384f58bb2e9a7b3f1cd33d332e2053949d2123bd";
        assert_eq!(token, expected);
    }
}
