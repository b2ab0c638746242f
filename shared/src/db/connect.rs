//! Connecting: over verified TLS, or unencrypted to this machine, with one of three kinds of credential.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use postgres_native_tls::MakeTlsConnector;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::credential::{Credential, Login};
use super::error::of_login;
use super::tls::ToDatabase;
use super::{DbError, Param, tls, url};
use crate::config::{ConfigError, Env};
use crate::deadline::Deadline;
use crate::error::Chain;

/// How long connecting to one host may take, TLS and authentication included.
const HOST_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one of a host's addresses may take to accept a connection.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(1);
/// The time before a statement's deadline that is reserved for its cancellation. If that does not reach the server in time, the
/// server's own time limit ends the statement.
pub(super) const TIME_TO_CANCEL: Duration = Duration::from_millis(300);
/// How long a connection is kept whose login or cancelled statement does not end. Until then, a server that stands still gets no second
/// connection from this environment.
const STANDSTILL: Duration = Duration::from_secs(30);
/// How long after the end of a cancelled statement its cancellation may still arrive. It then cancels the next statement.
const LATE_CANCELLATION: Duration = Duration::from_secs(1);
/// The least time for the answer to an empty statement.
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// The addresses of the database, and the means to connect.
pub struct DbConfig {
    /// Whether statements are prepared.
    prepares: bool,
    /// The hosts of the URL, in its order.
    hosts: Vec<Server>,
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
        let hosts = url::one_by_one(&params).into_iter().map(Server::new).collect();
        Ok(Self { prepares, hosts, tls, credential, announces_ends: crate::events::announces_ends(env) })
    }

    /// Opens a connection to the first host that takes writes. If the database refuses a login, this tries the others.
    pub(super) async fn connect(&self, deadline: Deadline) -> Result<Connection, DbError> {
        let mut login = within(deadline, self.credential.login()).await?;
        let mut refused = Vec::new();
        loop {
            let opened = self.open_any(login.as_ref(), deadline).await;
            match opened {
                Err(error) if is_login_refused(&error) => {
                    refused.extend(login);
                    login = within(deadline, self.credential.another(&refused)).await?;
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
    async fn open(&self, server: &Server, login: Option<&Login>, deadline: Deadline) -> Result<Connection, DbError> {
        let mut slot = server.opening.lock().await;
        let mut opening = match slot.take().filter(|earlier| earlier.since.elapsed() < STANDSTILL) {
            Some(earlier) => earlier,
            None => self.begin(server, login)?,
        };
        match deadline.bound(&mut opening.connected).await {
            Ok(connected) => connected.map_err(of_login),
            Err(elapsed) => {
                *slot = Some(opening);
                Err(DbError::Unavailable(Box::new(elapsed)))
            }
        }
    }

    fn begin(&self, server: &Server, login: Option<&Login>) -> Result<Opening, DbError> {
        let params = login.map_or_else(|| server.params.clone(), |login| login.complete(&server.params));
        let (tls, uses) = (self.connector()?, self.prepares.then(HashMap::new));
        let connected = Box::pin(async move {
            let (client, driver) = match tls.clone() {
                Some(tls) => params.connect(tls).await.map(|(client, driver)| (client, tokio::spawn(drive(driver))))?,
                None => params.connect(NoTls).await.map(|(client, driver)| (client, tokio::spawn(drive(driver))))?,
            };
            Ok(Connection { client, driver, tls, uses, cancelled_at: None, settled_at: None })
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
struct Server {
    params: Config,
    /// The connection whose login had not ended at an earlier deadline. The server may still be at it, so a second one would only
    /// wait as well.
    opening: Mutex<Option<Opening>>,
}

impl Server {
    fn new(params: Config) -> Self {
        Self { params, opening: Mutex::default() }
    }
}

/// A connection that is being opened. It gets on only while a call waits for it.
struct Opening {
    since: Instant,
    connected: Pin<Box<dyn Future<Output = Result<Connection, tokio_postgres::Error>> + Send>>,
}

async fn within<T>(deadline: Deadline, step: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    deadline
        .bound(step)
        .await
        .unwrap_or_else(|_| Err(DbError::Unavailable("its credential did not come in time".into())))
}

/// An open connection and the task that drives it, which ends with it.
pub(super) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
    tls: Option<MakeTlsConnector>,
    /// The statements used on this connection so far; `None` if statements are not prepared.
    uses: Option<HashMap<String, Use>>,
    /// When the last statement was cancelled; the server may still run it.
    cancelled_at: Option<Instant>,
    /// When a cancelled statement had ended.
    settled_at: Option<Instant>,
}

/// The use of a statement on a connection. The first is one unnamed round trip, so that a cold start pays for nothing more. The
/// second prepares the statement. From then on, the server neither parses nor plans it.
enum Use {
    First,
    Prepared(Statement),
}

impl Connection {
    /// Whether the connection is still open.
    pub fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// The client itself, for tasks of several statements.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Runs a statement. If the late cancellation of an earlier one ends it, it may be sent again on another connection.
    pub async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let result = self.send(sql, params).await;
        let is_late = self.settled_at.is_some_and(|at| at.elapsed() < LATE_CANCELLATION);
        result.map_err(|error| match error.code() {
            Some(&SqlState::QUERY_CANCELED) if is_late => DbError::Unavailable(Box::new(error)),
            _ => error.into(),
        })
    }

    async fn send(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, tokio_postgres::Error> {
        let Some(uses) = &mut self.uses else { return self.client.query_typed(sql, params).await };
        let statement = match uses.get(sql) {
            None => {
                let rows = self.client.query_typed(sql, params).await?;
                uses.insert(sql.to_owned(), Use::First);
                return Ok(rows);
            }
            Some(Use::Prepared(statement)) => statement.clone(),
            Some(Use::First) => {
                let types: Vec<_> = params.iter().map(|(_, kind)| kind.clone()).collect();
                let statement = self.client.prepare_typed(sql, &types).await?;
                uses.insert(sql.to_owned(), Use::Prepared(statement.clone()));
                statement
            }
        };
        let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
        self.client.query(&statement, &values).await
    }

    /// Waits for the end of a statement that was cancelled. An empty statement answers after it, and does no harm if the server gets
    /// to it later.
    pub async fn settle(&mut self, deadline: Deadline) -> Result<(), DbError> {
        let Some(since) = self.cancelled_at.map(|at| at.elapsed()) else { return Ok(()) };
        let patience = deadline.at_most(STANDSTILL.saturating_sub(since).max(ROUND_TRIP));
        let waiting = || "an earlier statement has not ended".into();
        match patience.bound(self.client.simple_query("")).await {
            // A late cancellation ends the empty statement instead.
            Ok(Err(error)) if error.code() != Some(&SqlState::QUERY_CANCELED) => Err(error.into()),
            Ok(_) => {
                (self.cancelled_at, self.settled_at) = (None, Some(Instant::now()));
                Ok(())
            }
            Err(_) if patience < deadline => Err(DbError::Unavailable(waiting())),
            Err(_) => Err(DbError::Busy(waiting())),
        }
    }

    /// Asks the server to cancel the statement that runs on the connection. Returns the connection if the request was sent in
    /// time: a second one would only wait as well. Otherwise the connection is closed.
    pub async fn cancel(mut self) -> Option<Self> {
        let token = self.client.cancel_token();
        let tls = self.tls.clone();
        let cancellation = async {
            match tls {
                Some(tls) => token.cancel_query(tls).await,
                None => token.cancel_query(NoTls).await,
            }
        };
        match Deadline::after(TIME_TO_CANCEL).bound(cancellation).await {
            Ok(Ok(())) => {
                tracing::warn!("cancelled a statement at its deadline");
                self.cancelled_at = Some(Instant::now());
                return Some(self);
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not cancel a statement; the server's time limit will end it");
            }
            Err(_) => tracing::warn!("could not cancel a statement in time; the server's time limit will end it"),
        }
        None
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without this, the task would first wait for the answer to the last statement.
        self.driver.abort();
    }
}

/// Whether the database answered and refused the user or the password.
fn is_login_refused(error: &DbError) -> bool {
    let DbError::Unavailable(cause) = error else { return false };
    let code = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code))
}

/// Drives the connection until it closes. The statement under way reports the same error.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::info!(error = %Chain(&error), "lost a database connection");
    }
}
