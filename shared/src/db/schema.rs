//! The schema: numbered migrations, forward only, each applied once.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::types::Type;

use super::connect::Connection;
use super::role::RoleName;
use super::{DbConfig, DbError};
use crate::deadline::Deadline;
use crate::error::Chain;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The key of the advisory lock that makes two runs of migrations follow one another. Any number will do, as long as nothing
/// else in the database uses it. These are the letters "ordermil".
const LOCK: i64 = i64::from_be_bytes(*b"ordermil");

/// The pause between two attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// The reason why a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Connecting to the database or locking failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A migration failed, or differs from the applied one of the same number. The database is unchanged.
    #[error("a migration failed")]
    Migration(#[from] refinery::Error),
    /// The role for the functions owns the tables.
    #[error("the role {0} owns the tables, so its rights can't be restricted; name another role")]
    OwnRole(RoleName),
    /// The role does not exist, and creating it with IAM would disable the owner's password.
    #[error(
        "there is no role {0}, and creating it would disable the owner's password; create the role, or let the owner sign in by IAM (rds_iam) too"
    )]
    LocksOwnerOut(RoleName),
}

/// Brings the schema up to date. Tries to connect until `deadline`. Returns the names of the migrations that it applied, in
/// order.
pub async fn migrate(config: &DbConfig, deadline: Deadline) -> Result<Vec<String>, SchemaError> {
    let mut connection = lock(config, deadline).await?;
    // After a rollback, the database has migrations that this older release lacks. The release works with them, because
    // migrations only add.
    let report = embedded::migrations::runner().set_abort_missing(false).run_async(connection.client()).await?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// The number of the newest migration in this code.
pub(super) fn newest() -> i32 {
    embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// Opens a connection that holds the lock of migrations until it is closed. Tries until `deadline`: the host name of a new
/// database may not resolve for a while, and a failover takes a minute.
pub(super) async fn lock(config: &DbConfig, deadline: Deadline) -> Result<Connection, DbError> {
    let mut connection = loop {
        match config.connect(deadline).await {
            Err(error) if deadline.remaining() > RECONNECT_PAUSE => {
                tracing::info!(error = %Chain(&error), "could not connect to the database; trying again");
                sleep(RECONNECT_PAUSE).await;
            }
            opened => break opened?,
        }
    };
    connection.query("SELECT pg_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    Ok(connection)
}
