//! The database: one connection for each execution environment, and every SQL statement of the product.
//!
//! The first use of a statement on a connection is one round trip, typed and unnamed. The second use prepares it. The session
//! keeps nothing else: no SET, no lock. `DATABASE_PREPARE=off` is for a pooler that does not keep prepared statements.
//!
//! Every statement has a deadline ([`Deadline`]) and its errors have classes ([`DbError`]):
//! - a lost connection, or one to a server that only reads, is replaced, and the statement is sent once more. Each statement
//!   therefore has the same effect twice as once;
//! - a statement that the server cancelled (a lock, a deadlock, its own time-out) or that the deadline ended is not sent again,
//!   because its time is spent. The server cancels a statement that the deadline ended, and its connection is closed.

pub mod cancel;
mod connect;
pub mod create;
mod credential;
pub mod ends;
pub mod erasure;
pub mod history;
pub mod inspect;
pub mod orders;
pub mod overdue;
pub mod pause;
pub mod retention;
pub mod retry;
pub mod role;
pub mod schedule;
pub mod schema;
pub mod stats;
mod tls;
mod url;
pub mod work;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use crate::deadline::Deadline;
use crate::error::Chain;
use crate::telemetry::{Measure, Trace};

use connect::Connection;
pub use connect::DbConfig;

/// How long connecting before the first statement may take.
const WARM_UP: Duration = Duration::from_secs(3);

/// A statement's parameter and the type it is sent as.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// The source of an error, for the log.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// The error of a statement. Its text and its `source()` chain are for the log, never for a client.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The connection failed or was lost. The same call may succeed later.
    #[error("could not reach the database")]
    Unavailable(#[source] Source),
    /// The server only reads: it is a standby, or a demoted primary.
    #[error("the database only reads")]
    ReadOnly(#[source] Source),
    /// The server cancelled the statement: because of a lock, a deadlock, its time limit, or a lack of resources.
    #[error("the database is busy")]
    Busy(#[source] Source),
    /// The deadline passed before the statement's answer.
    #[error("the statement ran out of time")]
    OutOfTime,
    /// The statement itself failed.
    #[error("the statement failed")]
    Statement(#[source] tokio_postgres::Error),
    /// A row breaks a promise of the schema.
    #[error("a stored value is not valid: {0}")]
    Corrupt(String),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            let is_lost = error.is_closed() || has_io_source(&error);
            return if is_lost { Self::Unavailable(Box::new(error)) } else { Self::Statement(error) };
        };
        if is_connection_lost(state) {
            Self::Unavailable(Box::new(error))
        } else if *state == SqlState::READ_ONLY_SQL_TRANSACTION {
            Self::ReadOnly(Box::new(error))
        } else if is_busy(state) {
            Self::Busy(Box::new(error))
        } else {
            Self::Statement(error)
        }
    }
}

impl DbError {
    /// Whether the same call may succeed later. A client should send it again.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ReadOnly(_) | Self::Busy(_) | Self::OutOfTime)
    }

    /// Whether the statement may succeed on another connection.
    const fn wants_another_connection(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ReadOnly(_))
    }
}

/// Whether the connection is at fault and not the statement: it is closed, or the server stops, starts or is full.
fn is_connection_lost(state: &SqlState) -> bool {
    let stopping = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW];
    // A pooler that does not keep prepared statements may send one to a server that does not know it, or knows another by its name.
    let unknown_statement = [&SqlState::INVALID_SQL_STATEMENT_NAME, &SqlState::DUPLICATE_PSTATEMENT];
    stopping.contains(&state)
        || unknown_statement.contains(&state)
        || *state == SqlState::TOO_MANY_CONNECTIONS
        || state.code().starts_with("08")
}

/// Whether the same statement may succeed later.
fn is_busy(state: &SqlState) -> bool {
    let states = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::QUERY_CANCELED,
    ];
    states.contains(&state) || state.code().starts_with("53")
}

fn has_io_source(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// The environment's connection to the database. It is opened at the first statement, and again after it was lost.
pub struct Database {
    config: DbConfig,
    connection: Mutex<Option<Connection>>,
}

impl Database {
    /// A database without a connection yet.
    #[must_use]
    pub fn new(config: DbConfig) -> Arc<Self> {
        Arc::new(Self { config, connection: Mutex::default() })
    }

    /// The database, for an invocation or a step of it that ends by `deadline`.
    #[must_use]
    pub fn until(self: &Arc<Self>, deadline: Deadline) -> Db {
        Db { database: Arc::clone(self), deadline }
    }

    /// Connects before the first statement. A failure is only logged: the statement will connect again and report it.
    pub async fn warm(&self) {
        let mut connection = self.connection.lock().await;
        if connection.as_ref().is_some_and(Connection::is_open) {
            // A statement has connected already.
            return;
        }
        match self.config.connect(Deadline::after(WARM_UP)).await {
            Ok(opened) => *connection = Some(opened),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not connect to the database at start; the first statement will try again");
            }
        }
    }
}

/// The database until a deadline. The statements of one environment run one after the other.
#[derive(Clone)]
pub struct Db {
    database: Arc<Database>,
    deadline: Deadline,
}

impl Db {
    /// Checks that the database answers and takes writes.
    pub async fn ping(&self) -> Result<(), DbError> {
        let sql = "SELECT current_setting('transaction_read_only')::boolean AS is_read_only";
        let rows = self.query(sql, &[]).await?;
        if rows.first().map_or(Ok(false), |row| row.try_get("is_read_only"))? {
            *self.database.connection.lock().await = None;
            return Err(DbError::ReadOnly("the server takes no writes".into()));
        }
        Ok(())
    }

    /// Runs one statement and returns its rows. Sends it again if its connection was lost or only reads, so the statement must have
    /// the same effect twice as once.
    pub(crate) async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        match self.query_once(sql, params).await {
            Err(error) if error.wants_another_connection() && !self.deadline.is_over() => {
                tracing::info!(error = %Chain(&error), "lost the database connection; sending the statement once more on a new one");
                self.query_once(sql, params).await
            }
            result => result,
        }
    }

    async fn query_once(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let locked = self.deadline.bound(self.database.connection.lock()).await;
        let mut slot = locked.map_err(|_| DbError::OutOfTime)?;
        let mut connection = match slot.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => self.database.config.connect(self.deadline).await?,
        };
        let (sent, began) = (Instant::now(), SystemTime::now());
        let result = self.deadline.bound(connection.query(sql, params)).await;
        Measure::DatabaseRoundTrip.add(sent.elapsed());
        if let Some(trace) = Trace::current() {
            trace.add_call("PostgreSQL", began);
        }
        match result {
            Err(_) => {
                connection.cancel().await;
                Err(DbError::OutOfTime)
            }
            Ok(Err(error)) if error.wants_another_connection() => Err(error),
            Ok(result) => {
                *slot = Some(connection);
                result
            }
        }
    }
}
