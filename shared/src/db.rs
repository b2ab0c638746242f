//! The database: one connection for each execution environment, or a few where it serves many calls at once, and every
//! statement the product speaks.
//!
//! Each statement goes out in one round trip, typed and unnamed, and leaves nothing behind in the session: no SET, no
//! prepared statement, no lock. Each also does no harm when it is sent twice, so that a statement whose connection turns out
//! dead (a frozen environment's socket can be, without saying so) is simply sent again on a new one.

mod connect;
mod credential;
pub mod inspect;
pub mod intake;
pub mod operate;
pub mod orders;
pub mod role;
pub mod schema;
pub mod stats;
mod tls;
pub mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::error::Chain;
use crate::telemetry::{Measure, Trace};

pub use connect::DbConfig;

/// How long a statement may take before its connection counts as dead.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement may take in all, connecting and a second try included: well below the time-out of every function,
/// so that a database out of reach is told of rather than waited for.
const QUERY_TIMEOUT: Duration = Duration::from_secs(6);

/// A statement's parameter and the type it is sent as.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// What went wrong with a statement. The text and its `source()` chain are for the log, never for a client.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database can't be reached now; the same call may well succeed later.
    #[error("the database is out of reach")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The statement itself failed.
    #[error("the statement failed")]
    Statement(#[source] tokio_postgres::Error),
    /// A row does not hold what the schema promises.
    #[error("a stored value is not valid: {0}")]
    Corrupt(String),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        if is_connection_lost(&error) { Self::Unavailable(Box::new(error)) } else { Self::Statement(error) }
    }
}

impl DbError {
    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Whether the connection, not the statement, is at fault: closed, cut, or a server that stops, starts or is full.
fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    let Some(state) = error.code() else { return error.is_closed() || has_io_source(error) };
    let stopping = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW];
    stopping.contains(&state) || *state == SqlState::TOO_MANY_CONNECTIONS || state.code().starts_with("08")
}

fn has_io_source(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// The environment's connections to the database, each opened when first needed and again whenever it was lost. Statements
/// take them in turn, and don't wait for one another's answers to be sent.
pub struct Db {
    config: DbConfig,
    slots: Vec<Slot>,
    turn: AtomicUsize,
}

/// The place of a connection.
type Slot = Mutex<Option<Arc<Client>>>;

impl Db {
    /// A handle that has not connected yet.
    #[must_use]
    pub fn new(config: DbConfig) -> Self {
        let slots = (0..config.connections()).map(|_| Slot::default()).collect();
        Self { config, slots, turn: AtomicUsize::new(0) }
    }

    /// Connects ahead of the first statement. A failure is only logged: the statement will try again and report it.
    pub async fn warm(&self) {
        if let Err(error) = self.client(&self.slots[0]).await {
            tracing::warn!(error = %Chain(&error), "the database can't be reached at start");
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.query("SELECT", &[]).await.map(drop)
    }

    /// Runs one statement and gives its rows. It is sent a second time if the connection was lost, so it has to have
    /// the same effect twice as once.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let within = timeout(QUERY_TIMEOUT, self.query_twice(sql, params)).await;
        within.unwrap_or_else(|elapsed| Err(DbError::Unavailable(Box::new(elapsed))))
    }

    async fn query_twice(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let slot = &self.slots[self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        match self.query_once(slot, sql, params).await {
            Err(error) if error.is_unavailable() => {
                tracing::info!(error = %Chain(&error), "the connection was lost; trying once more");
                self.query_once(slot, sql, params).await
            }
            result => result,
        }
    }

    async fn query_once(&self, slot: &Slot, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let client = self.client(slot).await?;
        let (sent, began) = (Instant::now(), SystemTime::now());
        let result = match timeout(STATEMENT_TIMEOUT, client.query_typed(sql, params)).await {
            Ok(result) => result.map_err(DbError::from),
            Err(elapsed) => Err(DbError::Unavailable(Box::new(elapsed))),
        };
        Measure::DatabaseRoundTrip.add(sent.elapsed());
        if let Some(trace) = Trace::current() {
            trace.add_call("PostgreSQL", began);
        }
        if result.as_ref().is_err_and(DbError::is_unavailable) {
            discard(slot, &client).await;
        }
        result
    }

    /// The connection of this slot: the one at hand, or a new one if there is none or it is known to be closed.
    async fn client(&self, slot: &Slot) -> Result<Arc<Client>, DbError> {
        let mut slot = slot.lock().await;
        match &*slot {
            Some(client) if !client.is_closed() => Ok(Arc::clone(client)),
            _ => Ok(Arc::clone(slot.insert(Arc::new(self.config.connect().await?)))),
        }
    }
}

/// Forgets a connection that was found dead, unless somebody has replaced it already.
async fn discard(slot: &Slot, dead: &Arc<Client>) {
    let mut slot = slot.lock().await;
    if slot.as_ref().is_some_and(|client| Arc::ptr_eq(client, dead)) {
        *slot = None;
    }
}
