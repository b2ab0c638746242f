//! The database: one connection for each execution environment, and every SQL statement of the product.
//!
//! The first use of a statement on a connection is one round trip, typed and unnamed. The second use prepares it. The session
//! keeps nothing else: no SET, no lock. `DATABASE_PREPARE=off` is for a pooler that does not keep prepared statements.
//!
//! Every statement has a deadline ([`Deadline`]) and its error names it ([`StoreError`]) and has a class ([`DbError`]):
//! - a lost connection, or one to a server that only reads, is replaced, and the statement is sent once more. Each statement
//!   therefore has the same effect twice as once;
//! - a statement that the server cancelled (a lock, a deadlock, its own time-out) is not sent again, because its time is spent, unless it
//!   records an outcome ([`Store::repeating_until`]). One that the deadline ended is never sent again: the client cancels it. The next
//!   statement waits on the same connection until that one has ended, for half a minute at most. A login that has not ended is waited for
//!   in the same way, so a server that hangs has at most one connection of each environment.
//!
//! Rules of the statements:
//! - a statement that changes an active order locks its row of `order_work` first. Claims, sweeps, erasures and the retention skip locked
//!   rows, and all others lock the rows of their orders by key, in ascending order, so that two statements on existing orders don't
//!   deadlock. One case is left: a statement that has waited for a row keeps it locked, even if it then leaves it out. Two retries of the
//!   same orders, a cancel and an end can therefore deadlock, and PostgreSQL cancels one of them after a second;
//! - a statement on known orders reads rows by an array of keys, in one scan of the index, or key by key in a join. It never has both
//!   conditions on one table: PostgreSQL would search the whole array again for each key of the join;
//! - a join of many orders by key says `= ANY (ARRAY[key])`. With `= key` PostgreSQL may walk over the whole index for each key instead of
//!   looking the key up, as it considers the order of an index useful for an equality. It does so while it takes a table for empty;
//! - a look-up by key that stands beside other conditions ends with `OFFSET 0`, as in `named` of `params.rs`, for the same purpose:
//!   PostgreSQL then can't read all the rows that meet those conditions instead.

pub mod active;
pub mod cancel;
pub mod claim;
mod connect;
mod connection;
pub mod create;
mod credential;
pub mod ends;
pub mod erasure;
mod error;
pub mod finish;
pub mod history;
pub mod inspect;
pub mod list;
mod params;
pub mod pause;
pub mod read;
pub mod requeue;
pub mod retention;
pub mod retry;
pub mod role;
mod row;
pub mod schedule;
pub mod schema;
pub mod stats;
mod tls;
mod url;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::deadline::Deadline;
use crate::error::Chain;
use crate::telemetry::{Measure, Trace};

pub use connect::DbConfig;
use connection::{Connection, TIME_TO_CANCEL};
pub use error::{DbError, StoreError};
use row::Rows;

/// How long connecting before the first statement may take.
const WARM_UP: Duration = Duration::from_secs(3);
/// The time before the first repeat. It doubles with each, so that a server that has just started gets few logins.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest time before a repeat.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A statement's parameter and the type it is sent as.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

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

    /// The statements, for an invocation or a step of it that ends by `deadline`. A statement ends a little earlier, so that it can be
    /// cancelled by then.
    #[must_use]
    pub fn until(self: &Arc<Self>, deadline: Deadline) -> Store {
        Store { database: Arc::clone(self), deadline: deadline.minus(TIME_TO_CANCEL), repeats: None }
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

/// The orders in the database, until a deadline. Each method runs one statement as a rule. The statements of one environment run one after
/// the other.
///
/// The files of this module hold the methods, each next to its statement: [`create`], [`read`], [`list`], [`cancel`], [`claim`],
/// [`finish`], [`retry`], [`requeue`] and so on.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    deadline: Deadline,
    /// Until when a statement is repeated that failed for now.
    repeats: Option<Deadline>,
}

impl Store {
    /// The same statements with an earlier deadline.
    #[must_use]
    pub fn until(&self, deadline: Deadline) -> Self {
        Self { deadline: self.deadline.min(deadline.minus(TIME_TO_CANCEL)), ..self.clone() }
    }

    /// The same statements, repeated until `deadline` while the same statement may succeed later: the database is out of reach, only reads or
    /// has no free connection, or ends them because of a lock, a deadlock or its time limit. This is for outcomes: what is not recorded is
    /// done once more.
    #[must_use]
    pub fn repeating_until(&self, deadline: Deadline) -> Self {
        Self { repeats: Some(deadline), ..self.clone() }
    }

    /// Whether no time is left for a statement.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.deadline.is_over()
    }

    /// Checks that the database answers and takes writes.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let name = "ping the database";
        let sql = "SELECT current_setting('transaction_read_only')::boolean AS is_read_only";
        if self.query(name, sql, &[]).await?.value("is_read_only")? {
            *self.database.connection.lock().await = None;
            return Err(StoreError::new(name, DbError::ReadOnly("the server takes no writes".into())));
        }
        Ok(())
    }

    /// Runs one statement and returns its rows. Sends it again if its connection was lost or only reads, and repeats it if this store does
    /// ([`Store::repeating_until`]), so the statement must have the same effect twice as once. `name` completes the sentence "could not …" of
    /// its error.
    async fn query(&self, name: &'static str, sql: &str, params: &[Param<'_>]) -> Result<Rows, StoreError> {
        let mut result = self.query_once(sql, params).await;
        if let Err(error) = &result
            && error.wants_another_connection()
            && !self.deadline.is_over()
        {
            tracing::info!(error = %Chain(error), "lost the database connection; sending the statement once more on a new one");
            result = self.query_once(sql, params).await;
        }
        if let Some(deadline) = self.repeats {
            let (repeating, mut pause) = (self.until(deadline), FIRST_PAUSE);
            while let Err(error) = &result
                && error.is_temporary()
                && !repeating.is_over()
            {
                tracing::info!(error = %Chain(error), "could not run a statement; repeating it");
                sleep(pause.min(repeating.deadline.remaining())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                match repeating.query_once(sql, params).await {
                    // The error before it says more.
                    Err(_) if repeating.is_over() => break,
                    repeated => result = repeated,
                }
            }
        }
        result.map(|rows| Rows::new(name, rows)).map_err(|cause| StoreError::new(name, cause))
    }

    async fn query_once(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let locked = self.deadline.bound(self.database.connection.lock()).await;
        let mut slot = locked.map_err(|_| DbError::OutOfTime)?;
        let mut connection = match slot.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => self.database.config.connect(self.deadline).await?,
        };
        let (sent, began) = (Instant::now(), SystemTime::now());
        let result = match connection.settle(self.deadline).await {
            // Without this, a statement that has no time left would be sent and given up at once.
            Ok(()) if self.deadline.is_over() => Ok(Err(DbError::OutOfTime)),
            Ok(()) => self.deadline.bound(connection.query(sql, params)).await,
            Err(error) => Ok(Err(error)),
        };
        Measure::DatabaseRoundTrip.add(sent.elapsed());
        if let Some(trace) = Trace::current() {
            trace.add_call("PostgreSQL", began);
        }
        match result {
            Err(_) => {
                *slot = connection.cancel().await;
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::Env;

    #[tokio::test]
    async fn server_without_a_free_connection_is_dialled_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://u:p@{}/d", listener.local_addr().unwrap());
        let logins = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&logins);
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                assert!(connection.read(&mut [0; 1024]).unwrap() > 0);
                connection.write_all(&error::tests::message("FATAL", "53300")).unwrap();
            }
        });
        let env = Env::from_iter([("DATABASE_URL", url.as_str()), ("DATABASE_TLS", "off")]);
        let store = Database::new(DbConfig::from_env(&env).unwrap()).until(Deadline::after(Duration::from_secs(5)));
        let error = store.ping().await.unwrap_err();
        assert!(Chain(&error).to_string().contains("the database is busy"), "{}", Chain(&error));
        assert_eq!(logins.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn error_of_a_statement_names_it() {
        let env = Env::from_iter([("DATABASE_URL", "postgres://app:app@127.0.0.1:1/orders"), ("DATABASE_TLS", "off")]);
        let store = Database::new(DbConfig::from_env(&env).unwrap()).until(Deadline::after(Duration::from_secs(5)));
        let order_ids = ["o-1".parse().unwrap()];
        let claimed = store.claim(&order_ids, Duration::ZERO, Duration::ZERO, 12).await.map(drop);
        let read = store.read_order(&order_ids[0], None).await.map(drop);
        for (failed, start) in [
            (claimed, "could not claim orders: could not reach the database: "),
            (read, "could not read an order: could not reach the database: "),
        ] {
            let error = failed.unwrap_err();
            assert!(Chain(&error).to_string().starts_with(start), "{}", Chain(&error));
            assert!(error.is_temporary());
        }
    }
}
