//! Connecting: over verified TLS, or to this very machine, with one of three kinds of credential.

use std::time::Duration;

use postgres_native_tls::MakeTlsConnector;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::credential::{Credential, Login};
use super::tls::ToDatabase;
use super::{DbError, tls};
use crate::config::{ConfigError, Env};
use crate::error::Chain;

/// How long connecting may take, TLS and authentication included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The most connections of an environment. With more, each call's statement would wait for fewer others, and the database for
/// more.
const MOST_CONNECTIONS: usize = 4;

/// Where the database is and how to get in.
pub struct DbConfig {
    connections: usize,
    params: tokio_postgres::Config,
    tls: Option<ToDatabase>,
    credential: Credential,
}

impl DbConfig {
    /// Whether it signs in by IAM.
    pub(super) fn is_by_iam(&self) -> bool {
        matches!(self.credential, Credential::Iam(_))
    }

    /// Reads the `DATABASE_…` variables, see [`crate::config`].
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        // The parser's own message may quote the URL, so only its kind is passed on.
        let url = env.required::<String>("DATABASE_URL")?;
        let mut params: tokio_postgres::Config = url.parse().map_err(|_| {
            ConfigError::new("DATABASE_URL", "must be postgres://[user[:password]@]host[:port]/database")
        })?;
        let tls = tls::from_env(env, &params)?;
        let credential = Credential::from_env(env, &params, tls.is_some())?;
        params
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .application_name("ordermill")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30));
        let calls = env.optional("AWS_LAMBDA_MAX_CONCURRENCY")?.unwrap_or(1);
        Ok(Self { connections: calls.clamp(1, MOST_CONNECTIONS), params, tls, credential })
    }

    /// How many connections an environment has: one, or a few where Lambda says that it serves several calls at once.
    pub(super) const fn connections(&self) -> usize {
        self.connections
    }

    /// Opens a connection and leaves a task behind that drives it until it closes. Where the database refuses a login,
    /// each other one there is has its turn.
    pub async fn connect(&self) -> Result<Client, DbError> {
        let mut login = self.credential.login().await?;
        let mut refused = Vec::new();
        loop {
            let opened = self.open(login.as_ref()).await;
            match opened {
                Err(error) if is_login_refused(&error) => {
                    refused.extend(login);
                    login = self.credential.another(&refused).await?;
                    if login.is_none() {
                        return Err(error);
                    }
                    tracing::info!(error = %Chain(&error), "the login was refused; trying another");
                }
                opened => return opened,
            }
        }
    }

    async fn open(&self, login: Option<&Login>) -> Result<Client, DbError> {
        let params = login.map_or_else(|| self.params.clone(), |login| login.complete(&self.params));
        let unusable = |error| format!("the certificate authorities can't be used: {error}");
        let tls = self.tls.as_ref().map(|tls| tls.as_ref().map_err(unusable)).transpose();
        let tls = tls.map_err(|error| DbError::Unavailable(error.into()))?;
        let connecting = async {
            match tls {
                Some(tls) => params.connect(MakeTlsConnector::new(tls.clone())).await.map(|(client, connection)| {
                    tokio::spawn(drive(connection));
                    client
                }),
                None => params.connect(NoTls).await.map(|(client, connection)| {
                    tokio::spawn(drive(connection));
                    client
                }),
            }
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(client)) => Ok(client),
            // Whatever kept the connection from opening, a refused password included, may be mended while we run.
            Ok(Err(error)) => Err(DbError::Unavailable(Box::new(error))),
            Err(elapsed) => Err(DbError::Unavailable(Box::new(elapsed))),
        }
    }
}

/// Whether the database was reached and turned the user or the password down.
fn is_login_refused(error: &DbError) -> bool {
    let DbError::Unavailable(cause) = error else { return false };
    let code = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code))
}

/// Ends with the connection; what cut it is also reported to the statement that was under way.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::info!(error = %Chain(&error), "a database connection was closed");
    }
}
