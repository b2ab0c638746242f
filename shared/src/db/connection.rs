//! An open connection: its prepared statements, and the cancellation of those that run out of time.

use std::collections::HashMap;
use std::time::Duration;

use postgres_native_tls::MakeTlsConnector;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::{DbError, Param};
use crate::deadline::Deadline;
use crate::error::Chain;

/// The time before a statement's deadline that is reserved for its cancellation. If that does not reach the server in time, the
/// server's own time limit ends the statement.
pub(super) const TIME_TO_CANCEL: Duration = Duration::from_millis(300);
/// How long a connection is kept whose login or cancelled statement does not end. Until then, a server that stands still gets no second
/// connection from this environment.
pub(super) const STANDSTILL: Duration = Duration::from_secs(30);
/// How long after the end of a cancelled statement its cancellation may still arrive. It then cancels the next statement.
const LATE_CANCELLATION: Duration = Duration::from_secs(1);
/// The least time for the answer to an empty statement.
const ROUND_TRIP: Duration = Duration::from_millis(500);

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
    /// A connection that has just been opened. `prepares` says whether its statements are prepared.
    pub fn new(client: Client, driver: JoinHandle<()>, tls: Option<MakeTlsConnector>, prepares: bool) -> Self {
        Self { client, driver, tls, uses: prepares.then(HashMap::new), cancelled_at: None, settled_at: None }
    }

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

    /// Asks the server to cancel the statement that runs on the connection. Returns the connection, unless that failed: a second one would
    /// only wait as well, also if the server does not even answer the request. Over TLS it has to answer first.
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
            Ok(Ok(())) => tracing::warn!("cancelled a statement at its deadline"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not cancel a statement; the server's time limit will end it");
                return None;
            }
            Err(_) => tracing::warn!("could not cancel a statement in time; the server's time limit will end it"),
        }
        self.cancelled_at = Some(Instant::now());
        Some(self)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without this, the task would first wait for the answer to the last statement.
        self.driver.abort();
    }
}

/// Drives the connection until it closes. The statement under way reports the same error.
pub(super) async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::info!(error = %Chain(&error), "lost a database connection");
    }
}
