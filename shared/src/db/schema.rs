//! The schema: numbered migrations, forward only, each applied once.

use std::error::Error;
use std::iter;
use std::time::Duration;

use refinery::{Migration, Runner};
use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::role::RoleName;
use super::{DbConfig, DbError, error};
use crate::deadline::Deadline;
use crate::error::Chain;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The key of the advisory lock that makes two runs of migrations follow one another. Any number will do, as long as nothing
/// else in the database uses it. These are the letters "ordermil".
const LOCK: i64 = i64::from_be_bytes(*b"ordermil");

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a statement waits for a lock. Every statement of the service on the same table queues behind it for as long.
const LOCK_TIMEOUT: &str = "3s";
/// The interval at which the server checks that the client is connected. It ends the statement of a client that is not.
const CHECK_INTERVAL: &str = "1s";
/// How long after the deadline the server ends a statement of a client whose absence it can't see. The deadline itself is the client's
/// to report.
const AFTER_DEADLINE: Duration = Duration::from_secs(1);

/// The reason why the schema or the role's rights were not brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Connecting to the database failed, or a statement.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A migration failed, or differs from the applied one of the same number. The database is unchanged.
    #[error("a migration failed")]
    Migration(#[from] refinery::Error),
    /// The deadline passed. The server rolls back what was under way. The source is the error of the attempt before, if there was one.
    #[error("ran out of time, and was rolled back")]
    OutOfTime(#[source] Option<Box<Self>>),
    /// The database has a later migration, but not this one. Migrations are applied by their numbers, so this one would never be.
    #[error(
        "{0} was not applied before a later migration was; give it a number after the newest one. The database is unchanged"
    )]
    Skipped(Migration),
    /// The role for the functions owns the tables.
    #[error("the role {0} owns the tables, so its rights can't be restricted; name another role")]
    OwnRole(RoleName),
    /// The role does not exist, and creating it with IAM would disable the owner's password.
    #[error(
        "there is no role {0}, and creating it would disable the owner's password; create the role, or let the owner sign in by IAM (rds_iam) too"
    )]
    LocksOwnerOut(RoleName),
}

impl SchemaError {
    /// Whether another attempt may succeed: the database could not be reached, the connection was lost, or a lock was not free.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Database(error) => error.is_temporary(),
            Self::Migration(failed) => {
                let mut causes = iter::successors(failed.source(), |&cause| cause.source());
                let answer = causes.find_map(|cause| cause.downcast_ref::<tokio_postgres::Error>());
                // An operator has cancelled it if the code says so: the server's own limit comes after the deadline.
                answer.is_some_and(|answer| {
                    answer.code() != Some(&SqlState::QUERY_CANCELED) && error::is_temporary(answer)
                })
            }
            Self::OutOfTime(_) | Self::Skipped(_) | Self::OwnRole(_) | Self::LocksOwnerOut(_) => false,
        }
    }
}

/// Brings the schema up to date: applies all missing migrations in one transaction. Tries until `deadline`. Returns the names of
/// the migrations that it applied, in order.
pub async fn migrate(config: &DbConfig, deadline: Deadline) -> Result<Vec<String>, SchemaError> {
    until(deadline, || apply(config, deadline)).await
}

async fn apply(config: &DbConfig, deadline: Deadline) -> Result<Vec<String>, SchemaError> {
    let mut connection = lock(config, deadline).await?;
    // After a rollback, the database has migrations that this older release lacks. The release works with them, because
    // migrations only add.
    let runner = embedded::migrations::runner().set_abort_missing(false).set_grouped(true);
    if let Some(skipped) = find_skipped(&runner, &mut connection).await? {
        return Err(SchemaError::Skipped(skipped));
    }
    let report = runner.run_async(connection.client()).await?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Finds a migration that the runner would silently leave out: it was not applied, and a later one was.
async fn find_skipped(runner: &Runner, connection: &mut Connection) -> Result<Option<Migration>, SchemaError> {
    let has_history = "SELECT WHERE to_regclass('refinery_schema_history') IS NOT NULL";
    if connection.query(has_history, &[]).await?.is_empty() {
        return Ok(None);
    }
    let applied = runner.get_applied_migrations_async(connection.client()).await?;
    let is_skipped = |migration: &&Migration| {
        let number = migration.version();
        applied.iter().any(|other| other.version() > number) && applied.iter().all(|other| other.version() != number)
    };
    Ok(runner.get_migrations().iter().find(is_skipped).cloned())
}

/// The number of the newest migration in this code.
#[must_use]
pub fn newest_migration() -> i32 {
    embedded::migrations::runner().get_migrations().iter().map(Migration::version).max().unwrap_or(0)
}

/// Runs a change of the schema. Tries again until `deadline` if the database can't be reached, the connection is lost or a lock is not
/// free: the host name of a new database may not resolve for a while, and a failover takes a minute.
pub(super) async fn until<T, F>(deadline: Deadline, change: impl Fn() -> F) -> Result<T, SchemaError>
where
    F: Future<Output = Result<T, SchemaError>>,
{
    let mut before = None;
    loop {
        match deadline.bound(change()).await {
            Ok(Err(error)) if error.is_temporary() => {
                tracing::info!(error = %Chain(&error), "could not change the schema; trying again");
                before = Some(Box::new(error));
            }
            Ok(result) => return result,
            Err(_) => return Err(SchemaError::OutOfTime(before)),
        }
        if deadline.bound(sleep(PAUSE)).await.is_err() {
            return Err(SchemaError::OutOfTime(before));
        }
    }
}

/// Opens a connection that holds the lock of migrations until it is closed. The server ends its statements soon after the client disconnects,
/// and a second after the deadline at the latest.
pub(super) async fn lock(config: &DbConfig, deadline: Deadline) -> Result<Connection, DbError> {
    let mut connection = config.connect(deadline).await?;
    let milliseconds = (deadline.remaining() + AFTER_DEADLINE).as_millis();
    let settings = format!(
        "SET lock_timeout = '{LOCK_TIMEOUT}'; SET client_connection_check_interval = '{CHECK_INTERVAL}';
        SET statement_timeout = {milliseconds}"
    );
    connection.client().batch_execute(&settings).await?;
    connection.query("SELECT pg_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    Ok(connection)
}
