//! Connecting: over verified TLS, or unencrypted to this machine, with one of three kinds of credential.

use std::pin::Pin;
use std::time::Duration;

use postgres_native_tls::MakeTlsConnector;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use super::connection::{Connection, STANDSTILL, drive};
use super::credential::{Credential, Login};
use super::error::of_login;
use super::tls::ToDatabase;
use super::{DbError, tls, url};
use crate::config::{ConfigError, Env};
use crate::deadline::Deadline;
use crate::error::Chain;
use crate::events::EVENT_BUS;

/// How long connecting to one host may take, TLS and authentication included.
const HOST_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one of a host's addresses may take to accept a connection.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(1);

/// The addresses of the database, and the means to connect.
pub struct DbConfig {
    /// Whether statements are prepared.
    prepares: bool,
    /// The hosts of the URL, in its order.
    hosts: Vec<Host>,
    tls: Option<ToDatabase>,
    credential: Credential,
    /// Whether the statements that end an order keep its end for the event bus.
    pub(super) announces_ends: bool,
}

impl DbConfig {
    /// Whether it signs in by IAM.
    pub(super) fn uses_iam(&self) -> bool {
        matches!(self.credential, Credential::Iam(_))
    }

    /// Reads the `DATABASE_…` variables, see [`crate::config`].
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut params = url::parse(&env.required::<String>("DATABASE_URL")?)?;
        let tls = tls::from_env(env, &params)?;
        let credential = Credential::from_env(env, &params, tls.is_some())?;
        params
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .application_name("ordermill")
            .connect_timeout(ADDRESS_TIMEOUT)
            .tcp_user_timeout(HOST_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30))
            // After a failover, an address may lead to a server that only reads.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let prepares = match env.text("DATABASE_PREPARE") {
            None | Some("on") => true,
            Some("off") => false,
            Some(_) => return Err(ConfigError::new("DATABASE_PREPARE", "must be on or off")),
        };
        let hosts = url::one_by_one(&params).into_iter().map(Host::new).collect();
        Ok(Self { prepares, hosts, tls, credential, announces_ends: env.text(EVENT_BUS).is_some() })
    }

    /// Opens a connection to the first host that takes writes. If the database refuses a login, this tries the others.
    pub(super) async fn connect(&self, deadline: Deadline) -> Result<Connection, DbError> {
        let mut login = credential_within(deadline, self.credential.login()).await?;
        let mut refused = Vec::new();
        loop {
            let opened = self.open_any(login.as_ref(), deadline).await;
            match opened {
                Err(error) if is_login_refused(&error) => {
                    refused.extend(login);
                    login = credential_within(deadline, self.credential.another(&refused)).await?;
                    if login.is_none() {
                        return Err(error);
                    }
                    tracing::info!(error = %Chain(&error), "could not log in to the database; trying another login");
                }
                opened => return opened,
            }
        }
    }

    /// Tries the hosts in their order. Each gets an equal share of the time, so that one that hangs leaves time for the others.
    async fn open_any(&self, login: Option<&Login>, deadline: Deadline) -> Result<Connection, DbError> {
        let mut failure = DbError::OutOfTime;
        for (tried, host) in self.hosts.iter().enumerate() {
            let left = u32::try_from(self.hosts.len() - tried).unwrap_or(u32::MAX);
            match self.open(host, login, deadline.share(1, left).at_most(HOST_TIMEOUT)).await {
                Err(error) if !is_login_refused(&error) => failure = error,
                opened => return opened,
            }
        }
        Err(failure)
    }

    /// Waits for the connection that an earlier call began, or begins one. If the earlier one fails, the next call begins another.
    async fn open(&self, host: &Host, login: Option<&Login>, deadline: Deadline) -> Result<Connection, DbError> {
        let mut slot = host.opening.lock().await;
        let mut opening = match slot.take().filter(|earlier| earlier.since.elapsed() < STANDSTILL) {
            Some(earlier) => earlier,
            None => self.begin(host, login)?,
        };
        match deadline.bound(&mut opening.connected).await {
            Ok(connected) => connected.map_err(of_login),
            Err(elapsed) => {
                *slot = Some(opening);
                Err(DbError::Unavailable(Box::new(elapsed)))
            }
        }
    }

    fn begin(&self, host: &Host, login: Option<&Login>) -> Result<Opening, DbError> {
        let params = login.map_or_else(|| host.params.clone(), |login| login.complete(&host.params));
        let (tls, prepares) = (self.connector()?, self.prepares);
        let connected = Box::pin(async move {
            let (client, driver) = match tls.clone() {
                Some(tls) => params.connect(tls).await.map(|(client, driver)| (client, tokio::spawn(drive(driver))))?,
                None => params.connect(NoTls).await.map(|(client, driver)| (client, tokio::spawn(drive(driver))))?,
            };
            Ok(Connection::new(client, driver, tls, prepares))
        });
        Ok(Opening { since: Instant::now(), connected })
    }

    fn connector(&self) -> Result<Option<MakeTlsConnector>, DbError> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let unusable = |error| format!("the certificate authorities are not valid: {error}");
        let tls = tls.as_ref().map_err(|error| DbError::Unavailable(unusable(error).into()))?;
        Ok(Some(MakeTlsConnector::new(tls.clone())))
    }
}

/// A host of the URL.
struct Host {
    params: Config,
    /// The connection whose login had not ended at an earlier deadline. The server may still be at it, so a second one would only
    /// wait as well.
    opening: Mutex<Option<Opening>>,
}

impl Host {
    fn new(params: Config) -> Self {
        Self { params, opening: Mutex::default() }
    }
}

/// A connection that is being opened. It gets on only while a call waits for it.
struct Opening {
    since: Instant,
    connected: Pin<Box<dyn Future<Output = Result<Connection, tokio_postgres::Error>> + Send>>,
}

async fn credential_within<T>(
    deadline: Deadline,
    step: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    deadline
        .bound(step)
        .await
        .unwrap_or_else(|_| Err(DbError::Unavailable("its credential did not come in time".into())))
}

/// Whether the database answered and refused the user or the password.
fn is_login_refused(error: &DbError) -> bool {
    let DbError::Unavailable(cause) = error else { return false };
    let code = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code))
}
